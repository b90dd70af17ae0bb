"""What a run would do: keys for every node it needs, as far as they can be known before anything runs.

A key cannot be known while a value it depends on is not (a wired number still to be computed, the length of
a list still to be read): such nodes are *waiting*, and are keyed when that call is done (`Planning.settle`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, cast

from studio.binding import Binding, Out, Wait
from studio.calls import Bound, Call
from studio.errors import Cancelled, NodeError, Problem, StudioError
from studio.flatten import Flat, FlatNode
from studio.ground import Ground
from studio.spec import KnobError
from studio.types import Json
from studio.why import GIVES_ON, SINK, why

EMPTY = "the list it is given is empty"
PlannedState = Literal["cached", "run", "waiting", "blocked", "skipped", "failed"]


class Standing(Enum):
    """How far planning is with a node."""

    WAITING = "waiting"
    KEYED = "keyed"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(slots=True)
class NodePlan:
    """A node that the run needs.

    Attributes:
        flat: The node.
        standing: How far planning is with it.
        because: What it waits for, or why it is out.
        calls: Its calls, once keyed; none for nodes that planning itself evaluates.
        evaluated: Calls that planning made itself, of nodes that are instant.
        outputs: What its outputs are bound to, once keyed.
        error: Of a node that planning found unable to run.
    """

    flat: FlatNode
    standing: Standing = Standing.WAITING
    because: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    evaluated: list[Call] = field(default_factory=list[Call])
    outputs: dict[str, Bound] = field(default_factory=dict[str, Bound])
    error: StudioError | None = None

    @property
    def is_empty(self) -> bool:
        """True if it was given an empty list, so that there is nothing to call."""
        spec = self.flat.spec
        return self.standing is Standing.KEYED and not (self.calls or spec.instant or spec.passes)

    def given_on(self) -> set[str]:
        """Keys of the calls whose values it gives on unread; none for other nodes."""
        if not self.flat.spec.passes:
            return set()
        bounds = self.outputs.values()
        return {ref.call for bound in bounds for ref in (bound if isinstance(bound, tuple) else (bound,))}

    def evaluated_anew(self, last: Json) -> bool:
        """True if planning evaluated it, and not as in the last run, whose ingredients are `last`."""
        keys: list[Json] = [call.key for call in self.evaluated]
        return bool(keys) and (not isinstance(last, dict) or last.get("keys") != keys)


class Planning:
    """Keys nodes in order, and goes on where values become known. One thread at a time.

    Attributes:
        nodes: Every node the run needs so far, by address.
        calls: Every call that is keyed, by key.
        targets: Addresses the run aims at.
        target_set: The same, as a set.
        wanted: Keys of calls whose results planning waits for; whoever runs the plan takes them away.
        fresh: Addresses keyed since somebody looked; whoever runs the plan takes them away.
        failed: Addresses found unable to run since somebody looked; likewise.
        rank: Address → place in the order of the flat graph.
        owners: Key → addresses of the nodes that make that call; equal nodes share theirs.
    """

    def __init__(
        self, ground: Ground, flat: Flat, blocked: Mapping[str, str], targets: Iterable[str]
    ) -> None:
        self.nodes: dict[str, NodePlan] = {}
        self.calls: dict[str, Call] = {}
        self.wanted: list[str] = []
        self.fresh: list[str] = []
        self.failed: list[str] = []
        self.targets = tuple(targets)
        self.target_set = frozenset(self.targets)
        self._flat = flat
        self._blocked = blocked
        self.rank = {address: rank for rank, address in enumerate(flat.order)}
        self.owners: dict[str, dict[str, None]] = {}
        self._heap: list[tuple[int, str]] = []
        self._waiters: dict[str, set[str]] = {}
        self._binding = Binding(ground, self._source)
        for target in self.targets:
            self._need(target)
        self.advance()

    @property
    def is_open(self) -> bool:
        """True while some node is not keyed and not out."""
        return any(plan.standing is Standing.WAITING for plan in self.nodes.values())

    def advance(self) -> None:
        """Key whatever can be keyed now."""
        while self._heap:
            self._key(self.nodes[heapq.heappop(self._heap)[1]])

    def settle(self, key: str) -> None:
        """The call `key` is done: go on with those that waited for its results."""
        self._wake(key)
        self.advance()

    def drop(self, key: str, *, failed: bool) -> None:
        """The call failed, or needs one that did: its nodes, and those that waited for them, are out."""
        plans = [self.nodes[address] for address in self.owners[key]]
        for plan in plans:
            if failed or plan.standing is not Standing.FAILED:
                plan.standing = Standing.FAILED if failed else Standing.SKIPPED
        for plan in plans:
            self._wake(plan.flat.address)
            for call in plan.calls:
                self._wake(call.key)
        self.advance()

    def _need(self, address: str) -> None:
        """Take a node and all it surely needs into the plan; lazy inputs come in when asked for."""
        waiting = [address]
        while waiting:
            current = waiting.pop()
            if current in self.nodes:
                continue
            flat = self._flat.nodes.get(current)
            if flat is None:
                continue
            plan = self.nodes[current] = NodePlan(flat)
            if current in self._blocked or current not in self.rank:
                plan.standing = Standing.BLOCKED
                plan.because = self._blocked.get(current, "it is part of a circle, or depends on one")
                continue
            self._queue(current)
            lazy = {item.name for item in flat.spec.inputs} if flat.spec.lazy else ()
            waiting.extend(source.address for name, source in flat.wires.items() if name not in lazy)

    def _queue(self, address: str) -> None:
        heapq.heappush(self._heap, (self.rank[address], address))

    def _wake(self, token: str) -> None:
        for address in self._waiters.pop(token, ()):
            if self.nodes[address].standing is Standing.WAITING:
                self._queue(address)

    def _source(self, address: str, output: str) -> Bound:
        """What `output` of the node at `address` is bound to.

        Raises:
            Wait: It is not keyed yet.
            Out: It will not run.
        """
        self._need(address)
        plan = self.nodes.get(address)
        if plan is None:
            reason = self._flat.skipped.get(address)
            raise Out(Standing.SKIPPED.value if reason else Standing.BLOCKED.value, f"needs {address}")
        if plan.standing is Standing.WAITING:
            raise Wait(address, plan.because or address)
        if plan.standing is not Standing.KEYED:
            blocked = plan.standing is Standing.BLOCKED
            standing = Standing.BLOCKED if blocked else Standing.SKIPPED
            raise Out(standing.value, f"needs {address}")
        if output not in plan.outputs:
            raise Out(Standing.BLOCKED.value, f"needs “{output}” of {address}, which it does not have")
        return plan.outputs[output]

    def _key(self, plan: NodePlan) -> None:
        if plan.standing is not Standing.WAITING:
            return
        address = plan.flat.address
        try:
            plan.calls, plan.evaluated, plan.outputs = self._binding.bind(plan.flat)
            plan.standing = Standing.KEYED
            for call in plan.calls:
                self.calls[call.key] = call
                self.owners.setdefault(call.key, {})[address] = None
            self.fresh.append(address)
        except Wait as wait:
            plan.because = wait.on_node or address
            if wait.call is not None:
                self.calls[wait.token] = wait.call
                self.owners.setdefault(wait.token, {})[address] = None
            self._waiters.setdefault(wait.token, set()).add(address)
            self.wanted.extend(key for key in (wait.token, *wait.also) if key in self.calls)
            return
        except Out as out:
            plan.standing, plan.because = Standing(out.standing), out.because
        except Cancelled:
            return
        except (StudioError, KnobError) as error:
            plan.standing = Standing.FAILED
            plan.error = error if isinstance(error, StudioError) else NodeError(str(error))
            plan.because = str(error)
            self.failed.append(address)
        plan.because = "" if plan.standing is Standing.KEYED else plan.because
        self._wake(address)


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do with one node.

    Attributes:
        state: ``cached``; ``run``; ``waiting`` (not known until `because` has run); ``blocked`` by a problem;
            ``skipped``; ``failed`` already.
        because: Why.
    """

    state: PlannedState
    because: str = ""


