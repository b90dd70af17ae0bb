"""The golden documents: files of every format there has been, which must open for ever."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.document import Content
from studio.errors import FileError
from studio.files import pretty, workflow
from studio.graph import BOUNDARY, ROOT, Socket
from tests.studio.contents import json_values

FOLDER = Path(__file__).resolve().parents[2] / "data" / "documents"
DIGESTS = {  # sha256; append only: a file that changes here is a file of somebody's that no longer opens
    "format_1_broken.json": "c86e892a74d9f10f26010593b5aed1ec2db88683038390d261a8f11fbb5fab2b",
    "format_1_one_of_each.json": "1d2cd3bd3ea8f228968a683f05d2e806ad9a6aaf640a18ee3f839fb718b452eb",
}
ONE = json.loads((FOLDER / "format_1_one_of_each.json").read_bytes())
BROKEN = json.loads((FOLDER / "format_1_broken.json").read_bytes())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a JSON value, deepest first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [found for key, item in items for found in places(item, (*path, key))]
    return [*below, path] if path else below


def with_value(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(data)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def opened(data: bytes) -> Content | None:
    """The document, or None where it is refused with a sentence."""
    try:
        return workflow.parse(data).content
    except FileError as refused:
        return pytest.fail(refused.title) if not refused.title.endswith(".") else None


PLACES = places(ONE)


def test_golden_documents_are_as_they_were() -> None:
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(FOLDER.iterdir())}
    assert found == DIGESTS


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_a_golden_document_is_written_back_as_it_was(name: str) -> None:
    data = json.loads((FOLDER / name).read_bytes())
    loaded = workflow.load(FOLDER / name)
    written = workflow.to_json(loaded.content)
    assert {**written, "app": data["app"]} == data
    once = pretty.dumps(written)
    assert pretty.dumps(workflow.to_json(workflow.parse(once).content)) == once
    assert pretty.dumps({**written, "app": data["app"]}) == (FOLDER / name).read_bytes()


def test_one_of_each_opens_without_a_problem() -> None:
    loaded = workflow.load(FOLDER / "format_1_one_of_each.json")
    content = loaded.content
    assert loaded.problems == []
    assert content.root.nodes["invert"].mode == "bypass"
    assert content.root.nodes["save"].mode == "mute"
    assert content.root.wires[Socket("resize", "width")] == Socket("side", "value")
    assert content.root.nodes["side"].params["value"] == 2**64 - 1
    assert content.graphs["detailer"].nodes["inner"].type == "sharpen"
    assert content.graphs["sharpen"].wires[Socket(BOUNDARY, "image")] == Socket("big", "image")
    assert content.graphs["detailer"].interface.knobs[0].knob == "amount"
    assert content.frames["f1"].on is False
    assert content.notes["n1"].graph == "detailer"
    assert content.unknown == {"licence": "CC-BY-4.0"}


def test_a_broken_document_opens_and_names_each_broken_node() -> None:
    loaded = workflow.load(FOLDER / "format_1_broken.json")
    assert {problem.node for problem in loaded.problems if problem.graph == ROOT} == {
        "",
        "a_list",
        "no_type",
        "odd",
        "seen",
    }
    assert all(problem.title.endswith(".") for problem in loaded.problems)
    kinds = {(problem.kind, problem.graph, problem.node) for problem in loaded.problems}
    assert ("cycle", "def", "itself") in kinds
    assert set(loaded.content.root.nodes) == {"a_list", "no_type", "odd", "seen"}
    assert loaded.content.root.wires == {}


@pytest.mark.parametrize("path", PLACES, ids=lambda path: "|".join(map(str, path)))
def test_a_value_of_the_wrong_shape_costs_nothing_else(path: tuple[Any, ...]) -> None:
    alien = {"no": "thing"} if not isinstance(at(ONE, path), dict) else 7777777
    data = with_value(ONE, path, alien)
    if path == ("format",):
        with pytest.raises(FileError):
            workflow.read(data)
        return
    written = workflow.to_json(workflow.read(data).content)
    assert workflow.to_json(workflow.from_json(json.loads(json.dumps(written)))) == written
    if path[0] not in ("app", "id"):
        assert json.dumps(alien) in json.dumps(written)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([ONE, BROKEN]), st.lists(st.tuples(st.integers(0), json_values), max_size=4))
def test_mutated_documents_raise_nothing_but_file_errors(data: Any, changes: list[tuple[int, Any]]) -> None:
    for number, value in changes:
        paths = places(data)
        data = with_value(data, paths[number % len(paths)], value)
    content = opened(json.dumps(data).encode())
    if content is not None:
        once = pretty.dumps(workflow.to_json(content))
        assert opened(once) == content
        assert pretty.dumps(workflow.to_json(content)) == once


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_and_overwritten_bytes_raise_nothing_but_file_errors(data: st.DataObject) -> None:
    whole = (FOLDER / "format_1_one_of_each.json").read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    middle = data.draw(st.binary(max_size=8))
    content = opened(whole[:start] + middle + whole[end:])
    assert content is None or pretty.dumps(workflow.to_json(content))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_document_cut_anywhere_is_refused(share: float) -> None:
    whole = (FOLDER / "format_1_one_of_each.json").read_bytes().rstrip()
    with pytest.raises(FileError):
        workflow.parse(whole[: int(share * len(whole))])
