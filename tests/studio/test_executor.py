"""The behaviours that executors are known to get wrong, each on its own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.document import Content
from studio.errors import StudioError
from studio.events import Progress, Result, Saved
from studio.graph import ROOT, ExposedKnob, Frame, Interface, Port, Socket
from tests.studio import toys
from tests.studio.toys import Bench, calls, content, make_graph


def chain(knob: int = 1, leaf: int = 1) -> Content:
    return content(
        {
            "a": ("grain", {"value": knob}, {}),
            "b": ("double", {}, {"grain": "a.grain"}),
            "c": ("add", {"more": leaf}, {"left": "b.grain"}),
        },
        id="chain",
    )


def value(bench: Bench, document: Content, node: str = "c") -> int:
    """Run to a node and read what it gave back from the store."""
    bench.run(document, node)
    root = document.root
    keep = content({"_k": ("keep", {}, {})}).root.nodes["_k"]
    wires = {**root.wires, Socket("_k", "grain"): Socket(node, "grain")}
    root = replace(root, nodes={**root.nodes, "_k": keep}, wires=wires)
    bench.run(replace(document, graphs={ROOT: root}), "_k")
    return int((bench.folder / "grain.txt").read_text())


def test_everything_runs_once_and_then_not_again(bench: Bench) -> None:
    assert bench.run(chain()).state == "done"
    assert calls == {"grain": 1, "double": 1, "add": 1}
    bench.run(chain())
    assert not calls
    assert set(bench.states.values()) == {"cached"}


def test_a_leaf_knob_runs_only_the_leaf(bench: Bench) -> None:
    bench.run(chain())
    bench.run(chain(leaf=5))
    assert calls == {"add": 1}
    assert bench.whys["c"] == "“more” 1 → 5"


def test_a_root_knob_runs_what_depends_on_it(bench: Bench) -> None:
    bench.run(chain())
    bench.run(chain(knob=2))
    assert calls == {"grain": 1, "double": 1, "add": 1}
    assert bench.whys["a"] == "“value” 1 → 2"
    assert bench.whys["b"] == "“grain” from a changed"


def test_going_back_to_an_earlier_value_is_a_hit(bench: Bench) -> None:
    bench.run(chain(knob=1))
    bench.run(chain(knob=2))
    bench.run(chain(knob=1))
    assert not calls
    assert value(bench, chain(knob=1)) == 3


def test_a_fresh_process_finds_what_was_worth_keeping(tmp_path: Path) -> None:
    document = content({"s": ("slow", {"steps": 1}, {}), "d": ("double", {}, {"grain": "s.grain"})}, id="x")
    first = Bench(tmp_path)
    first.run(document, "s")
    first.close()
    second = Bench(tmp_path)
    second.run(document, "s")
    assert not calls
    second.run(content({"s": ("slow", {"steps": 2}, {})}, id="x"), "s")
    assert second.whys["s"] == "“steps” 1 → 2"
    second.close()


def test_a_diamond_is_evaluated_once(bench: Bench) -> None:
    document = content(
        {
            "top": ("grain", {}, {}),
            "left": ("add", {"more": 1}, {"left": "top.grain"}),
            "right": ("add", {"more": 2}, {"left": "top.grain"}),
            "join": ("add", {}, {"left": "left.grain", "right": "right.grain"}),
        }
    )
    bench.run(document)
    assert calls == {"grain": 1, "add": 3}


def switched(condition: bool, yes: int = 1, no: int = 2) -> Content:
    return content(
        {
            "yes": ("grain", {"value": yes}, {}),
            "no": ("grain", {"value": no}, {}),
            "switch": ("switch", {"condition": condition}, {"yes": "yes.grain", "no": "no.grain"}),
            "out": ("double", {}, {"grain": "switch.value"}),
        }
    )


def test_the_branch_not_taken_is_not_evaluated(bench: Bench) -> None:
    bench.run(switched(True))
    assert calls == {"grain": 1, "double": 1}
    assert bench.states.get("no", "cached") == "cached"


def test_changing_the_branch_not_taken_runs_nothing(bench: Bench) -> None:
    bench.run(switched(True))
    bench.run(switched(True, no=99))
    assert not calls


def test_a_switch_takes_the_key_of_what_it_passes(bench: Bench) -> None:
    bench.run(switched(True))
    direct = content({"g": ("grain", {"value": 1}, {}), "out": ("double", {}, {"grain": "g.grain"})})
    bench.run(direct)
    assert not calls


def test_a_lazy_node_asks_again_only_for_what_its_values_call_for(bench: Bench) -> None:
    def lazily(a: int, b: int) -> Content:
        return content(
            {
                "a": ("grain", {"value": a}, {}),
                "b": ("add", {"more": b}, {"left": "c.grain"}),
                "c": ("grain", {"value": 50}, {}),
                "first": ("first_heavy", {}, {"a": "a.grain", "b": "b.grain"}),
            }
        )

    bench.run(lazily(20, 1))
    assert calls == {"grain": 1, "first_heavy": 1}
    bench.run(lazily(20, 2))
    assert not calls
    assert bench.run(lazily(5, 2)).state == "done"
    assert calls["add"] == 1
    assert calls["first_heavy"] == 1
    assert value(bench, lazily(5, 2), "first") == 1052
    bench.run(lazily(5, 2))
    assert not calls


def fanned(values: str) -> Content:
    return content(
        {
            "list": ("grains", {"values": values}, {}),
            "each": ("double", {}, {"grain": "list.grain"}),
            "all": ("total", {}, {"grains": "each.grain"}),
        }
    )


def test_a_list_fans_out_and_is_collected(bench: Bench) -> None:
    bench.run(fanned("1,2,3"))
    assert calls == {"grains": 1, "double": 3, "total": 1}
    assert value(bench, fanned("1,2,3"), "all") == 12


def test_appending_an_element_invalidates_none(bench: Bench) -> None:
    bench.run(fanned("1,2,3"))
    bench.run(fanned("1,2,3,4"))
    assert calls == {"grains": 1, "double": 1, "total": 1}


def test_an_empty_list_makes_no_call_and_collects_to_nothing(bench: Bench) -> None:
    assert bench.run(fanned("")).state == "done"
    assert calls == {"grains": 1, "total": 1}
    assert value(bench, fanned(""), "all") == 0


def test_lists_of_different_lengths_are_told_and_length_one_broadcasts(bench: Bench) -> None:
    def pair(left: str, right: str) -> Content:
        return content(
            {
                "l": ("grains", {"values": left}, {}),
                "r": ("grains", {"values": right}, {}),
                "sum": ("add", {}, {"left": "l.grain", "right": "r.grain"}),
            }
        )

    assert bench.run(pair("1,2", "5,6,7")).state == "failed"
    assert "“left” has 2" in bench.failures["sum"].title
    assert bench.run(pair("1,2", "5")).state == "done"
    assert calls["add"] == 2


def test_a_wired_number_enters_by_value(bench: Bench) -> None:
    def driven(number: int) -> Content:
        return content(
            {
                "n": ("number", {"value": number}, {}),
                "g": ("grain", {"value": 0}, {"value": "n.int"}),
            }
        )

    bench.run(driven(7), "g")
    bench.run(content({"g": ("grain", {"value": 7}, {})}), "g")
    assert not calls, "7 by wire is 7 by hand"


def test_what_depends_on_a_computed_number_is_planned_when_it_is_known(bench: Bench) -> None:
    def weighed(value: int) -> Content:
        return content(
            {
                "g": ("grain", {"value": value}, {}),
                "w": ("weigh", {}, {"grain": "g.grain"}),
                "x": ("grain", {}, {"value": "w.int"}),
                "d": ("double", {}, {"grain": "x.grain"}),
            }
        )

    assert bench.plan(weighed(4))["d"] == ("waiting", "w")
    assert bench.run(weighed(4)).state == "done"
    assert value(bench, weighed(4), "d") == 8
    assert {state for state, _ in bench.plan(weighed(4)).values()} == {"cached"}


def test_a_wired_value_out_of_range_fails_the_node_in_a_sentence(bench: Bench) -> None:
    document = content(
        {
            "n": ("number", {"value": 1000}, {}),
            "g": ("grain", {}, {}),
            "a": ("add", {}, {"left": "g.grain", "more": "n.int"}),
        }
    )
    assert bench.run(document, "a").state == "failed"
    assert bench.failures["a"].title == "“more” takes -100 to 100, not 1000."


def test_a_failing_node_stops_only_what_depends_on_it(bench: Bench) -> None:
    document = content(
        {
            "bad": ("broken", {"how": "error"}, {}),
            "after": ("double", {}, {"grain": "bad.grain"}),
            "further": ("keep", {"name": "never"}, {"grain": "after.grain"}),
            "good": ("grain", {"value": 3}, {}),
            "kept": ("keep", {"name": "good"}, {"grain": "good.grain"}),
        }
    )
    assert bench.run(document).state == "failed"
    failed = bench.failures["bad"]
    assert (failed.title, failed.remedy, failed.socket) == ("The grain is rotten.", "Take another.", "grain")
    assert bench.states["after"] == bench.states["further"] == "skipped"
    assert bench.states["kept"] == "ran"
    assert (bench.folder / "good.txt").read_text() == "3"
    assert not (bench.folder / "never.txt").exists()


def test_an_exception_becomes_a_sentence(bench: Bench) -> None:
    bench.run(content({"bad": ("broken", {"how": "raise"}, {})}))
    assert bench.failures["bad"].title == "It stopped with ValueError: a stone in the shoe."


def test_running_out_of_memory_is_told_with_its_remedy(bench: Bench) -> None:
    bench.run(content({"bad": ("broken", {"how": "memory"}, {})}))
    assert bench.failures["bad"].title == "There is not enough memory for this."
    assert "smaller" in bench.failures["bad"].remedy


def test_a_node_returning_none_is_told(bench: Bench) -> None:
    assert bench.run(content({"bad": ("broken", {"how": "none"}, {})})).state == "failed"
    assert bench.failures["bad"].title == "It gave nothing at “grain”."


def test_a_failed_node_is_tried_again(bench: Bench) -> None:
    document = content({"bad": ("broken", {"how": "raise"}, {})})
    bench.run(document)
    bench.run(document)
    assert calls == {"broken": 1}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"x": ("nonsense/node", {}, {})}, "package “nonsense” is not installed"),
        ({"x": ("double", {}, {})}, "needs toy/grain at “grain”"),
        ({"n": ("number", {}, {}), "x": ("double", {}, {"grain": "n.int"})}, "takes a grain"),
        ({"x": ("add", {"more": 500}, {"left": "x.grain"})}, "wait for each other"),
    ],
)
def test_what_is_wrong_with_the_graph_is_told_and_the_healthy_part_runs(
    bench: Bench, wrong: dict[str, Any], told: str
) -> None:
    document = content({**wrong, "y": ("keep", {}, {"grain": "g.grain"}), "g": ("grain", {}, {})})
    bench.run(document, "x", "y")
    assert any(told in failed.title for failed in bench.failures.values())
    assert bench.states["y"] == "ran"


def test_a_missing_node_is_told(bench: Bench) -> None:
    document = content({"d": ("double", {}, {"grain": "ghost.grain"})})
    assert bench.run(document).state == "failed"
    assert "ghost" in bench.failures["d"].title


def test_a_target_that_is_not_there_is_refused(bench: Bench) -> None:
    with pytest.raises(StudioError, match="no node “nobody”"):
        bench.run(chain(), "nobody")


def test_a_chain_of_5000_needs_no_recursion(bench: Bench) -> None:
    graph: dict[str, Any] = {"n0": ("grain", {}, {})}
    for index in range(1, 5000):
        graph[f"n{index}"] = ("add", {"more": 1}, {"left": f"n{index - 1}.grain"})
    assert bench.run(content(graph)).state == "done"
    assert calls["add"] == 4999
    assert bench.run(content(graph)).state == "done"
    assert not calls


def test_5000_bypassed_nodes_are_passed_through(bench: Bench) -> None:
    graph: dict[str, Any] = {"n0": ("grain", {}, {})}
    for index in range(1, 5000):
        graph[f"n{index}"] = ("double", {}, {"grain": f"n{index - 1}.grain"})
    document = content({**graph, "end": ("double", {}, {"grain": "n4999.grain"})})
    nodes = {
        name: replace(node, mode="bypass") if name not in ("n0", "end") else node
        for name, node in document.root.nodes.items()
    }
    document = replace(document, graphs={ROOT: replace(document.root, nodes=nodes)})
    assert bench.run(document).state == "done"
    assert calls == {"grain": 1, "double": 1}


def test_the_same_id_in_another_document_is_another_node(bench: Bench) -> None:
    bench.run(content({"a": ("grain", {"value": 1}, {})}, id="one"))
    bench.run(content({"a": ("grains", {"values": "1"}, {})}, id="two"))
    assert calls == {"grains": 1}
    bench.run(content({"a": ("grain", {"value": 1}, {})}, id="one"))
    assert not calls


def test_documents_that_share_a_beginning_share_its_results(bench: Bench) -> None:
    bench.run(chain())
    other = content({"x": ("grain", {"value": 1}, {}), "y": ("double", {}, {"grain": "x.grain"})}, id="other")
    bench.run(other)
    assert not calls


def test_a_file_that_changes_on_disk_is_read_again(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one")
    document = content({"g": ("grain", {"file": str(path)}, {})}, id="f")
    bench.run(document)
    assert calls == {"grain": 1}
    path.write_text("three")
    bench.run(document)
    assert calls == {"grain": 1}
    assert bench.whys["g"] == "the file at “file” changed"
    path.write_text("one")
    bench.run(document)
    assert not calls


def test_a_file_that_is_not_there_blocks_its_node(bench: Bench) -> None:
    assert bench.run(content({"g": ("grain", {"file": "/no/such"}, {})})).state == "failed"
    assert "names a file that is not there" in bench.failures["g"].title


def test_sinks_always_run_and_tell_what_they_wrote(bench: Bench) -> None:
    document = content({"g": ("grain", {"value": 4}, {}), "k": ("keep", {}, {"grain": "g.grain"})})
    bench.run(document)
    bench.run(document)
    assert calls == {"keep": 1}
    assert [event.path for event in bench.events if isinstance(event, Saved)] == [
        str(bench.folder / "grain.txt")
    ]


def test_equal_calls_of_two_nodes_are_made_once(bench: Bench) -> None:
    document = content({"a": ("grain", {"value": 1}, {}), "b": ("grain", {"value": 1}, {})})
    bench.run(document)
    assert calls == {"grain": 1}
    assert set(bench.states.values()) <= {"ran", "cached"}


def test_muting_takes_out_all_that_requires_it(bench: Bench) -> None:
    document = chain()
    muted = replace(
        document.root, nodes={**document.root.nodes, "a": replace(document.root.nodes["a"], mode="mute")}
    )
    bench.run(replace(document, graphs={ROOT: muted}), "c")
    assert not calls
    assert bench.states == {"a": "skipped", "b": "skipped", "c": "skipped"}


def test_a_frame_that_is_off_mutes_its_nodes(bench: Bench) -> None:
    document = replace(chain(), frames={"f": Frame("f", nodes=("b",), on=False)})
    bench.run(document)
    assert calls == {"grain": 1}
    assert bench.states["c"] == "skipped"


def test_an_optional_input_from_a_muted_node_counts_as_unwired(bench: Bench) -> None:
    document = content(
        {
            "a": ("grain", {"value": 1}, {}),
            "b": ("grain", {"value": 10}, {}),
            "s": ("add", {}, {"left": "a.grain", "right": "b.grain"}),
        }
    )
    nodes = {**document.root.nodes, "b": replace(document.root.nodes["b"], mode="mute")}
    document = replace(document, graphs={ROOT: replace(document.root, nodes=nodes)})
    assert value(bench, document, "s") == 1


def grouped() -> Content:
    """`chain`, with b and c in a definition that exposes c's knob."""
    inner = make_graph(
        {"b": ("double", {}, {"grain": ".in"}), "c": ("add", {"more": 9}, {"left": "b.grain"})},
        interface=Interface(
            (Port("in", "toy/grain"),), (Port("out", "toy/grain"),), (ExposedKnob("more", "c", "more"),)
        ),
    )
    inner = replace(inner, wires={**inner.wires, Socket("", "out"): Socket("c", "grain")})
    outer = make_graph({"a": ("grain", {"value": 1}, {}), "g": ("@pair", {"more": 1}, {"in": "a.grain"})})
    return Content(id="chain", graphs={ROOT: outer, "pair": inner})


