from __future__ import annotations

from pathlib import Path

import pytest

from studio import paths
from studio.settings import MAX_BYTES, Settings


def test_what_was_put_is_there_at_the_next_start() -> None:
    settings = Settings()
    settings.put("zoom", 1.5)
    settings.put("recent", ["a.json", "b.json"])
    again = Settings()
    assert again.get("zoom", 1.0) == 1.5
    assert again.get("recent", []) == ["a.json", "b.json"]


def test_a_value_of_another_type_gives_the_default() -> None:
    Settings().put("zoom", "big")
    assert Settings().get("zoom", 1.0) == 1.0
    Settings().put("count", True)
    assert Settings().get("count", 3) == 3


def test_a_whole_number_serves_where_a_number_is_meant() -> None:
    Settings().put("zoom", 2)
    value = Settings().get("zoom", 1.0)
    assert value == 2.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"a": ' * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "cut", "list", "null", "not text", "deep", "huge number"],
)
def test_a_broken_file_is_set_aside_and_the_defaults_hold(data: bytes) -> None:
    path = paths.config_dir() / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert Settings().get("zoom", 1.0) == 1.0
    assert path.with_suffix(".broken.json").read_bytes() == data
    Settings().put("zoom", 3.0)
    assert Settings().get("zoom", 1.0) == 3.0


def test_a_file_beyond_the_limit_is_not_read() -> None:
    path = paths.config_dir() / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"zoom": 2.0}' + b" " * MAX_BYTES)
    assert Settings().get("zoom", 1.0) == 1.0


def test_a_disk_that_refuses_costs_nothing_now(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_bytes(b"")
    settings = Settings(in_the_way / "settings.json")
    settings.put("zoom", 2.0)
    assert settings.get("zoom", 1.0) == 2.0
