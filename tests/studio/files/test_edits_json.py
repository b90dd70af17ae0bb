from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.document import Content
from studio.edits import Batch, Edit, PutNode, SetKnob, SetNodeField, SetPart, SetWire
from studio.errors import EditError
from studio.files.edits_json import MAX_NESTING, edit_from_json, edit_to_json
from studio.graph import ROOT, Node, Socket
from tests.studio.contents import json_values

WIRE = {"edit": "set_wire", "graph": "", "target": ["a", "image"], "source": None}


def test_an_edit_is_written_by_name() -> None:
    edit = SetWire(ROOT, Socket("a", "image"), Socket("b", "image"))
    assert edit_to_json(edit) == {**WIRE, "source": ["b", "image"]}
    assert edit_from_json(WIRE) == SetWire(ROOT, Socket("a", "image"), None)


def test_a_batch_is_written_with_its_edits_in_order() -> None:
    batch = Batch((SetPart("title", "x"), SetKnob("", "a", "seed", 2**64 - 1)))
    assert edit_from_json(json.loads(json.dumps(edit_to_json(batch)))) == batch


@pytest.mark.parametrize(
    "alien",
    [
        None,
        [],
        "set_wire",
        {},
        {"edit": "format_disk"},
        {"edit": ["batch"]},
        {"edit": "set_wire"},
        {**WIRE, "extra": 1},
        {**WIRE, "graph": 0},
        {**WIRE, "target": ["a"]},
        {**WIRE, "target": "a.image"},
        {"edit": "batch", "edits": {}},
        {"edit": "batch", "edits": [WIRE, 3]},
        {"edit": "set_part", "part": "graphs", "value": {}},
        {"edit": "set_part", "part": "form", "value": "text"},
        {"edit": "set_part", "part": "title", "value": {}},
        {"edit": "set_node_field", "graph": "", "node": "a", "field": "id", "value": "b"},
        {"edit": "set_node_field", "graph": "", "node": "a", "field": "mode", "value": "asleep"},
        {"edit": "set_node_field", "graph": "", "node": "a", "field": ["mode"], "value": "on"},
        {"edit": "move_nodes", "graph": "", "positions": {"a": [0, float("nan")]}},
        {"edit": "move_nodes", "graph": "", "positions": {"a": [0, True]}},
        {"edit": "put_node", "graph": "", "id": "a", "node": {"id": "a", "type": "core/x"}},
    ],
)
def test_alien_input_is_refused_with_a_sentence(alien: object) -> None:
    with pytest.raises(EditError) as refused:
        edit_from_json(alien)  # pyright: ignore[reportArgumentType]
    assert refused.value.title.endswith(".")


def test_a_node_of_an_unknown_mode_is_refused() -> None:
    data = edit_to_json(PutNode("", "a", Node("a", "core/x")))
    node = data["node"]
    assert isinstance(node, dict)
    with pytest.raises(EditError):
        edit_from_json({**data, "node": {**node, "mode": "asleep"}})


def test_batches_within_batches_have_a_limit() -> None:
    data: object = WIRE
    for _ in range(MAX_NESTING + 2):
        data = {"edit": "batch", "edits": [data]}
    with pytest.raises(EditError, match="deep"):
        edit_from_json(data)  # pyright: ignore[reportArgumentType]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["edit", "graph", "target", "source"]), json_values)
def test_random_values_in_an_edit_raise_nothing_but_edit_errors(key: str, value: object) -> None:
    try:
        edit = edit_from_json({**WIRE, key: value})  # pyright: ignore[reportArgumentType]
    except EditError:
        return
    assert isinstance(edit, SetWire)


def test_an_edit_of_another_kind_is_not_written() -> None:
    @dataclass(frozen=True)
    class Private:
        def apply(self, content: Content) -> tuple[Content, Edit]:
            return content, self

    with pytest.raises(EditError, match="Private"):
        edit_to_json(Private())


def test_a_field_value_is_kept_as_it_is() -> None:
    edit = SetNodeField("", "a", "look", {"new_each_run": ["seed"]})
    assert edit_from_json(edit_to_json(edit)) == edit