def test_a_subgraph_has_the_keys_of_what_it_holds(bench: Bench) -> None:
    bench.run(chain())
    assert bench.run(grouped()).state == "done"
    assert not calls
    assert set(bench.states) == {"a", "g/b", "g/c"}


def test_running_to_a_subgraph_runs_what_is_in_it(bench: Bench) -> None:
    bench.run(grouped(), "g")
    assert calls == {"grain": 1, "double": 1, "add": 1}


def test_cancel_during_the_first_step_leaves_no_result(bench: Bench) -> None:
    document = content(
        {"s": ("slow", {"steps": 3, "wait": True}, {}), "d": ("double", {}, {"grain": "s.grain"})}
    )
    threading.Timer(0.05, bench.cancelled.set).start()
    began = time.monotonic()
    assert bench.run(document).state == "cancelled"
    assert time.monotonic() - began < 5
    assert bench.states == {"s": "cancelled", "d": "cancelled"}
    bench.cancelled.clear()
    toys.gate.set()
    assert bench.run(document).state == "done"
    assert calls == {"slow": 1, "double": 1}


def test_cancel_during_the_last_step_keeps_what_was_done_before(bench: Bench) -> None:
    document = content(
        {"g": ("grain", {}, {}), "s": ("slow", {"steps": 1, "wait": True}, {"grain": "g.grain"})}
    )
    threading.Timer(0.05, bench.cancelled.set).start()
    assert bench.run(document).state == "cancelled"
    bench.cancelled.clear()
    toys.gate.set()
    bench.run(document)
    assert calls == {"slow": 1}


