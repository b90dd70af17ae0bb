"""Executor against nodes and documents that mean it no good, and against too little memory."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.document import Content
from studio.errors import StudioError
from studio.events import NodeChanged, NodeFailed, RunStarted
from studio.graph import ROOT, ExposedKnob, Graph, Interface, Port, Socket
from tests.studio import rogues, toys
from tests.studio.toys import Bench, calls, content, make_graph


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    toys.gate.clear()
    made = Bench(tmp_path, registry=rogues.REGISTRY)
    yield made
    made.close()


def kept(bench: Bench, name: str = "grain") -> str:
    return (bench.folder / f"{name}.txt").read_text()


def test_a_recipe_with_more_to_it_is_known_by_all_of_it(bench: Bench) -> None:
    def strong(strength: float) -> Content:
        return content(
            {
                "c": ("control", {"strength": strength}, {}),
                "f": ("felt", {}, {"control": "c.control"}),
                "k": ("keep", {}, {"grain": "f.grain"}),
            }
        )

    bench.run(strong(0.25))
    bench.run(strong(0.5))
    assert calls["felt"] == 1
    assert kept(bench) == "50"


def test_a_node_that_fails_while_planning_fails_alone(bench: Bench) -> None:
    document = content(
        {
            "d": ("divide", {"left": 1, "right": 0}, {}),
            "x": ("grain", {}, {"value": "d.int"}),
            "good": ("grain", {"value": 3}, {}),
            "k": ("keep", {}, {"grain": "good.grain"}),
        }
    )
    assert bench.run(document, "x", "k").state == "failed"
    assert "ZeroDivisionError" in bench.failures["d"].title
    assert bench.states["x"] == "skipped"
    assert kept(bench) == "3"
    assert bench.plan(document, "x")["d"][0] == "failed"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("cancel", "nobody had cancelled it"),
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("huge", "more than 64 bits"),
    ],
)
def test_a_node_may_stop_however_it_likes(bench: Bench, how: str, told: str) -> None:
    document = content(
        {"q": ("quits", {"how": how}, {}), "g": ("grain", {}, {}), "k": ("keep", {}, {"grain": "g.grain"})}
    )
    assert bench.run(document, "q", "k").state == "failed"
    assert told in bench.failures["q"].title
    assert not bench.cancelled.is_set()
    assert bench.states["k"] == "ran"


def test_equal_nodes_fail_together_and_end(bench: Bench) -> None:
    document = content(
        {
            "a": ("quits", {"how": "error"}, {}),
            "b": ("quits", {"how": "error"}, {}),
            "x": ("grain", {}, {"value": "a.int"}),
            "y": ("grain", {}, {"value": "b.int"}),
        }
    )
    assert bench.run(document).state == "failed"
    assert calls == {"quits": 1}
    assert bench.states == {"a": "failed", "b": "failed", "x": "skipped", "y": "skipped"}


def test_a_node_with_many_calls_is_told_to_have_failed_once(bench: Bench) -> None:
    document = content(
        {
            "l": ("grains", {"values": "1,2,3,4,5"}, {}),
            "p": ("picky", {}, {"grain": "l.grain"}),
            "t": ("total", {}, {"grains": "p.grain"}),
        }
    )
    assert bench.run(document).state == "failed"
    told = Counter(event.node for event in bench.events if isinstance(event, NodeFailed))
    states = [event.state for event in bench.events if isinstance(event, NodeChanged) and event.node == "p"]
    assert told == {"p": 1}
    assert states == ["running", "failed"]
    assert bench.states["t"] == "skipped"


def test_a_generator_that_never_yields_is_called_once(bench: Bench) -> None:
    document = content({"n": ("never_asks", {}, {}), "k": ("keep", {}, {"grain": "n.grain"})})
    assert bench.run(document).state == "done"
    assert kept(bench) == "7"
    bench.run(document)
    assert calls == {"keep": 1}


@pytest.mark.parametrize("how", ["twice", "stranger", "number", "true"])
def test_a_lazy_node_that_asks_oddly_is_told_so(bench: Bench, how: str) -> None:
    document = content({"g": ("grain", {}, {}), "o": ("asks_oddly", {"how": how}, {"a": "g.grain"})})
    assert bench.run(document).state == "failed"
    assert "It asks for" in bench.failures["o"].title
    assert calls["asks_oddly"] <= 2


def test_a_node_that_passes_and_asks_for_ever_is_told_so(bench: Bench) -> None:
    document = content(
        {
            "g": ("grain", {}, {}),
            "p": ("passes_for_ever", {}, {"a": "g.grain"}),
            "d": ("double", {}, {"grain": "p.value"}),
        }
    )
    document = replace(
        document,
        graphs={
            ROOT: replace(
                document.root, wires={**document.root.wires, Socket("d", "grain"): Socket("p", "grain")}
            )
        },
    )
    assert bench.run(document).state == "failed"
    assert "a second time" in bench.failures["p"].title


def test_a_lazy_list_input_gets_a_list_of_one(bench: Bench) -> None:
    document = content(
        {
            "g": ("grain", {"value": 4}, {}),
            "t": ("lazy_total", {}, {"grains": "g.grain"}),
            "k": ("keep", {}, {"grain": "t.grain"}),
        }
    )
    assert bench.run(document).state == "done"
    assert kept(bench) == "4"


def test_a_node_that_writes_into_its_knobs_changes_neither_document_nor_key(bench: Bench) -> None:
    words: list[Any] = ["one"]
    document = content({"s": ("scribbler", {"words": words}, {}), "k": ("keep", {}, {"grain": "s.grain"})})
    bench.run(document)
    assert words == ["one"]
    bench.run(document)
    assert calls == {"keep": 1}
    assert rogues.scribbler.spec.defaults == {"words": ["a"]}


def test_a_node_that_writes_into_a_picture_fails_and_the_picture_stays(bench: Bench) -> None:
    document = content({"p": ("speck", {}, {}), "s": ("smearer", {}, {"image": "p.image"})})
    assert bench.run(document).state == "failed"
    assert "read-only" in bench.failures["s"].title
    assert bench.run(content({"p": ("speck", {}, {})})).state == "done"
    assert not calls


def test_cancelling_while_a_number_is_awaited_leaves_the_rest_cancelled(bench: Bench) -> None:
    document = content(
        {
            "p": ("paused", {}, {}),
            "x": ("grain", {}, {"value": "p.int"}),
            "d": ("double", {}, {"grain": "x.grain"}),
        }
    )
    calls.clear()
    thread = rogues.cancel_while_paused(bench.cancelled)
    assert bench.run(document).state == "cancelled"
    thread.join()
    assert bench.states == {"p": "ran", "x": "cancelled", "d": "cancelled"}


@pytest.mark.parametrize("has_disk", [True, False])
def test_no_memory_at_all_makes_runs_slow_and_not_wrong(tmp_path: Path, has_disk: bool) -> None:
    bench = Bench(tmp_path, registry=rogues.REGISTRY, ram_bytes=0, has_disk=has_disk)
    document = content(
        {
            "h": ("heap", {"values": "1,2,3"}, {}),
            "g": ("grain", {}, {"value": "h.int"}),
            "d": ("double", {}, {"grain": "g.grain"}),
            "t": ("total", {}, {"grains": "d.grain"}),
            "w": ("weigh", {}, {"grain": "t.grain"}),
            "x": ("grain", {}, {"value": "w.int"}),
            "f": ("first_heavy", {}, {"a": "x.grain", "b": "t.grain"}),
            "k": ("keep", {}, {"grain": "f.grain"}),
        }
    )
    assert bench.run(document).state == "done"
    assert kept(bench) == "1012"
    assert calls["heap"] <= 3
    assert not bench.executor._prepared[0].flat.unknown
    bench.close()


def test_nothing_is_held_once_a_run_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio import run

    held: list[dict[str, Any]] = []
    make = run.Run.__init__

    def watched(self: run.Run, name: str, planning: Any, ground: Any, *rest: Any) -> None:
        held.append(ground.held)
        make(self, name, planning, ground, *rest)

    monkeypatch.setattr(run.Run, "__init__", watched)
    document = content(
        {
            "g": ("grain", {"value": 2}, {}),
            "bad": ("broken", {"how": "error"}, {}),
            "s": ("add", {}, {"left": "g.grain", "right": "bad.grain"}),
            "d": ("double", {}, {"grain": "g.grain"}),
            "e": ("double", {}, {"grain": "d.grain"}),
            "j": ("add", {}, {"left": "e.grain", "right": "g.grain"}),
        }
    )
    bench.run(document)
    assert held == [{}]


def test_a_circle_with_nothing_behind_it_is_told(bench: Bench) -> None:
    document = content({"a": ("double", {}, {"grain": "b.grain"}), "b": ("double", {}, {"grain": "a.grain"})})
    assert bench.run(document).state == "failed"
    assert "wait for each other: a, b" in bench.failures["a"].title
    assert bench.states == {"a": "blocked", "b": "blocked"}


def pair(**fields: Any) -> Graph:
    """A definition of two nodes that shows `more` of the second."""
    shown = Interface(
        (Port("in", "toy/grain"),), (Port("out", "toy/grain"),), (ExposedKnob("more", "c", "more"),)
    )
    graph = make_graph(
        {"b": ("double", {}, {"grain": ".in"}), "c": ("add", {"more": 9}, {"left": "b.grain"})}, **fields
    )
    return replace(graph, interface=shown, wires={**graph.wires, Socket("", "out"): Socket("c", "grain")})


def used(wire: str = "a.grain", **params: Any) -> Content:
    outer = make_graph(
        {
            "a": ("grain", {"value": 1}, {}),
            "n": ("number", {}, {}),
            "g": ("@pair", params, {"in": wire}),
            "d": ("double", {}, {"grain": "g.out"}),
        }
    )
    return Content(id="used", graphs={ROOT: outer, "pair": pair()})


def test_running_to_a_subgraph_runs_it_though_others_take_what_it_gives(bench: Bench) -> None:
    bench.run(used(more=1), "g")
    assert calls == {"grain": 1, "double": 1, "add": 1}


def test_an_empty_subgraph_is_a_target_like_any_other(bench: Bench) -> None:
    document = Content(graphs={ROOT: make_graph({"g": ("@nothing", {}, {})}), "nothing": Graph()})
    assert bench.run(document, "g").state == "done"
    with pytest.raises(StudioError, match="no node “g/x”"):
        bench.run(document, "g/x")


def test_what_is_wrong_at_a_subgraph_blocks_what_is_in_it(bench: Bench) -> None:
    assert bench.run(used("n.int"), "d").state == "failed"
    assert "takes a grain" in bench.failures["g"].title
    assert "double" not in calls
    assert bench.states["g/c"] == bench.states["d"] == "blocked"


def test_a_placeholder_in_a_subgraph_is_told_where_it_is(bench: Bench) -> None:
    inner = pair()
    stranger = replace(inner.nodes["b"], type="alien/thing")
    document = used()
    graphs = {**document.graphs, "pair": replace(inner, nodes={**inner.nodes, "b": stranger})}
    assert bench.run(replace(document, graphs=graphs), "d").state == "failed"
    assert "alien" in bench.failures["g/b"].title


def test_a_drawn_knob_of_a_subgraph_is_drawn_inside(bench: Bench) -> None:
    bench.run(used(more=1), "d", draws={"g": {"more": 5}})
    bench.run(used(more=5), "d")
    assert not calls


def test_an_empty_list_skips_what_it_fans_out_over(bench: Bench) -> None:
    document = content({"l": ("grains", {"values": ""}, {}), "d": ("double", {}, {"grain": "l.grain"})})
    bench.run(document)
    assert bench.states == {"l": "ran", "d": "skipped"}
    assert bench.plan(document)["d"] == ("skipped", "the list it is given is empty")


@pytest.mark.parametrize("name", ["~nobody-there/x", "x" * 5000, "a\0b", "/dev/zero", "\ud800"])
def test_odd_file_names_are_problems(bench: Bench, name: str) -> None:
    assert bench.run(content({"g": ("grain", {"file": name}, {})})).state == "failed"
    assert bench.failures["g"].node == "g"


def test_odd_file_names_that_come_by_wire_are_failures(bench: Bench) -> None:
    from studio.api import node

    @node("say", category="Rogues", instant=True)
    def say(*, text: str = "") -> str:
        """Say."""
        return text

    bench.registry.nodes.pop("toy/say", None)
    registry = rogues.registry()
    registry.add_node("toy", say)
    bench = replace(bench, registry=registry)
    for name in ("a\0b", "/dev/zero", "x" * 5000, "~nobody-there/x"):
        document = content({"s": ("say", {"text": name}, {}), "g": ("grain", {}, {"file": "s.text"})})
        assert bench.run(document).state == "failed"
        assert bench.failures["g"].socket == "file"
    bench.close()


def test_a_named_channel_is_not_waited_for(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "channel")
    document = content({"g": ("grain", {"file": str(tmp_path / "channel")}, {})})
    assert bench.run(document).state == "failed"
    assert "device" in bench.failures["g"].title


def test_outputs_of_an_older_kind_are_computed_again(bench: Bench) -> None:
    document = content(
        {
            "g": ("grain", {"value": 1}, {}),
            "w": ("weigh", {}, {"grain": "g.grain"}),
            "x": ("grain", {}, {"value": "w.int"}),
        }
    )
    bench.run(document)
    planned = bench.executor._prepared[0]
    assert planned.flat.order
    key = next(key for key in keys_of(bench, document) if bench.store.load(key) == {"int": 1})
    bench.store.put(key, {"weight": 1}, seconds=0.0, keep=False)
    assert bench.run(document).state == "done"
    assert calls["weigh"] == 1


def keys_of(bench: Bench, document: Content) -> list[str]:
    last = bench.executor._last.of(document.id)
    return [str(key) for node in last.values() if isinstance(node, dict) for key in node["keys"]]


def test_two_executors_share_a_folder_at_the_same_time(tmp_path: Path) -> None:
    benches = [Bench(tmp_path, registry=rogues.REGISTRY) for _ in range(2)]
    graph: dict[str, Any] = {"n0": ("slow", {"steps": 1}, {})}
    for index in range(1, 30):
        graph[f"n{index}"] = ("slow", {"steps": 1}, {"grain": f"n{index - 1}.grain"})
    document = content({**graph, "w": ("weigh", {}, {"grain": "n29.grain"})}, id="shared")
    states: list[str] = []
    threads = [
        threading.Thread(target=lambda bench=bench: states.append(bench.run(document).state))
        for bench in benches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert states == ["done", "done"]
    for bench in benches:
        bench.close()
    fresh = Bench(tmp_path, registry=rogues.REGISTRY)
    fresh.run(document, "n29")
    assert not calls
    fresh.close()


def test_states_begin_with_every_node_of_the_plan(bench: Bench) -> None:
    bench.run(used(more=1), "d")
    begun = bench.events[0]
    assert isinstance(begun, RunStarted)
    assert set(begun.states) == {"a", "g/b", "g/c", "d"}


def test_a_sink_is_called_for_each_of_equal_elements(bench: Bench) -> None:
    document = content({"l": ("grains", {"values": "1,1,1"}, {}), "k": ("keep", {}, {"grain": "l.grain"})})
    bench.run(document)
    assert calls == {"grains": 1, "keep": 3}
    bench.run(document)
    assert calls == {"keep": 3}


def test_what_was_cancelled_has_not_run_and_is_not_told_to_have(bench: Bench) -> None:
    document = content(
        {
            "s": ("slow", {"steps": 1, "wait": True}, {}),
            "d": ("double", {}, {"grain": "s.grain"}),
        },
        id="cancelled",
    )
    threading.Timer(0.05, bench.cancelled.set).start()
    assert bench.run(document, "d").state == "cancelled"
    bench.cancelled.clear()
    toys.gate.set()
    bench.run(document, "d")
    assert bench.whys == {"s": "first run", "d": "first run"}


def test_a_file_is_not_read_to_its_end_once_cancelled(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    bench.cancelled.set()
    document = content({"g": ("grain", {"file": str(tmp_path / "large")}, {})})
    assert bench.run(document).state == "cancelled"
    assert bench.states == {"g": "cancelled"}


def test_a_shown_file_knob_is_looked_for_where_it_is_used(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("four")
    shown = Interface((), (Port("out", "toy/grain"),), (ExposedKnob("file", "x", "file"),))
    inner = make_graph({"x": ("grain", {"file": "/no/such/file"}, {})}, interface=shown)
    inner = replace(inner, wires={Socket("", "out"): Socket("x", "grain")})

    def using(**params: Any) -> Content:
        outer = make_graph({"g": ("@inner", params, {}), "k": ("keep", {}, {"grain": "g.out"})})
        return Content(graphs={ROOT: outer, "inner": inner})

    assert bench.run(using(file=str(tmp_path / "words"))).state == "done"
    assert kept(bench) == "4"
    assert bench.run(using()).state == "failed"
    assert "“g” names a file that is not there" in bench.failures["g"].title
