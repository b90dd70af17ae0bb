"""Why a node runs, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.cache.disk import DiskTier
from studio.cache.store import Store
from studio.types import Json
from studio.why import FIRST, GONE, LastKeys, why

BEFORE: dict[str, Json] = {
    "type": "toy/add",
    "version": 1,
    "knobs": {"more": 1, "words": "a cat", "path": "/a.png"},
    "inputs": {"left": ["id1", "load"], "right": ["id2", "other"]},
    "files": {"path": "digest1", "named/cat.pt": "digest2"},
    "numerics": "cpu/float32",
}


def now(**changed: Any) -> dict[str, Json]:
    return {**BEFORE, **changed}


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (now(), GONE),
        (now(knobs={**BEFORE["knobs"], "more": 2}), "“more” 1 → 2"),
        (now(knobs={**BEFORE["knobs"], "more": 1.0}), "“more” 1 → 1.0"),
        (now(knobs={**BEFORE["knobs"], "new": True}), "“new” is new"),
        (now(knobs={**BEFORE["knobs"], "words": "a dog"}), "“words” “a cat” → “a dog”"),
        (now(version=2), "toy/add is now version 2"),
        (now(type="toy/sub"), "the node was a toy/add"),
        (now(inputs={"left": ["id9", "load"], "right": ["id2", "other"]}), "“left” from load changed"),
        (
            now(inputs={"left": ["id9", "vae"], "right": ["id2", "other"]}),
            "“left” now comes from vae, not load",
        ),
        (now(inputs={"left": ["id1", "load"]}), "“right” was unwired"),
        (now(inputs={**BEFORE["inputs"], "third": ["x", "y"]}), "“third” was wired"),
        (now(files={"path": "digest9"}), "the file at “path” changed"),
        (now(files={"named/cat.pt": "digest9"}), "the file “cat.pt” changed"),
        (now(numerics="cuda/float16"), "computed on cuda/float16, before on cpu/float32"),
        (
            now(version=2, numerics=""),
            "toy/add is now version 2; computed on no device, before on cpu/float32",
        ),
    ],
)
def test_what_differs_is_told(after: dict[str, Json], told: str) -> None:
    assert why(after, BEFORE) == told


def test_the_first_run_is_told() -> None:
    assert why(BEFORE, None) == FIRST
    assert why(BEFORE, {}) == FIRST


def test_another_file_is_told_as_the_knob_that_names_it() -> None:
    other = now(knobs={**BEFORE["knobs"], "path": "/b.png"}, files={"path": "digest9"})
    assert why(other, BEFORE) == "“path” “/a.png” → “/b.png”"


def test_long_values_are_shortened() -> None:
    told = why(now(knobs={**BEFORE["knobs"], "words": "x" * 999}), BEFORE)
    assert len(told) < 100


@pytest.mark.parametrize("part", ["knobs", "inputs", "files"])
@pytest.mark.parametrize("odd", [None, 5, [], "x", {"left": 5, "more": [], "path": {}}, {"left": ["id1"]}])
def test_records_of_another_kind_do_no_harm(part: str, odd: Json) -> None:
    assert why(BEFORE, {**BEFORE, part: odd})


def test_the_last_keys_of_a_document_reach_another_process(tmp_path: Path) -> None:
    store = Store(1 << 20, DiskTier(tmp_path, limit_bytes=1 << 20))
    LastKeys(store).keep("../document", {"a": BEFORE})
    LastKeys(store).keep("../document", {"b": now(version=2)})
    store.close()
    other = Store(1 << 20, DiskTier(tmp_path, limit_bytes=1 << 20))
    last = LastKeys(other)
    assert last.of("../document") == {"a": BEFORE, "b": now(version=2)}
    assert last.of("another") == {}
    other.put_record("last/odd", [1])
    assert last.of("odd") == {}
    other.close()


def test_nothing_new_writes_nothing() -> None:
    store = Store(1 << 20, None)
    LastKeys(store).keep("d", {})
    assert store.record("last/d") is None
