from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import prompts


def written(tmp_path: Path, cases: object) -> Path:
    path = tmp_path / "reference.json"
    path.write_text(cases if isinstance(cases, str) else json.dumps(cases))
    return path


def test_the_shipped_reference_is_met_row_by_row() -> None:
    rows = prompts.run(False)
    assert len(rows) == 20
    assert [row.what for row in rows if not row.met or row.ours.median] == []


def test_a_token_that_differs_is_counted_and_missed(tmp_path: Path) -> None:
    case = json.loads(prompts.REFERENCE.read_text("utf-8"))[1]
    case["chunks"][0][2][0] += 1
    case["chunks"][0][3][1] += 0.01
    case["chunks"].append(case["chunks"][0])
    row = prompts.run(False, written(tmp_path, [case]))[0]
    assert row.ours.median == 2 + 77
    assert not row.met
    assert row.what == "1: a photo of a cat"


def test_weights_that_are_no_numbers_agree(tmp_path: Path) -> None:
    case = {"prompt": "(a:nan)", "chunks": [[[49406, 1], [320, float("nan")], *[[49407, 1]] * 75]]}
    assert prompts.run(False, written(tmp_path, [case]))[0].met


@pytest.mark.parametrize(
    "cases",
    [
        "",
        "{",
        "3",
        "[3]",
        [{"prompt": "a"}],
        [{"prompt": 3, "chunks": []}],
        [{"prompt": "a", "chunks": [[[1]]]}],
        [{"prompt": "a", "chunks": [[["1", 1.0]]]}],
        "[" * 100_000,
    ],
)
def test_a_file_of_another_form_is_told_in_a_sentence(tmp_path: Path, cases: object) -> None:
    path = written(tmp_path, cases)
    with pytest.raises(SystemExit, match="is no list of prompts with their chunks of tokens"):
        prompts.run(False, path)


def test_a_missing_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot be read: No such file or directory"):
        prompts.run(False, tmp_path / "nowhere.json")
