from __future__ import annotations

import pytest

from studio.errors import FileError
from studio.files.migrations import FORMAT, MIGRATIONS, migrate
from studio.types import Json


def to_two(data: dict[str, Json]) -> dict[str, Json]:
    return {**data, "heading": data["title"]}


def to_three(data: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in data.items() if name != "title"}


LADDER = {1: to_two, 2: to_three}


def test_an_old_file_climbs_every_step_to_the_top() -> None:
    assert migrate({"format": 1, "title": "a"}, LADDER, 3) == {"format": 3, "heading": "a"}


def test_a_file_enters_the_ladder_at_its_own_step() -> None:
    data: dict[str, Json] = {"format": 2, "title": "a", "heading": "b"}
    assert migrate(data, LADDER, 3) == {"format": 3, "heading": "b"}


def test_steps_leave_the_old_file_alone() -> None:
    data: dict[str, Json] = {"format": 1, "title": "a"}
    migrate(data, LADDER, 3)
    assert data == {"format": 1, "title": "a"}


def test_a_file_of_this_format_passes_as_it_is() -> None:
    data: dict[str, Json] = {"format": FORMAT, "title": "a"}
    assert migrate(data) == data


def test_the_ladder_has_a_step_from_every_earlier_format() -> None:
    assert set(MIGRATIONS) == set(range(1, FORMAT))


def test_a_newer_file_is_refused_with_the_way_out() -> None:
    with pytest.raises(FileError, match="newer version") as refused:
        migrate({"format": FORMAT + 1})
    assert "Update" in refused.value.remedy


@pytest.mark.parametrize("found", [None, "1", 1.0, True, 0, -1, [1]])
def test_a_file_without_a_format_is_no_workflow(found: Json) -> None:
    with pytest.raises(FileError, match="no format"):
        migrate({"format": found})
    with pytest.raises(FileError, match="no format"):
        migrate({})
