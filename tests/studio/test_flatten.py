"""Flattening: modes, frames and definitions resolved, with the keys of never having had them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio import flatten as flatten_module
from studio.cache.store import Store
from studio.document import Content
from studio.executor import Executor, Request
from studio.flatten import MAX_DEPTH, Flat, flatten
from studio.graph import BOUNDARY, ROOT, ExposedKnob, Frame, Graph, Interface, Mode, Node, Port, Socket
from studio.plan import Planning
from tests.studio import documents, rogues, toys
from tests.studio.toys import CATALOGUE, content, make_graph

GRAIN = "toy/grain"


def flat(document: Content) -> Flat:
    return flatten(document, CATALOGUE)


def wires(found: Flat) -> dict[str, str]:
    return {
        f"{address}.{name}": f"{source.address}.{source.output}"
        for address, node in found.nodes.items()
        for name, source in node.wires.items()
    }


def titles(found: Flat) -> list[str]:
    return [problem.title for problem in found.problems]


def with_modes(document: Content, **modes: Mode) -> Content:
    root = document.root
    nodes = {key: replace(node, mode=modes.get(key, "on")) for key, node in root.nodes.items()}
    return replace(document, graphs={**document.graphs, ROOT: replace(root, nodes=nodes)})


def chain() -> Content:
    return content(
        {
            "a": ("grain", {}, {}),
            "b": ("grain", {}, {}),
            "sum": ("add", {}, {"left": "a.grain", "right": "b.grain"}),
            "end": ("double", {}, {"grain": "sum.grain"}),
        }
    )


def test_a_plain_graph_is_itself_with_sources_first() -> None:
    found = flat(chain())
    assert wires(found) == {"sum.left": "a.grain", "sum.right": "b.grain", "end.grain": "sum.grain"}
    assert found.order.index("sum") > max(found.order.index("a"), found.order.index("b"))
    assert found.order[-1] == "end"
    assert not found.problems


def test_bypass_passes_the_first_wired_input_of_the_same_type() -> None:
    found = flat(with_modes(chain(), sum="bypass"))
    assert wires(found) == {"end.grain": "a.grain"}
    assert found.skipped == {"sum": "bypassed"}
    document = chain()
    only_right = {target: source for target, source in document.root.wires.items() if target.name != "left"}
    document = replace(document, graphs={ROOT: replace(document.root, wires=only_right)})
    assert wires(flat(with_modes(document, sum="bypass"))) == {"end.grain": "b.grain"}


def test_bypass_passes_the_input_of_the_same_name_before_others() -> None:
    document = content(
        {
            "a": ("grain", {}, {}),
            "b": ("grain", {}, {}),
            "both": ("exchange", {}, {"left": "a.grain", "right": "b.grain"}),
            "first": ("double", {}, {"grain": "both.left"}),
            "second": ("double", {}, {"grain": "both.right"}),
        }
    )
    found = wires(flat(with_modes(document, both="bypass")))
    assert found == {"first.grain": "a.grain", "second.grain": "b.grain"}


def test_bypass_without_a_fitting_input_is_a_problem_where_the_output_is_wired() -> None:
    document = content({"g": ("grain", {}, {}), "d": ("double", {}, {"grain": "g.grain"})})
    found = flat(with_modes(document, g="bypass"))
    assert [(problem.kind, problem.node) for problem in found.problems] == [
        ("bypass", "g"),
        ("missing_wire", "d"),
    ]
    alone = content({"g": ("grain", {}, {})})
    assert not flat(with_modes(alone, g="bypass")).problems


def test_mute_takes_out_all_that_requires_it_and_unwires_what_does_not() -> None:
    found = flat(with_modes(chain(), a="mute"))
    assert set(found.nodes) == {"b"}
    assert found.skipped["sum"] == "needs a muted node"
    assert found.skipped["end"] == "needs sum, which is skipped"
    found = flat(with_modes(chain(), b="mute"))
    assert wires(found) == {"sum.left": "a.grain", "end.grain": "sum.grain"}


def test_mute_behind_a_bypass_counts() -> None:
    found = flat(with_modes(chain(), a="mute", sum="bypass"))
    assert set(found.skipped) == {"a", "sum", "end"}


def test_a_knob_wired_to_a_muted_node_keeps_its_own_value() -> None:
    document = content({"n": ("number", {}, {}), "g": ("grain", {"value": 3}, {"value": "n.int"})})
    found = flat(with_modes(document, n="mute"))
    assert set(found.nodes) == {"g"}
    assert not wires(found)


def test_a_lazy_node_lives_while_a_branch_it_may_not_take_is_muted() -> None:
    document = content(
        {
            "a": ("grain", {}, {}),
            "b": ("grain", {}, {}),
            "first": ("first_heavy", {}, {"a": "a.grain", "b": "b.grain"}),
        }
    )
    found = flat(with_modes(document, b="mute"))
    assert found.nodes["first"].muted == {"b"}
    assert wires(found) == {"first.a": "a.grain"}
    assert not found.problems


def test_a_frame_that_is_off_mutes_its_nodes_in_its_graph_only() -> None:
    document = grouped()
    off = replace(document, frames={"f": Frame("f", "pair", nodes=("b",), on=False)})
    assert set(flat(off).nodes) == {"a"}
    on = replace(document, frames={"f": Frame("f", "pair", nodes=("b",))})
    assert set(flat(on).nodes) == {"a", "g/b", "g/c"}
    elsewhere = replace(document, frames={"f": Frame("f", ROOT, nodes=("b",), on=False)})
    assert set(flat(elsewhere).nodes) == {"a", "g/b", "g/c"}
    nowhere = replace(document, frames={"f": Frame("f", "ghost", nodes=("b",), on=False)})
    assert set(flat(nowhere).nodes) == {"a", "g/b", "g/c"}


def pair() -> Graph:
    inner = make_graph(
        {"b": ("double", {}, {"grain": ".in"}), "c": ("add", {"more": 9}, {"left": "b.grain"})},
        interface=Interface((Port("in", GRAIN),), (Port("out", GRAIN),), (ExposedKnob("more", "c", "more"),)),
    )
    return replace(inner, wires={**inner.wires, Socket(BOUNDARY, "out"): Socket("c", "grain")})


def grouped(**params: Any) -> Content:
    outer = make_graph({"a": ("grain", {}, {}), "g": ("@pair", params, {"in": "a.grain"})})
    return Content(graphs={ROOT: outer, "pair": pair()})


def test_a_definition_unfolds_with_its_values_and_holders() -> None:
    found = flat(grouped(more=4))
    assert wires(found) == {"g/b.grain": "a.grain", "g/c.left": "g/b.grain"}
    assert found.nodes["g/c"].node.params == {"more": 4}
    assert flat(grouped()).nodes["g/c"].node.params == {"more": 9}
    assert [tuple(holder) for holder in found.nodes["g/c"].within] == [("g", ROOT, "g")]
    assert found.nodes["g/c"].graph == "pair"


def test_two_uses_of_a_definition_are_apart() -> None:
    outer = make_graph(
        {
            "a": ("grain", {}, {}),
            "g": ("@pair", {"more": 1}, {"in": "a.grain"}),
            "h": ("@pair", {"more": 2}, {"in": "g.out"}),
        }
    )
    found = flat(Content(graphs={ROOT: outer, "pair": pair()}))
    assert wires(found)["h/b.grain"] == "g/c.grain"
    assert [found.nodes[f"{use}/c"].node.params["more"] for use in "gh"] == [1, 2]


def test_a_wire_into_a_shown_knob_reaches_the_inner_one_through_all_layers() -> None:
    shown = Interface((Port("in", GRAIN),), (Port("out", GRAIN),), (ExposedKnob("much", "g", "more"),))
    middle = make_graph({"g": ("@pair", {}, {"in": ".in"})}, interface=shown)
    middle = replace(middle, wires={**middle.wires, Socket(BOUNDARY, "out"): Socket("g", "out")})
    outer = make_graph(
        {
            "n": ("number", {}, {}),
            "a": ("grain", {}, {}),
            "m": ("@middle", {"much": 5}, {"in": "a.grain", "much": "n.int"}),
            "e": ("double", {}, {"grain": "m.out"}),
        }
    )
    found = flat(Content(graphs={ROOT: outer, "middle": middle, "pair": pair()}))
    assert wires(found)["m/g/c.more"] == "n.int"
    assert wires(found)["e.grain"] == "m/g/c.grain"
    assert found.nodes["m/g/c"].node.params["more"] == 5


def test_a_definition_that_leads_straight_through_is_a_wire() -> None:
    straight = Graph(
        {},
        {Socket(BOUNDARY, "out"): Socket(BOUNDARY, "in")},
        Interface((Port("in", GRAIN),), (Port("out", GRAIN),)),
    )
    outer = make_graph(
        {
            "a": ("grain", {}, {}),
            "s": ("@straight", {}, {"in": "a.grain"}),
            "d": ("double", {}, {"grain": "s.out"}),
        }
    )
    assert wires(flat(Content(graphs={ROOT: outer, "straight": straight}))) == {"d.grain": "a.grain"}


def test_an_unwired_port_leaves_the_inner_input_unwired_and_says_so() -> None:
    outer = make_graph({"g": ("@pair", {}, {})})
    found = flat(Content(graphs={ROOT: outer, "pair": pair()}))
    assert [(problem.kind, problem.graph, problem.node) for problem in found.problems] == [
        ("missing_wire", "pair", "b")
    ]


def test_a_definition_that_holds_itself_even_twice_ends() -> None:
    both = make_graph({"x": ("@self", {}, {}), "y": ("@self", {}, {}), "g": ("grain", {}, {})})
    found = flat(Content(graphs={ROOT: make_graph({"s": ("@self", {}, {})}), "self": both}))
    assert set(found.nodes) == {"s/g"}
    assert set(found.unknown) == {"s/x", "s/y"}
    assert titles(found)[0] == "“x” is a “self” within “self”: the definition holds itself."


def test_definitions_that_hold_each_other_end() -> None:
    graphs = {
        ROOT: make_graph({"s": ("@one", {}, {})}),
        "one": make_graph({"t": ("@two", {}, {})}),
        "two": make_graph({"o": ("@one", {}, {})}),
    }
    assert set(flat(Content(graphs=graphs)).unknown) == {"s/t/o"}


def test_doubling_definitions_stop_at_a_number_of_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatten_module, "MAX_NODES", 2000)
    graphs = {"d0": make_graph({"g": ("grain", {}, {})})}
    for index in range(1, 25):
        graphs[f"d{index}"] = make_graph({name: (f"@d{index - 1}", {}, {}) for name in ("l", "r")})
    graphs[ROOT] = make_graph({"s": ("@d24", {}, {})})
    found = flat(Content(graphs=graphs))
    assert len(found.nodes) + len(found.unknown) <= 2000
    assert any("more than 2,000 nodes" in title for title in titles(found))


def test_nesting_is_limited() -> None:
    graphs = {"d0": make_graph({"g": ("grain", {}, {})})}
    for index in range(1, MAX_DEPTH + 2):
        graphs[f"d{index}"] = make_graph({"n": (f"@d{index - 1}", {}, {})})
    deepest = {**graphs, ROOT: make_graph({"n": (f"@d{MAX_DEPTH - 1}", {}, {})})}
    assert len(flat(Content(graphs=deepest)).nodes) == 1
    too_deep = {**graphs, ROOT: make_graph({"n": (f"@d{MAX_DEPTH}", {}, {})})}
    assert f"more than {MAX_DEPTH} deep" in titles(flat(Content(graphs=too_deep)))[0]


def test_a_circle_names_its_nodes_and_leaves_out_what_depends_on_it() -> None:
    document = content(
        {
            "a": ("add", {}, {"left": "b.grain"}),
            "b": ("double", {}, {"grain": "a.grain"}),
            "after": ("double", {}, {"grain": "b.grain"}),
            "apart": ("grain", {}, {}),
        }
    )
    found = flat(document)
    assert found.order == ["apart"]
    assert [problem.node for problem in found.problems] == ["a", "b"]
    assert set(titles(found)) == {"These nodes wait for each other: a, b."}


def test_a_large_circle_is_told_in_short_sentences() -> None:
    graph: dict[str, Any] = {
        f"n{index}": ("double", {}, {"grain": f"n{(index + 1) % 3000}.grain"}) for index in range(3000)
    }
    found = flat(content(graph))
    assert len(found.problems) == 3000
    assert all(len(title) < 200 for title in titles(found))
    assert "and 2,988 more." in titles(found)[0]


def test_a_circle_of_bypassed_nodes_is_told() -> None:
    document = content(
        {
            "a": ("double", {}, {"grain": "b.grain"}),
            "b": ("double", {}, {"grain": "a.grain"}),
            "end": ("double", {}, {"grain": "a.grain"}),
        }
    )
    found = flat(with_modes(document, a="bypass", b="bypass"))
    assert {problem.kind for problem in found.problems} == {"cycle", "missing_wire"}
    assert wires(found) == {}


def test_a_document_without_a_main_graph_is_empty() -> None:
    assert flat(Content(graphs={})) == Flat()


def test_wires_from_nowhere_are_no_wires() -> None:
    document = content({"d": ("double", {}, {"grain": "ghost.grain"})})
    found = flat(document)
    assert found.nodes["d"].wires == {}
    boundary = Graph({"d": Node("d", "toy/double")}, {Socket("d", "grain"): Socket(BOUNDARY, "in")})
    assert flat(Content(graphs={ROOT: boundary})).nodes["d"].wires == {}


def keys_by_place(document: Content, store: Store) -> dict[str, list[str]]:
    """Node → keys, by address, of everything that can be keyed once all that can run has run."""
    keys: dict[str, list[str]] = {}
    planned: list[Planning] = []
    make = Planning.__init__

    def watched(self: Planning, *rest: Any) -> None:
        planned.append(self)
        make(self, *rest)

    executor = Executor(rogues.REGISTRY, store, emit=lambda _: None)
    Planning.__init__ = watched
    try:
        executor.run(Request("run", document, output_dir=Path("/nowhere")), threading.Event())
    finally:
        Planning.__init__ = make
        executor.close()
    for address, plan in planned[0].nodes.items():
        keys[address.rpartition("/")[2]] = [call.key for call in plan.calls]
    return keys


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents.sane_graphs(calm=True, size=8), st.data())
def test_grouping_and_flattening_gives_the_keys_of_never_having_grouped(
    graph: Graph, data: st.DataObject
) -> None:
    plain = Content(id="plain", graphs={ROOT: graph})
    fed = {source.node for source in graph.wires.values()}
    # An end stays outside, so that both documents are run to the same nodes.
    ids = frozenset(data.draw(st.sets(st.sampled_from(sorted(graph.nodes)), min_size=1))) - (
        graph.nodes.keys() - fed
    )
    knobs = sorted(
        Socket(node.id, knob.name)
        for node in graph.nodes.values()
        for knob in rogues.REGISTRY.specs[node.type].knobs
    )
    exposed = frozenset(data.draw(st.sets(st.sampled_from(knobs)))) if knobs else frozenset[Socket]()
    document = documents.grouped(plain, ROOT, ids, "g", exposed)
    if len(ids) > 1:
        inner = frozenset(data.draw(st.sets(st.sampled_from(sorted(ids)), min_size=1)))
        document = documents.grouped(document, "g_type", inner, "h", exposed)
    toys.calls.clear()
    store = Store(1 << 24, None)
    expected = keys_by_place(plain, store)
    toys.calls.clear()
    assert keys_by_place(document, store) == expected
    assert not toys.calls
