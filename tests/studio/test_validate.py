"""Validation: every problem at once, each a sentence at its node; linear, and never raising."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio import reading
from studio.catalogue import Catalogue
from studio.document import Content
from studio.errors import Problem
from studio.graph import BOUNDARY, ROOT, ExposedKnob, Graph, Interface, Node, Port, Socket
from studio.validate import validate, wire_refusal
from tests.studio import contents
from tests.studio.toys import CATALOGUE, content, make_graph

Toys = dict[str, tuple[str, dict[str, Any], dict[str, str]]]


def problems(graph: Toys) -> list[Problem]:
    return validate(content(graph), CATALOGUE)


@pytest.mark.parametrize(
    ("graph", "kind", "node", "socket", "title"),
    [
        (
            {"x": ("alien/thing", {}, {})},
            "unknown_type",
            "x",
            "",
            "“x” is of the type “alien/thing”; the package “alien” is not installed.",
        ),
        (
            {"x": ("toy/thing", {}, {})},
            "unknown_type",
            "x",
            "",
            "“x” is of the type “toy/thing”, which toy does not have.",
        ),
        (
            {"x": ("@soft", {}, {})},
            "unknown_type",
            "x",
            "",
            "“x” is a subgraph “soft” that this document does not define.",
        ),
        ({"x": ("double", {}, {})}, "missing_wire", "x", "grain", "“x” needs toy/grain at “grain”."),
        ({"x": ("reroute", {}, {})}, "missing_wire", "x", "value", "“x” needs something at “value”."),
        (
            {"n": ("number", {}, {}), "x": ("double", {}, {"grain": "n.int"})},
            "wrong_type",
            "x",
            "grain",
            "“grain” of “x” takes a grain, and “int” is an int.",
        ),
        (
            {"g": ("grain", {}, {}), "x": ("grain", {}, {"value": "g.grain"})},
            "wrong_type",
            "x",
            "value",
            "“value” of “x” takes an int, and “grain” is a grain.",
        ),
        (
            {"g": ("grain", {}, {}), "x": ("add", {"more": 101}, {"left": "g.grain"})},
            "out_of_range",
            "x",
            "more",
            "“x”: “more” takes -100 to 100, not 101.",
        ),
        (
            {"x": ("grain", {"colour": 1}, {})},
            "unknown_socket",
            "x",
            "colour",
            "“x” holds a value for “colour”, and toy/grain has no such knob.",
        ),
        (
            {"g": ("grain", {}, {}), "x": ("add", {}, {"left": "g.grain", "middle": "g.grain"})},
            "unknown_socket",
            "x",
            "middle",
            "“x” has no input “middle”.",
        ),
        (
            {"g": ("grain", {}, {}), "x": ("double", {}, {"grain": "g.sand"})},
            "unknown_socket",
            "x",
            "grain",
            "“g” has no output “sand”.",
        ),
        (
            {"x": ("double", {}, {"grain": "ghost.grain"})},
            "unknown_socket",
            "x",
            "grain",
            "“x” is wired to “ghost”, which is not there.",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_node(
    graph: Toys, kind: str, node: str, socket: str, title: str
) -> None:
    (found,) = problems(graph)
    assert (found.kind, found.graph, found.node, found.socket) == (kind, ROOT, node, socket)
    assert found.title == title
    assert found.remedy.endswith(".")


def test_everything_is_told_at_once() -> None:
    found = problems(
        {
            "a": ("alien/thing", {}, {}),
            "b": ("double", {}, {}),
            "c": ("add", {"more": 500}, {"left": "d.grain"}),
            "d": ("add", {}, {"left": "c.grain"}),
            "e": ("grain", {"file": "/no/such/file"}, {}),
        }
    )
    kinds = Counter((problem.node, problem.kind) for problem in found)
    assert kinds == {
        ("a", "unknown_type"): 1,
        ("b", "missing_wire"): 1,
        ("c", "out_of_range"): 1,
        ("c", "cycle"): 1,
        ("d", "cycle"): 1,
        ("e", "missing_file"): 1,
    }


def test_a_healthy_graph_has_no_problems() -> None:
    graph: Toys = {
        "n": ("number", {}, {}),
        "g": ("grain", {"value": 3}, {"value": "n.int"}),
        "r": ("reroute", {}, {"value": "g.grain"}),
        "d": ("double", {}, {"grain": "r.value"}),
        "s": ("switch", {}, {"yes": "d.grain"}),
    }
    assert problems(graph) == []


@pytest.mark.parametrize(("version", "kind"), [(0, "older_version"), (2, "newer_version")])
def test_other_versions_are_told(version: int, kind: str) -> None:
    document = Content(graphs={ROOT: Graph({"x": Node("x", "toy/grain", version)})})
    assert [problem.kind for problem in validate(document, CATALOGUE)] == [kind]


def test_muted_nodes_and_sockets_of_bypassed_ones_are_left_alone() -> None:
    document = content({"x": ("double", {}, {}), "y": ("double", {}, {})})
    nodes = {
        "x": replace(document.root.nodes["x"], mode="mute"),
        "y": replace(document.root.nodes["y"], mode="bypass"),
    }
    assert validate(replace(document, graphs={ROOT: Graph(nodes)}), CATALOGUE) == []


def test_files_are_looked_for_beside_the_workflow(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    document = content(
        {
            "here": ("grain", {"file": "here.txt"}, {}),
            "gone": ("grain", {"file": "gone.txt"}, {}),
            "folder": ("grain", {"file": str(tmp_path)}, {}),
            "pipe": ("grain", {"file": "pipe"}, {}),
            "empty": ("grain", {"file": ""}, {}),
        }
    )
    found = {problem.node: problem for problem in validate(document, CATALOGUE, tmp_path)}
    assert set(found) == {"gone", "folder", "pipe"}
    assert str(tmp_path / "gone.txt") in found["gone"].title
    assert "a folder where a file is meant" in found["folder"].title
    assert "a device where a file is meant" in found["pipe"].title
    assert {problem.socket for problem in found.values()} == {"file"}


def inner(port: str = "toy/grain") -> Graph:
    shown = Interface((Port("in", port),), (Port("out", port),), (ExposedKnob("more", "c", "more"),))
    made = make_graph({"c": ("add", {}, {"left": ".in"})}, interface=shown)
    return replace(made, wires={**made.wires, Socket(BOUNDARY, "out"): Socket("c", "grain")})


def test_definitions_are_checked_inside_and_where_they_are_used() -> None:
    outer = make_graph({"n": ("number", {}, {}), "g": ("@soft", {"more": 999, "less": 1}, {"in": "n.int"})})
    found = validate(Content(graphs={ROOT: outer, "soft": inner()}), CATALOGUE)
    assert {(problem.kind, problem.graph, problem.node, problem.socket) for problem in found} == {
        ("out_of_range", ROOT, "g", "more"),
        ("unknown_socket", ROOT, "g", "less"),
        ("wrong_type", ROOT, "g", "in"),
    }
    wrong = validate(Content(graphs={ROOT: Graph(), "soft": inner("int")}), CATALOGUE)
    assert [problem.title for problem in wrong] == [
        "“left” of “c” takes a grain, and “in” is an int.",
        "“out” of the definition takes an int, and “grain” is a grain.",
    ]


def test_inputs_of_any_type_take_one_type_of_a_node() -> None:
    found = problems(
        {
            "n": ("number", {}, {}),
            "g": ("grain", {}, {}),
            "s": ("switch", {}, {"yes": "g.grain", "no": "n.int"}),
        }
    )
    assert "wrong_type" in {problem.kind for problem in found}


def test_a_wire_is_refused_for_its_type_and_for_closing_a_circle() -> None:
    document = content(
        {"n": ("number", {}, {}), "a": ("double", {}, {}), "b": ("double", {}, {"grain": "a.grain"})}
    )
    ask = lambda source, target: wire_refusal(document, CATALOGUE, ROOT, source, target)  # noqa: E731
    assert (
        ask(Socket("n", "int"), Socket("b", "grain")) == "“grain” of “b” takes a grain, and “int” is an int."
    )
    circle = ask(Socket("b", "grain"), Socket("a", "grain"))
    assert circle == "“b” depends on “a” already; this wire would close a circle."
    assert ask(Socket("a", "grain"), Socket("b", "grain")) is None


@pytest.mark.parametrize("shape", ["problems", "reroutes", "circle", "definitions", "ports"])
def test_work_grows_with_the_document_and_not_with_its_square(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Counter[str]()
    for name in ("spec", "output_type", "input_type", "_first_any", "_port", "_exposed", "_shown"):
        real = getattr(reading.Reading, name)

        def counted(
            self: reading.Reading, *rest: Any, _real: Any = real, _name: str = name, **named: Any
        ) -> Any:
            steps[_name] += 1
            return _real(self, *rest, **named)

        monkeypatch.setattr(reading.Reading, name, counted)

    def cost(count: int) -> int:
        steps.clear()
        validate(large(shape, count), CATALOGUE)
        return steps.total()

    assert cost(2000) < 2.5 * cost(1000)


def large(shape: str, count: int) -> Content:
    if shape == "problems":
        return content({f"n{index}": ("add", {"more": 999, "less": 1}, {}) for index in range(count)})
    if shape == "reroutes":
        graph: Toys = {"n0": ("reroute", {}, {})}
        graph |= {f"n{index}": ("reroute", {}, {"value": f"n{index - 1}.value"}) for index in range(1, count)}
        return content(dict(reversed(graph.items())))
    if shape == "circle":
        return content(
            {
                f"n{index}": ("double", {}, {"grain": f"n{(index + 1) % count}.grain"})
                for index in range(count)
            }
        )
    if shape == "ports":
        ports = tuple(Port(f"p{index}", "toy/grain") for index in range(count))
        wired: Toys = {f"n{index}": ("double", {}, {"grain": f".p{index}"}) for index in range(count)}
        return Content(graphs={ROOT: Graph(), "d": make_graph(wired, interface=Interface(ports))})
    graphs = {ROOT: make_graph({"g": (f"@d{count - 1}", {"k": 1}, {})})}
    graphs["d0"] = make_graph(
        {"x": ("grain", {}, {})}, interface=Interface(knobs=(ExposedKnob("k", "x", "value"),))
    )
    for index in range(1, count):
        shown = Interface(knobs=(ExposedKnob("k", "g", "k"),))
        graphs[f"d{index}"] = make_graph({"g": (f"@d{index - 1}", {}, {})}, interface=shown)
    return Content(graphs=graphs)


def test_5000_nodes_with_5000_problems_are_told_each() -> None:
    document = content({f"n{index}": ("double", {}, {}) for index in range(5000)})
    assert len({problem.node for problem in validate(document, CATALOGUE)}) == 5000


def test_a_definition_that_holds_itself_is_told() -> None:
    both = make_graph(
        {"x": ("@self", {}, {}), "g": ("grain", {}, {})},
        interface=Interface(knobs=(ExposedKnob("k", "x", "k"),)),
    )
    found = validate(Content(graphs={ROOT: make_graph({"s": ("@self", {}, {})}), "self": both}), CATALOGUE)
    assert [(problem.kind, problem.graph, problem.node) for problem in found] == [("cycle", "self", "x")]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents.contents(), st.sampled_from([CATALOGUE, Catalogue()]))
def test_garbage_never_raises(document: Content, catalogue: Catalogue) -> None:
    for problem in validate(document, catalogue):
        assert problem.title.endswith(".")
        assert problem.graph in document.graphs
        assert not problem.node or problem.node in document.graphs[problem.graph].nodes


def test_no_graph_at_all_is_no_problem() -> None:
    assert validate(Content(graphs={}), CATALOGUE) == []