def test_device_free_work_overlaps_the_device(bench: Bench) -> None:
    document = content(
        {
            "s": ("slow", {"steps": 1, "wait": True}, {}),
            "g": ("grain", {"value": 8}, {}),
            "k": ("keep", {}, {"grain": "g.grain"}),
        }
    )
    done = threading.Event()

    def release_once_saved() -> None:
        while not (bench.folder / "grain.txt").exists():
            time.sleep(0.002)
        done.set()
        toys.gate.set()

    threading.Thread(target=release_once_saved, daemon=True).start()
    assert bench.run(document, "s", "k").state == "done"
    assert done.is_set(), "the file was written while the device was busy"


def test_numerics_enter_the_keys_of_nodes_that_use_weights_only(bench: Bench) -> None:
    document = content({"s": ("slow", {"steps": 1}, {}), "g": ("grain", {}, {})}, id="n")
    bench.run(document)
    bench.numerics = "cuda/bfloat16"
    bench.run(document)
    assert calls == {"slow": 1}
    assert bench.whys["s"] == "computed on cuda/bfloat16, before on cpu/float32"


def test_progress_and_results_are_told(bench: Bench) -> None:
    bench.run(content({"s": ("slow", {"steps": 2}, {}), "p": ("speck", {}, {})}))
    progress = [(event.done, event.total) for event in bench.events if isinstance(event, Progress)]
    assert progress == [(0, 2), (1, 2)]
    results = [event for event in bench.events if isinstance(event, Result)]
    assert [(event.node, event.output, event.type, event.count) for event in results] == [
        ("p", "image", "image", 1)
    ]
    assert bench.store.load(results[0].key) is not None


