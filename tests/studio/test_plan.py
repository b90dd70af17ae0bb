"""Plans: what would run, told before it runs, as far as it can be known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.document import Content
from studio.executor import Request
from studio.graph import ROOT, Mode
from tests.studio.toys import Bench, calls, content


def with_mode(document: Content, node: str, mode: Mode) -> Content:
    nodes = {**document.root.nodes, node: replace(document.root.nodes[node], mode=mode)}
    return replace(document, graphs={ROOT: replace(document.root, nodes=nodes)})


def chain(value: int = 1) -> Content:
    return content(
        {
            "a": ("grain", {"value": value}, {}),
            "b": ("double", {}, {"grain": "a.grain"}),
            "k": ("keep", {}, {"grain": "b.grain"}),
        },
        id="chain",
    )


def test_a_plan_runs_nothing_and_tells_what_a_run_would(bench: Bench) -> None:
    assert bench.plan(chain()) == {
        "a": ("run", "first run"),
        "b": ("run", "first run"),
        "k": ("run", "it writes a file, and always runs"),
    }
    assert not calls
    assert not bench.events


def test_what_is_there_is_cached_and_what_changed_is_named(bench: Bench) -> None:
    bench.run(chain())
    assert [state for state, _ in bench.plan(chain()).values()] == ["cached", "cached", "run"]
    after = bench.plan(chain(2))
    assert after["a"] == ("run", "“value” 1 → 2")
    assert after["b"] == ("run", "“grain” from a changed")


def test_what_hides_behind_a_cached_node_is_not_run(bench: Bench) -> None:
    bench.run(chain(), "b")
    first = bench.executor.plan(Request("p", chain(), ("a",)))
    assert first.nodes["a"].state == "cached"
    key = next(
        str(node["keys"][0])
        for address, node in bench.executor._last.of("chain").items()
        if address == "a" and isinstance(node, dict) and isinstance(node["keys"], list)
    )
    bench.store.forget(key)
    assert bench.plan(chain(), "b")["b"] == ("cached", "")
    bench.run(chain(), "b")
    assert not calls


def test_what_is_not_known_yet_waits_for_a_name(bench: Bench) -> None:
    document = content(
        {
            "l": ("grains", {}, {}),
            "d": ("double", {}, {"grain": "l.grain"}),
            "t": ("total", {}, {"grains": "d.grain"}),
        }
    )
    assert bench.plan(document) == {
        "l": ("run", "first run"),
        "d": ("waiting", "l"),
        "t": ("waiting", "l"),
    }
    bench.run(document)
    assert {state for state, _ in bench.plan(document).values()} == {"cached"}


def test_a_lazy_node_waits_for_itself(bench: Bench) -> None:
    document = content(
        {
            "a": ("grain", {"value": 50}, {}),
            "b": ("grain", {}, {}),
            "f": ("first_heavy", {}, {"a": "a.grain", "b": "b.grain"}),
        }
    )
    assert bench.plan(document, "f") == {"f": ("run", "which of its inputs it needs shows as it runs")}
    bench.run(document, "f")
    assert bench.plan(document, "f") == {"a": ("cached", ""), "f": ("cached", "")}


def test_blocked_skipped_and_failed_are_told_with_reasons(bench: Bench) -> None:
    document = content(
        {
            "u": ("alien/thing", {}, {}),
            "m": ("grain", {}, {}),
            "s": ("double", {}, {"grain": "m.grain"}),
            "e": ("double", {}, {}),
            "after": ("double", {}, {"grain": "e.grain"}),
            "l2": ("grains", {"values": "1,2"}, {}),
            "l3": ("grains", {"values": "1,2,3"}, {}),
            "f": ("add", {}, {"left": "l2.grain", "right": "l3.grain"}),
            "next": ("double", {}, {"grain": "f.grain"}),
            "a": ("double", {}, {"grain": "b.grain"}),
            "b": ("double", {}, {"grain": "a.grain"}),
        }
    )
    document = with_mode(document, "m", "mute")
    bench.run(document, "l2", "l3")
    plan = bench.plan(document, "u", "s", "after", "next", "a")
    assert plan["u"] == ("blocked", "it cannot be understood")
    assert plan["m"] == ("skipped", "muted")
    assert plan["s"] == ("skipped", "needs a muted node")
    assert plan["e"][0] == "blocked"
    assert "needs toy/grain" in plan["e"][1]
    assert plan["after"] == ("blocked", "needs e")
    assert plan["f"][0] == "failed"
    assert "different lengths" in plan["f"][1]
    assert plan["next"] == ("skipped", "needs f")
    assert plan["a"][0] == "blocked"


def test_a_plan_is_json_with_the_problems_of_the_document(bench: Bench, tmp_path: Path) -> None:
    document = content({"d": ("double", {}, {}), "g": ("grain", {}, {})})
    told: Any = bench.executor.plan(Request("p", document, output_dir=tmp_path)).to_json()
    assert told["nodes"]["g"] == {"state": "run", "because": "first run"}
    assert told["problems"] == ["“d” needs toy/grain at “grain”. Wire an output to it."]


def test_a_plan_of_many_waiting_elements_asks_few_times(bench: Bench) -> None:
    """A node that needs the numbers of all elements is looked at a few times, not once an element."""
    values = ",".join(map(str, range(300)))
    document = content(
        {
            "l": ("grains", {"values": values}, {}),
            "w": ("weigh", {}, {"grain": "l.grain"}),
            "g": ("grain", {}, {"value": "w.int"}),
            "t": ("total", {}, {"grains": "g.grain"}),
        }
    )
    asked: list[str] = []
    real = bench.store.header

    def header(key: str) -> Any:
        asked.append(key)
        return real(key)

    bench.store.header = header  # pyright: ignore[reportAttributeAccessIssue]
    assert bench.run(document).state == "done"
    assert calls == {"grains": 1, "weigh": 300, "grain": 300, "total": 1}
    assert len(asked) < 300 * 60
