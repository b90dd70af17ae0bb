from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio import gestures
from studio.document import Content
from studio.edits import Batch, Edit, SetKnob
from studio.errors import EditError
from studio.files import pretty, workflow
from studio.graph import BOUNDARY, ROOT, Graph, Node, Socket
from tests.studio.contents import contents, json_values, small_content


def done(content: Content, edit: Edit) -> Content:
    """The content after `edit`, having seen that it can be undone."""
    after, inverse = edit.apply(content)
    assert inverse.apply(after)[0] == content
    return after


def test_a_copy_is_marked_and_holds_what_its_nodes_name() -> None:
    data = json.loads(gestures.copy(small_content(), ROOT, ["photo", "soft"]))
    assert data["latent_studio"] == "fragment"
    assert set(data["graphs"]) == {"", "soften"}
    assert set(data["graphs"][""]["nodes"]) == {"photo", "soft"}


def test_pasting_renames_nodes_and_keeps_the_wires_among_them() -> None:
    content = small_content()
    edit, ids = gestures.paste(content, ROOT, gestures.copy(content, ROOT, ["photo", "soft"]), (100, 200))
    after = done(content, edit)
    assert ids == ["photo_2", "soft_2"]
    assert after.root.wires[Socket("soft_2", "picture")] == Socket("photo_2", "image")
    assert after.root.nodes["photo_2"].pos == (100, 200)
    assert after.root.nodes["soft_2"].pos == (400, 200)
    assert set(after.graphs) == set(content.graphs)


def test_numbers_in_ids_do_not_pile_up() -> None:
    content = Content(graphs={ROOT: Graph({"k_2": Node("k_2", "core/x"), "k": Node("k", "core/x")})})
    ids = gestures.duplicate(content, ROOT, ["k", "k_2"])[1]
    assert ids == ["k_3", "k_4"]


def test_wires_from_outside_are_drawn_again_only_if_asked_and_only_where_they_can() -> None:
    content = small_content()
    fragment = gestures.copy(content, ROOT, ["soft"])
    plain, _ = gestures.paste(content, ROOT, fragment, (0, 0))
    assert Socket("soft_2", "picture") not in done(content, plain).root.wires
    kept, _ = gestures.paste(content, ROOT, fragment, (0, 0), keep_wires=True)
    assert done(content, kept).root.wires[Socket("soft_2", "picture")] == Socket("photo", "image")
    elsewhere = Content()
    edit, _ = gestures.paste(elsewhere, ROOT, fragment, (0, 0), keep_wires=True)
    assert done(elsewhere, edit).root.wires == {}


def test_a_duplicate_is_fed_like_its_original_inside_a_definition_too() -> None:
    content = small_content()
    edit, ids = gestures.duplicate(content, "soften", ["blur"], by=(10, 20))
    after = done(content, edit).graphs["soften"]
    assert ids == ["blur_2"]
    assert after.nodes["blur_2"].pos == (10, 20)
    assert after.wires[Socket("blur_2", "image")] == Socket(BOUNDARY, "picture")
    assert after.wires[Socket(BOUNDARY, "image")] == Socket("blur", "image")


def test_a_definition_comes_along_into_another_document() -> None:
    content = small_content()
    edit, ids = gestures.paste(Content(), ROOT, gestures.copy(content, ROOT, ["soft"]), (0, 0))
    after, _ = edit.apply(Content())
    assert after.graphs["soften"] == content.graphs["soften"]
    assert after.root.nodes[ids[0]].type == "soften"


def test_a_definition_of_the_same_name_and_another_meaning_is_renamed() -> None:
    content = small_content()
    other, _ = SetKnob("soften", "blur", "radius", 9.0).apply(content)
    edit, ids = gestures.paste(other, ROOT, gestures.copy(content, ROOT, ["soft"]), (0, 0))
    after = done(other, edit)
    assert after.root.nodes[ids[0]].type == "soften_2"
    assert after.graphs["soften_2"] == content.graphs["soften"]
    assert after.graphs["soften"] == other.graphs["soften"]


