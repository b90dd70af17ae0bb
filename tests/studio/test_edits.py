from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.document import Content, Document
from studio.edits import Batch, Edit, PutDefinition, PutFrame, PutNode, PutNote, SetKnob, SetWire
from studio.errors import EditError
from studio.files import pretty, workflow
from studio.files.edits_json import edit_from_json, edit_to_json
from studio.graph import BOUNDARY, ROOT, Frame, Node, Note, Socket
from tests.studio.contents import contents, edits, small_content

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@quick
@given(contents(), st.lists(edits, min_size=1, max_size=12))
def test_edits_undone_in_reverse_restore_every_earlier_document(content: Content, script: list[Edit]) -> None:
    document = Document(content)
    before: list[tuple[Content, bytes]] = []
    inverses: list[Edit] = []
    for edit in script:
        state = document.content
        written = pretty.dumps(workflow.to_json(state))
        try:
            inverse = document.apply(edit)
        except EditError:
            assert document.content is state
        else:
            before.append((state, written))
            inverses.append(inverse)
    while inverses:
        document.apply(inverses.pop())
        state, written = before.pop()
        assert document.content == state
        assert pretty.dumps(workflow.to_json(state)) == written  # nothing was written to in place
    assert document.content == content


@quick
@given(edits)
def test_every_edit_survives_json_exactly(edit: Edit) -> None:
    text = json.dumps(edit_to_json(edit))
    read = edit_from_json(json.loads(text))
    assert read == edit
    assert json.dumps(edit_to_json(read)) == text


@quick
@given(contents(), edits)
def test_an_inverse_survives_json_and_still_leads_back(content: Content, edit: Edit) -> None:
    try:
        after, inverse = edit.apply(content)
    except EditError:
        return
    read = edit_from_json(json.loads(json.dumps(edit_to_json(inverse))))
    restored, redo = read.apply(after)
    assert restored == content
    assert redo.apply(restored)[0] == after


def test_a_batch_that_fails_in_the_middle_changes_nothing() -> None:
    content = small_content()
    document = Document(content)
    with pytest.raises(EditError):
        document.apply(
            Batch((SetKnob(ROOT, "photo", "path", "b.png"), SetKnob(ROOT, "nobody", "path", "c.png")))
        )
    assert document.content is content
    assert content.root.nodes["photo"].params == {"path": "a.png"}


def test_a_node_with_wires_is_not_taken_away() -> None:
    with pytest.raises(EditError, match="wires"):
        PutNode(ROOT, "photo", None).apply(small_content())


@pytest.mark.parametrize("key", ["", "a/b", "a.b"])
def test_an_id_that_addresses_could_not_tell_apart_is_refused(key: str) -> None:
    with pytest.raises(EditError, match="id"):
        PutNode(ROOT, key, Node(key, "core/number")).apply(small_content())


def test_a_frame_or_note_goes_under_its_own_id_only() -> None:
    for edit in (PutFrame("f1", Frame("f2")), PutNote("n1", Note("n2"))):
        with pytest.raises(EditError, match="place of"):
            edit.apply(small_content())


def test_the_boundary_is_wired_in_definitions_only() -> None:
    wire = (Socket("photo", "path"), Socket(BOUNDARY, "picture"))
    with pytest.raises(EditError):
        SetWire(ROOT, *wire).apply(small_content())
    after, _ = SetWire("soften", Socket("blur", "mask"), Socket(BOUNDARY, "picture")).apply(small_content())
    assert after.graphs["soften"].wires[Socket("blur", "mask")] == Socket(BOUNDARY, "picture")


def test_the_root_is_no_definition() -> None:
    with pytest.raises(EditError):
        PutDefinition(ROOT, None).apply(small_content())


def test_unset_takes_a_knob_back_to_its_default_and_undo_brings_the_value_back() -> None:
    content = small_content()
    after, inverse = SetKnob(ROOT, "photo", "path", None, unset=True).apply(content)
    assert after.root.nodes["photo"].params == {}
    assert inverse.apply(after)[0] == content