@dataclass(frozen=True)
class Plan:
    """What a run would do, told before it runs.

    Attributes:
        nodes: Address → what would happen.
        problems: Of the whole document.
    """

    nodes: Mapping[str, Planned]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Json]:
        """``{"nodes": {address: {"state", "because"}}, "problems": [sentences]}``."""
        return {
            "nodes": {
                address: {"state": planned.state, "because": planned.because}
                for address, planned in self.nodes.items()
            },
            "problems": [f"{problem.title} {problem.remedy}".strip() for problem in self.problems],
        }


def to_run(planning: Planning, ground: Ground) -> set[str]:
    """Keys of the calls that the targets, and planning itself, need and that are not kept."""
    waiting = [
        call.key for target in planning.targets if (plan := planning.nodes.get(target)) for call in plan.calls
    ]
    for target in planning.targets:
        plan = planning.nodes.get(target)
        for bound in plan.outputs.values() if plan else ():
            waiting.extend(ref.call for ref in (bound if isinstance(bound, tuple) else (bound,)) if ref.call)
    waiting.extend(planning.wanted)
    needed: set[str] = set()
    while waiting:
        key = waiting.pop()
        call = planning.calls[key]
        if key not in needed and (call.flat.spec.sink or ground.store.header(key) is None):
            needed.add(key)
            waiting.extend(ref.call for ref in call.refs() if ref.call)
    return needed


def report(
    planning: Planning,
    ground: Ground,
    flat: Flat,
    problems: Iterable[Problem],
    last: Mapping[str, Json],
) -> Plan:
    """Say what a run of `planning` would do.

    Args:
        planning: Advanced as far as it goes.
        ground: What it stands on.
        flat: The flattened document.
        problems: Of the document.
        last: Address → ingredients of each node's last key.
    """
    running = to_run(planning, ground)
    nodes: dict[str, Planned] = {
        address: Planned("blocked", "it cannot be understood") for address in sorted(flat.unknown)
    }
    for address, reason in flat.skipped.items():
        nodes[address] = Planned("skipped", reason)
    for address in flat.order if len(flat.order) == len(flat.nodes) else flat.nodes:
        plan = planning.nodes.get(address)
        if plan is not None:
            nodes[address] = _planned(plan, running, cast("Mapping[str, Json] | None", last.get(address)))
    return Plan(nodes, tuple(problems))


def _planned(plan: NodePlan, running: set[str], last: Mapping[str, Json] | None) -> Planned:
    if plan.standing is Standing.WAITING and plan.because == plan.flat.address:
        return Planned("run", "which of its inputs it needs shows as it runs")
    if plan.standing is not Standing.KEYED:
        return Planned(cast("PlannedState", plan.standing.value), plan.because)
    for call in plan.calls:
        if call.key in running:
            return Planned("run", SINK if plan.flat.spec.sink else why(call.ingredients(), last))
    if plan.evaluated_anew(cast("Json", last)):
        return Planned("run", why(plan.evaluated[0].ingredients(), last))
    if not running.isdisjoint(plan.given_on()):
        return Planned("run", GIVES_ON)
    return Planned("skipped", EMPTY) if plan.is_empty else Planned("cached")
