"""Types of sockets: through nodes that take anything, and in and out of definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from studio.document import Content
from studio.graph import BOUNDARY, ROOT, ExposedKnob, Graph, Interface, Node, Port, Socket
from studio.reading import Reading, fits
from tests.studio.toys import CATALOGUE, content, make_graph


def reading(graph: dict[str, Any]) -> Reading:
    return Reading(content(graph), CATALOGUE)


def test_types_come_from_the_spec() -> None:
    read = reading({"g": ("grain", {}, {}), "d": ("double", {}, {})})
    assert read.output_type(ROOT, Socket("g", "grain")) == "toy/grain"
    assert read.input_type(ROOT, Socket("d", "grain")) == "toy/grain"
    assert read.input_type(ROOT, Socket("g", "value")) == "int"
    assert read.output_type(ROOT, Socket("g", "nothing")) is None
    assert read.output_type(ROOT, Socket("ghost", "grain")) is None
    assert read.input_type(ROOT, Socket("g", "nothing")) is None
    assert read.input_type(ROOT, Socket("ghost", "grain")) is None


def test_anything_is_what_it_was_given() -> None:
    graph: dict[str, Any] = {"n": ("number", {}, {}), "r0": ("reroute", {}, {"value": "n.int"})}
    graph |= {f"r{index}": ("reroute", {}, {"value": f"r{index - 1}.value"}) for index in range(1, 3000)}
    read = reading(graph)
    assert read.output_type(ROOT, Socket("r2999", "value")) == "int"
    assert read.output_type(ROOT, Socket("r5", "value")) == "int"
    assert reading({"r": ("reroute", {}, {})}).output_type(ROOT, Socket("r", "value")) == "any"


def test_definitions_bind_nothing() -> None:
    shown = Interface((Port("in", "any"), Port("too", "any")), (Port("out", "any"),))
    outer = make_graph({"n": ("number", {}, {}), "g": ("@d", {}, {"in": "n.int"})})
    read = Reading(Content(graphs={ROOT: outer, "d": Graph(interface=shown)}), CATALOGUE)
    assert read.output_type(ROOT, Socket("g", "out")) == "any"
    assert read.input_type(ROOT, Socket("g", "too")) == "any"


def test_a_circle_of_anything_is_anything() -> None:
    read = reading({"a": ("reroute", {}, {"value": "b.value"}), "b": ("reroute", {}, {"value": "a.value"})})
    assert read.output_type(ROOT, Socket("a", "value")) == "any"
    assert read.output_type(ROOT, Socket("b", "value")) == "any"


def test_a_switch_takes_at_one_input_what_the_other_was_given() -> None:
    read = reading({"g": ("grain", {}, {}), "s": ("switch", {}, {"yes": "g.grain"})})
    assert read.input_type(ROOT, Socket("s", "no")) == "toy/grain"
    assert read.input_type(ROOT, Socket("s", "yes")) == "any"
    assert read.input_type(ROOT, Socket("s", "condition")) == "bool"


def definition() -> Graph:
    shown = Interface(
        (Port("in", "toy/grain", optional=True),),
        (Port("out", "toy/grain", many=True),),
        (
            ExposedKnob("much", "c", "more"),
            ExposedKnob("ghostly", "ghost", "x"),
            ExposedKnob("odd", "c", "x"),
        ),
    )
    return make_graph({"c": ("add", {"more": 7}, {"left": ".in"})}, interface=shown, title="Soft")


def test_a_definition_has_a_spec_of_what_it_shows() -> None:
    document = Content(graphs={ROOT: make_graph({"g": ("@soft", {}, {})}), "soft": definition()})
    spec = Reading(document, CATALOGUE).spec(document.root.nodes["g"])
    assert spec is not None
    assert (spec.title, [item.name for item in spec.inputs]) == ("Soft", ["in"])
    assert spec.inputs[0].optional
    assert spec.outputs[0].many
    assert [(knob.name, knob.default, knob.options["max"]) for knob in spec.knobs] == [("much", 7, 100)]


def test_boundaries_have_the_types_of_their_ports() -> None:
    document = Content(graphs={ROOT: Graph(), "soft": definition()})
    read = Reading(document, CATALOGUE)
    assert read.output_type("soft", Socket(BOUNDARY, "in")) == "toy/grain"
    assert read.input_type("soft", Socket(BOUNDARY, "out")) == "toy/grain"
    assert read.output_type("soft", Socket(BOUNDARY, "out")) is None
    assert (
        read.refusal("soft", Socket(BOUNDARY, "out"), Socket("c", "left"))
        == "The definition has no input “out”."
    )
    assert (
        read.refusal("soft", Socket("c", "grain"), Socket(BOUNDARY, "in"))
        == "The definition has no output “in”."
    )


@pytest.mark.parametrize("deepest_first", [True, False])
def test_a_knob_handed_on_through_thousands_of_definitions_is_found(deepest_first: bool) -> None:
    graphs = {"d0": definition()}
    for index in range(1, 3000):
        name = "much"
        shown = Interface(knobs=(ExposedKnob(name, "g", name),))
        graphs[f"d{index}"] = make_graph({"g": (f"@d{index - 1}", {}, {})}, interface=shown)
    graphs["d5"] = replace(graphs["d5"], nodes={"g": Node("g", "d4", params={"much": 8})})
    document = Content(graphs={ROOT: Graph(), **graphs})
    read = Reading(document, CATALOGUE)
    order = [4, 6, 2999] if deepest_first else [2999, 6, 4]
    found = {index: read.spec(Node("x", f"d{index}")) for index in order}
    assert [found[index].knobs[0].default for index in (4, 6, 2999)] == [7, 8, 8]


def test_a_definition_that_shows_its_own_knob_shows_none() -> None:
    shown = Interface(knobs=(ExposedKnob("k", "g", "k"),))
    document = Content(graphs={ROOT: Graph(), "self": make_graph({"g": ("@self", {}, {})}, interface=shown)})
    spec = Reading(document, CATALOGUE).spec(Node("x", "self"))
    assert spec is not None
    assert spec.knobs == ()


def test_unknown_types_have_no_spec() -> None:
    read = reading({})
    assert read.spec(Node("x", "alien/thing")) is None
    assert read.spec(Node("x", "ghost")) is None


def test_whole_numbers_widen_and_nothing_else_does() -> None:
    assert fits("int", "float")
    assert not fits("float", "int")
    assert not fits("bool", "int")
    assert fits("any", "toy/grain")
    assert fits("toy/grain", "any")


def test_circles_are_seen_before_they_are_closed() -> None:
    read = reading(
        {
            "a": ("double", {}, {}),
            "b": ("double", {}, {"grain": "a.grain"}),
            "c": ("double", {}, {"grain": "b.grain"}),
        }
    )
    assert read.closes_cycle(ROOT, Socket("c", "grain"), Socket("a", "grain"))
    assert read.closes_cycle(ROOT, Socket("a", "grain"), Socket("a", "grain"))
    assert not read.closes_cycle(ROOT, Socket("a", "grain"), Socket("c", "grain"))
    assert not read.closes_cycle(ROOT, Socket(BOUNDARY, "in"), Socket("a", "grain"))
