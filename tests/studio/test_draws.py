"""Values drawn for a run, and where in a document they go."""

from __future__ import annotations

from dataclasses import replace

from studio.document import Content
from studio.draws import SEED_BITS, draw, inner_draws
from studio.graph import ROOT, ExposedKnob, Graph, Interface, Node
from tests.studio.toys import make_graph


def nested() -> Content:
    shown = Interface(knobs=(ExposedKnob("seed", "x", "value"),))
    handed_on = Interface(knobs=(ExposedKnob("much", "g", "seed"),))
    return Content(
        graphs={
            ROOT: make_graph({"m": ("@middle", {}, {}), "plain": ("grain", {}, {})}),
            "middle": make_graph({"g": ("@inner", {}, {})}, interface=handed_on),
            "inner": make_graph({"x": ("grain", {}, {})}, interface=shown),
        }
    )


def marked(document: Content, graph: str, node: str, *knobs: str) -> Content:
    held = document.graphs[graph]
    changed = replace(held.nodes[node], look={"new_each_run": list(knobs)})
    return replace(
        document, graphs={**document.graphs, graph: replace(held, nodes={**held.nodes, node: changed})}
    )


def test_knobs_marked_as_new_each_run_are_drawn_wherever_they_are() -> None:
    document = marked(marked(nested(), ROOT, "plain", "value"), "inner", "x", "value")
    first, second = draw(document), draw(document)
    assert {address: list(knobs) for address, knobs in first.items()} == {
        "plain": ["value"],
        "m/g/x": ["value"],
    }
    assert first != second
    assert all(0 <= value < 2**SEED_BITS for knobs in first.values() for value in knobs.values())


def test_a_definition_that_holds_itself_is_drawn_once() -> None:
    both = Graph({"s": Node("s", "self"), "x": Node("x", "toy/grain", look={"new_each_run": ["value"]})})
    assert list(draw(Content(graphs={ROOT: Graph({"s": Node("s", "self")}), "self": both}))) == ["s/x"]


def test_a_shown_knob_is_drawn_where_it_really_is() -> None:
    document = nested()
    assert inner_draws(document, {"m": {"much": 5}}) == {"m/g/x": {"value": 5}}
    assert inner_draws(document, {"m/g": {"seed": 6}, "plain": {"value": 1}}) == {
        "m/g/x": {"value": 6},
        "plain": {"value": 1},
    }


def test_of_two_draws_of_one_knob_the_outer_counts() -> None:
    drawn = {"m/g/x": {"value": 1}, "m": {"much": 3}, "m/g": {"seed": 2}}
    assert inner_draws(nested(), drawn) == {"m/g/x": {"value": 3}}


def test_draws_of_what_is_not_there_stay_as_they_are() -> None:
    drawn = {"ghost": {"value": 1}, "ghost/x": {"value": 1}, "m": {"nothing": 2}}
    assert inner_draws(nested(), drawn) == drawn