def test_a_result_that_vanished_is_computed_again(bench: Bench) -> None:
    bench.run(chain())
    bench.store.clear()
    bench.run(chain(leaf=2))
    assert calls == {"grain": 1, "double": 1, "add": 1}
    assert bench.whys["a"] == "its result was no longer kept"


def test_drawn_values_replace_the_documents_own(bench: Bench) -> None:
    bench.run(chain(), draws={"a": {"value": 5}})
    bench.run(chain(knob=5))
    assert not calls


def test_constants_and_what_is_passed_on_run_when_they_are_new(bench: Bench) -> None:
    def document(number: int) -> Content:
        return content(
            {
                "n": ("number", {"value": number}, {}),
                "g": ("grain", {}, {"value": "n.int"}),
                "r": ("reroute", {}, {"value": "g.grain"}),
            },
            id="constant",
        )

    assert bench.plan(document(1), "r")["n"] == ("run", "first run")
    bench.run(document(1), "r")
    assert (bench.states["n"], bench.states["r"]) == ("ran", "ran")
    assert bench.whys["n"] == "first run"
    bench.run(document(1), "r")
    assert set(bench.states.values()) == {"cached"}
    bench.run(document(2), "r")
    assert bench.whys["n"] == "“value” 1 → 2"
    assert bench.whys["r"] == "it gives on what is computed anew"
