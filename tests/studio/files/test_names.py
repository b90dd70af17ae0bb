from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from studio.context import RunFacts
from studio.errors import NodeError
from studio.files.names import Naming

KNOBS: dict[str, dict[str, Any]] = {
    "k_sampler": {"seed": 7, "steps": 20},
    "k_sampler_2": {"seed": 8},
    "sub/encode_text": {"text": "../a fox: “red”/or not?"},
}


def facts(folder: Path, knobs: dict[str, dict[str, Any]] | None = None) -> RunFacts:
    made = KNOBS if knobs is None else knobs
    return RunFacts("run", datetime(2026, 1, 2, 3, 4, 5), folder, make_knobs=lambda: made)


def named(folder: Path, pattern: str, place: str = "") -> str:
    with Naming(pattern, place, facts(folder)).reserve(".png") as path:
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def test_placeholders_are_filled_in(tmp_path: Path) -> None:
    assert named(tmp_path, "{date} {time} {seed}") == "2026-01-02 03-04-05 7.png"
    assert named(tmp_path, "{k_sampler_2.seed}_{k_sampler.steps}") == "8_20.png"


def test_counter_goes_on_behind_the_largest(tmp_path: Path) -> None:
    assert named(tmp_path, "{date}_{counter}") == "2026-01-02_00001.png"
    (tmp_path / "2026-01-02_00041.png").touch()
    (tmp_path / "2026-01-03_00099.png").touch()
    assert named(tmp_path, "{date}_{counter}") == "2026-01-02_00042.png"


def test_counter_may_name_a_folder(tmp_path: Path) -> None:
    assert named(tmp_path, "{counter}/picture") == "00001/picture.png"
    assert named(tmp_path, "{counter}/picture") == "00002/picture.png"


def test_name_without_counter_never_overwrites(tmp_path: Path) -> None:
    assert [named(tmp_path, "fox") for _ in range(3)] == ["fox.png", "fox_00002.png", "fox_00003.png"]


def test_slash_makes_a_folder_and_the_folder_knob_another_place(tmp_path: Path) -> None:
    assert named(tmp_path, "{date}/fox") == "2026-01-02/fox.png"
    assert named(tmp_path, "fox", "pets") == "pets/fox.png"
    away = tmp_path / "out" / ".." / "away"
    with pytest.raises(NodeError, match="upwards"):
        named(tmp_path, "fox", str(away))
    assert named(tmp_path / "out", "fox", str(tmp_path / "away")) == str(tmp_path / "away" / "fox.png")


def test_values_cannot_lead_anywhere(tmp_path: Path) -> None:
    assert named(tmp_path, "x{sub/encode_text.text}") == "x_a fox_ “red”_or not_.png"


@pytest.mark.parametrize(
    "pattern", ["../fox", "/tmp/fox", "a/../../fox", "..\\fox", "C:\\fox", "", "  ", "a/."]
)
def test_pattern_that_leads_out_or_is_empty_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(NodeError) as caught:
        named(tmp_path / "out", pattern)
    assert caught.value.socket == "name"
    assert not list(tmp_path.iterdir())


def test_unknown_placeholder_tells_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        named(tmp_path, "{sampler.seed}")
    assert "{sampler.seed}" in caught.value.title
    assert "{k_sampler.seed}" in caught.value.remedy
    with pytest.raises(NodeError, match=r"\{seed\}"):
        Naming("{seed}", "", facts(tmp_path, {}))


@pytest.mark.parametrize(
    ("pattern", "name"), [("con", "_con.png"), ("a<b>|c", "a_b_c.png"), ("x. .", "x.png")]
)
def test_names_fit_every_file_system(tmp_path: Path, pattern: str, name: str) -> None:
    assert named(tmp_path, pattern) == name


def test_long_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="too long"):
        named(tmp_path, "x" * 300)


def test_failed_body_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), Naming("fox", "", facts(tmp_path)).reserve(".png") as path:
        raise ValueError("no")
    assert not path.exists()


def test_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pets").touch()
    with pytest.raises(NodeError, match="cannot be written"):
        named(tmp_path, "pets/fox")


def test_many_at_once_get_names_of_their_own(tmp_path: Path) -> None:
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.extend(named(tmp_path, "{counter}") for _ in range(10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 80
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