def test_a_definition_is_renamed_where_one_within_it_differs() -> None:
    content = small_content()
    outer = Graph({"s": Node("s", "soften")})
    content = replace(
        content, graphs={ROOT: Graph({"o": Node("o", "outer")}), "outer": outer, **_inner(content)}
    )
    other, _ = SetKnob("soften", "blur", "radius", 9.0).apply(content)
    edit, ids = gestures.paste(other, ROOT, gestures.copy(content, ROOT, ["o"]), (0, 0))
    after = done(other, edit)
    assert after.root.nodes[ids[0]].type == "outer_2"
    assert after.graphs["outer_2"].nodes["s"].type == "soften_2"
    assert after.graphs["outer"] == outer


def _inner(content: Content) -> dict[str, Graph]:
    return {"soften": content.graphs["soften"]}


def test_a_node_is_not_pasted_into_its_own_definition() -> None:
    content = small_content()
    with pytest.raises(EditError, match="contain itself"):
        gestures.paste(content, "soften", gestures.copy(content, ROOT, ["soft"]), (0, 0))


def test_frames_and_notes_come_along_with_the_nodes_they_hold() -> None:
    content = small_content()
    fragment = gestures.copy(content, ROOT, ["photo"], frames=["f1"], notes=["n1"])
    edit, _ = gestures.paste(content, "soften", fragment, (0, 0))
    after = done(content, edit)
    assert after.frames["f1_2"].graph == "soften"
    assert after.frames["f1_2"].nodes == ("photo",)
    assert after.frames["f1_2"].rect == (0, 0, 600, 200)
    assert after.notes["n1_2"].text == "gently"


def test_a_whole_workflow_can_be_pasted() -> None:
    text = pretty.dumps(workflow.to_json(small_content())).decode()
    edit, ids = gestures.paste(Content(), ROOT, text, (0, 0))
    after, _ = edit.apply(Content())
    assert sorted(ids) == ["photo", "save", "soft"]
    assert after.root.wires == small_content().root.wires
    assert "n1" not in after.notes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents(), st.data())
def test_what_was_copied_pastes_into_an_empty_document_as_it_was(
    content: Content, data: st.DataObject
) -> None:
    keys = sorted(content.root.nodes)
    ids = data.draw(st.lists(st.sampled_from(keys), unique=True, min_size=1)) if keys else []
    if not ids:
        return
    left = min(content.root.nodes[key].pos[0] for key in ids)
    top = min(content.root.nodes[key].pos[1] for key in ids)
    edit, pasted = gestures.paste(Content(), ROOT, gestures.copy(content, ROOT, ids), (left, top))
    after = edit.apply(Content())[0]
    assert pasted == sorted(ids)
    for key in ids:
        same = replace(after.root.nodes[key], pos=content.root.nodes[key].pos)
        assert same == content.root.nodes[key]
    inner = {e: s for e, s in content.root.wires.items() if {e.node, s.node} <= set(ids)}
    assert after.root.wires == inner


@pytest.mark.parametrize(
    "text", ["", "a fox", "[]", "{}", '{"format": 99}', "[" * 5000, '{"latent_studio": 3, "format": 1}']
)
def test_other_things_on_the_clipboard_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(EditError, match="no part of a workflow"):
        gestures.paste(small_content(), ROOT, text, (0, 0))


def test_an_empty_copy_is_refused() -> None:
    content = small_content()
    with pytest.raises(EditError, match="nothing in"):
        gestures.paste(content, ROOT, gestures.copy(content, ROOT, []), (0, 0))
    with pytest.raises(EditError, match="no node"):
        gestures.copy(content, ROOT, ["nobody"])


@settings(max_examples=60, deadline=None)
@given(json_values, json_values)
def test_random_fragments_raise_nothing_but_edit_errors(nodes: object, outside: object) -> None:
    content = small_content()
    for inner in (nodes, {"a": {"type": "core/x", "version": 1, "params": {}, "wires": nodes}}):
        data = {
            "latent_studio": "fragment",
            "format": 1,
            "graphs": {"": {"nodes": inner}},
            "outside": {"a": outside},
        }
        try:
            edit, _ = gestures.paste(content, ROOT, json.dumps(data), (0, 0), keep_wires=True)
        except EditError:
            edit = Batch(())
        done(content, edit)


def test_thousands_of_nodes_paste_at_once() -> None:
    nodes = {f"n_{number}": Node(f"n_{number}", "core/x") for number in range(3000)}
    content = Content(graphs={ROOT: Graph(nodes)})
    edit, ids = gestures.duplicate(content, ROOT, nodes)
    assert len(set(ids)) == 3000
    assert isinstance(edit, Batch)
