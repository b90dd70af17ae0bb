from dataclasses import replace

from studio.edits import SetNodeField
from studio.errors import Problem
from tests.ui.graph.conftest import Desk
from ui.graph.layout import Part
from ui.graph.tips import tip


def said(desk: Desk, key: str, kind: str, name: str = "") -> str:
    return tip(desk.scene.nodes[key].sight, Part(kind, name))  # pyright: ignore[reportArgumentType]


def test_a_socket_tells_type_shape_and_meaning(desk: Desk) -> None:
    text = said(desk, "soften", "input", "image")
    assert "image" in text
    assert "What to smear." in text
    assert "float32 [N, H, W, C]" in text
    assert "may stay unwired" in said(desk, "mix", "input", "mask")


def test_a_knob_tells_value_meaning_and_limits(desk: Desk) -> None:
    text = said(desk, "soften", "knob", "radius")
    assert "5" in text
    assert "How far." in text
    assert "0 to 100" in text


def test_a_header_tells_what_the_node_does_how_it_ran_and_what_is_wrong(desk: Desk) -> None:
    desk.status.set_state("soften", "ran", 1.234, "radius 4 → 5")
    desk.status.set_problems([Problem("missing_wire", "It needs a wire.", "Draw one.", node="soften")])
    text = said(desk, "soften", "header")
    for words in ("Smears an image.", "1.23 s", "radius 4 → 5", "It needs a wire. Draw one."):
        assert words in text


def test_words_out_of_files_are_no_markup(desk: Desk) -> None:
    desk.editing.apply(SetNodeField("", "soften", "title", "<img src=x>"), "x")
    assert "<img" not in said(desk, "soften", "header")
    sight = desk.scene.nodes["soften"].sight
    evil = replace(sight.node, params={**sight.node.params, "label": "<b>" + "x" * 500})
    assert "<b>x" not in tip(replace(sight, node=evil), Part("knob", "label"))
    assert len(tip(replace(sight, node=evil), Part("knob", "label"))) < 300
