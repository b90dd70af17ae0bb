"""What a run says while it goes: states, reasons, failures, results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, cast

from studio.calls import Call, Ref
from studio.errors import Problem, StudioError
from studio.events import Event, NodeChanged, NodeFailed, NodeState, Result, RunStarted
from studio.flatten import Flat
from studio.ground import Ground
from studio.plan import EMPTY, NodePlan, Planning, Standing, to_run
from studio.types import Json
from studio.why import GIVES_ON, SINK, why

_PICTURES = frozenset(("image", "mask", "latent"))


def shown_calls(plan: NodePlan) -> list[str]:
    """Keys of the calls whose results a node without calls of its own gives on."""
    return list(dict.fromkeys(ref.call for ref in _refs(plan) if ref.call))


def _refs(plan: NodePlan) -> Iterable[Ref]:
    for bound in plan.outputs.values():
        yield from bound if isinstance(bound, tuple) else (bound,)


class Telling:
    """Keeps the state of every node of a run and tells each change. Any thread."""

    def __init__(
        self,
        run: str,
        planning: Planning,
        ground: Ground,
        emit: Callable[[Event], None],
        last: Mapping[str, Json],
    ) -> None:
        self._run = run
        self._planning = planning
        self._ground = ground
        self._emit = emit
        self._last = last
        self._lock = Lock()
        self._states: dict[str, NodeState] = {}
        self._open: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._made: set[str] = set()
        self._told_failed: set[str] = set()
        self.failed = False

    def start(self, flat: Flat, problems: Iterable[Problem]) -> None:
        """Tell the state of every node before anything runs, and what is wrong with those that cannot."""
        running = to_run(self._planning, self._ground)
        states: dict[str, NodeState] = dict.fromkeys(sorted(flat.unknown), "blocked")
        states.update(dict.fromkeys(flat.skipped, "skipped"))
        for address, plan in self._planning.nodes.items():
            states[address] = _first_state(plan, running, self._last.get(address))
        self._states = states
        self._emit(RunStarted(self._run, dict(states)))
        self._tell_blocked(flat, problems)

    def _tell_blocked(self, flat: Flat, problems: Iterable[Problem]) -> None:
        """Each problem that keeps a node of this run from running, at each place where it does."""
        places: dict[tuple[str, str], dict[str, None]] = {}
        for address, plan in self._planning.nodes.items():
            if plan.standing is Standing.BLOCKED:
                places.setdefault((plan.flat.graph, plan.flat.node.id), {})[address] = None
                for holder in plan.flat.within:
                    places.setdefault((holder.graph, holder.node), {})[holder.address] = None
        aimed_at = flat.unknown.keys() & self._planning.target_set
        self.failed = self.failed or bool(aimed_at)
        for address, place in flat.unknown.items():
            if places or address in aimed_at:
                places.setdefault(place, {})[address] = None
        for problem in problems if places else ():
            for address in places.get((problem.graph, problem.node), ()):
                told = NodeFailed(self._run, address, problem.title, problem.remedy, problem.socket)
                self._emit(told)

    def expect(self, call: Call) -> None:
        """The call is going to be made."""
        address = call.flat.address
        self._open[address] = self._open.get(address, 0) + 1

    def asked(self, call: Call) -> None:
        """The call was made only to learn what a lazy node asks for."""
        self._open[call.flat.address] -= 1

    def running(self, address: str) -> None:
        """A call of the node begins."""
        with self._lock:
            begins = self._states.get(address) not in ("running", "failed")
            if begins:
                self._states[address] = "running"
        if begins:
            self._emit(NodeChanged(self._run, address, "running"))

    def done(self, call: Call, seconds: float, given: Mapping[str, object]) -> None:
        """A call is made; with the last of its calls the node has run."""
        address = call.flat.address
        self._made.add(call.key)
        self._seconds[address] = self._seconds.get(address, 0.0) + seconds
        self._open[address] -= 1
        for output in call.flat.spec.outputs:
            if output.type in _PICTURES and call.key:
                count = _count(given[output.name], many=output.many)
                self._emit(Result(self._run, address, output.name, output.type, call.key, count))
        if not self._open[address] and self._states.get(address) == "running":
            reason = self._why(call)
            self._change(NodeChanged(self._run, address, "ran", self._seconds[address], reason))

    def _why(self, call: Call) -> str:
        if call.flat.spec.sink:
            return SINK
        before = self._last.get(call.flat.address)
        return why(call.ingredients(), before if isinstance(before, dict) else None)

    def failure(self, address: str, error: StudioError | None) -> None:
        """The node cannot finish, or cannot begin; told once, however many of its calls fail."""
        self.failed = True
        if address in self._told_failed:
            return
        self._told_failed.add(address)
        title = error.title if error else "It could not finish."
        remedy, socket, action = (error.remedy, error.socket or "", error.action) if error else ("", "", "")
        self._emit(NodeFailed(self._run, address, title, remedy, socket, action))
        self._change(NodeChanged(self._run, address, "failed"))

    def _change(self, event: NodeChanged) -> None:
        with self._lock:
            self._states[event.node] = event.state
        self._emit(event)

    def end(self, *, cancelled: bool) -> None:
        """Tell the last state of every node that is not told yet, and what the targets show."""
        nodes = self._planning.nodes
        if any(
            nodes[target].standing is Standing.BLOCKED for target in self._planning.targets if target in nodes
        ):
            self.failed = True
        for address, plan in self._planning.nodes.items():
            now = self._states.get(address)
            final = self._final(plan, now, cancelled=cancelled)
            if final != now:
                reason = self._final_why(plan) if final == "ran" else EMPTY if plan.is_empty else plan.because
                self._change(NodeChanged(self._run, address, final, why=reason))
        if not cancelled:
            for target in self._planning.targets:
                plan = self._planning.nodes.get(target)
                if plan is not None and plan.standing is Standing.KEYED:
                    self._show(plan)

    def _final(self, plan: NodePlan, now: NodeState | None, *, cancelled: bool) -> NodeState:
        if now in ("ran", "failed") or (now == "cached" and plan.standing is Standing.KEYED):
            return now
        match plan.standing:
            case Standing.BLOCKED:
                return "blocked"
            case Standing.FAILED:
                return "failed"
            case Standing.SKIPPED:
                return "skipped"
            case Standing.KEYED if self._ran_in_passing(plan):
                return "ran"
            case _:
                return "cancelled" if cancelled else "skipped" if plan.is_empty else "cached"

    def _ran_in_passing(self, plan: NodePlan) -> bool:
        """True if the node made no call of its own, and yet what it gives is new in this run."""
        return plan.evaluated_anew(self._last.get(plan.flat.address)) or not self._made.isdisjoint(
            plan.given_on()
        )

    def _final_why(self, plan: NodePlan) -> str:
        if not plan.evaluated:
            return GIVES_ON
        before = self._last.get(plan.flat.address)
        return why(plan.evaluated[0].ingredients(), before if isinstance(before, dict) else None)

    def _show(self, plan: NodePlan) -> None:
        """Tell where the pictures of a target are: its outputs, or, of a sink, what it was given."""
        spec = plan.flat.spec
        if not spec.shows or (plan.calls and not spec.sink and self._states.get(plan.flat.address) == "ran"):
            return
        refs = [ref for call in plan.calls for ref in call.refs()] if spec.sink else list(_refs(plan))
        for key, output in dict.fromkeys((ref.call, ref.output) for ref in refs if ref.call):
            call = self._planning.calls[key]
            told = call.flat.spec.output(output)
            given = self._ground.store.load(key) if told and told.type in _PICTURES else None
            if told and given is not None and output in given:
                count = _count(given[output], many=told.many)
                self._emit(Result(self._run, plan.flat.address, output, told.type, key, count))


def _first_state(plan: NodePlan, running: set[str], last: Json) -> NodeState:
    match plan.standing:
        case Standing.KEYED if plan.is_empty:
            return "skipped"
        case Standing.KEYED:
            needed = plan.given_on() | {call.key for call in plan.calls}
            runs = plan.evaluated_anew(last) or not running.isdisjoint(needed)
            return "waiting" if runs else "cached"
        case Standing.WAITING:
            return "waiting"
        case Standing.BLOCKED:
            return "blocked"
        case Standing.SKIPPED:
            return "skipped"
        case Standing.FAILED:
            return "failed"


def _count(value: object, *, many: bool) -> int:
    """Pictures in a batch, or items in a list."""
    if many:
        return len(cast("list[object]", value))
    shape = cast("Any", getattr(getattr(value, "samples", value), "shape", (1,)))
    return int(shape[0]) if shape else 1
