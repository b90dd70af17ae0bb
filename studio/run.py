"""One run of a plan: calls are made when what they take is there; results are kept; events tell of it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event as Flag

from studio.binding import ASKS
from studio.calls import Call
from studio.errors import Problem
from studio.events import Event, RunState
from studio.flatten import Flat
from studio.ground import Ground
from studio.job import Asked, Done, Failed, Lost, Outcome, Stopped, carry_out
from studio.plan import Planning, Standing
from studio.telling import Telling, shown_calls
from studio.types import Json

KEEP_SECONDS = 0.05
"""What takes a fresh process longer than this to have again goes to disk."""


@dataclass(frozen=True)
class Threads:
    """Where calls are made.

    Attributes:
        compute: One thread, for nodes that use weights.
        pool: A few, for the others.
        pool_size: How many.
    """

    compute: ThreadPoolExecutor
    pool: ThreadPoolExecutor
    pool_size: int


@dataclass(slots=True)
class _Pending:
    """A call that is to be made.

    Attributes:
        call: It.
        missing: Keys of calls that have to be made first.
        holds: Keys of calls whose outputs are held for it.
    """

    call: Call
    missing: set[str] = field(default_factory=set[str])
    holds: set[str] = field(default_factory=set[str])


class Run:
    """Carries one plan out. Owned by the thread that calls `carry_out`."""

    def __init__(
        self,
        name: str,
        planning: Planning,
        ground: Ground,
        emit: Callable[[Event], None],
        cancelled: Flag,
        threads: Threads,
        last: Mapping[str, Json],
    ) -> None:
        self._planning = planning
        self._ground = ground
        self._cancelled = cancelled
        self._threads = threads
        self._last = last
        self._tell = Telling(name, planning, ground, emit, last)
        self._pending: dict[str, _Pending] = {}
        self._takers: dict[str, list[str]] = {}
        self._ready: dict[bool, list[tuple[int, str]]] = {True: [], False: []}
        self._running: dict[bool, int] = {True: 0, False: 0}
        self._outcomes: SimpleQueue[tuple[str, Outcome]] = SimpleQueue()
        self._uses: dict[str, int] = {}
        self._made: set[str] = set()
        self._cost: dict[str, float] = {}
        self._shown: set[str] = set()
        self._failed = False

    def tell_start(self, flat: Flat, problems: Iterable[Problem]) -> None:
        """Tell every node's state before anything runs, and what is wrong with those that cannot."""
        self._tell.start(flat, problems)

    def carry_out(self) -> RunState:
        """Run until nothing is left that can; this thread waits and decides, the others work."""
        self._take_up()
        while not self._cancelled.is_set():
            self._submit()
            if not any(self._running.values()):
                break
            self._settle(*self._outcomes.get())
            self._take_up()
        while any(self._running.values()):
            self._settle(*self._outcomes.get())
        self._take_up()
        cancelled = self._cancelled.is_set() and (bool(self._pending) or self._planning.is_open)
        self._tell.end(cancelled=cancelled)
        failed = self._failed or self._tell.failed
        return "cancelled" if cancelled else "failed" if failed else "done"

    def ingredients(self) -> dict[str, Json]:
        """Address → what its key was made of, for nodes whose key is not that of the last run."""
        changed: dict[str, Json] = {}
        for address, plan in self._planning.nodes.items():
            calls = plan.calls or plan.evaluated
            if plan.standing is not Standing.KEYED or not calls:
                continue
            if any(call.key in self._pending for call in plan.calls):
                continue  # cancelled before it was made
            known = self._last.get(address)
            keys: list[Json] = [call.key for call in calls]
            if not isinstance(known, dict) or known.get("keys") != keys:
                changed[address] = {**calls[0].ingredients(), "keys": keys}
        return changed

    def _take_up(self) -> None:
        """Demand what has become known: calls of targets, and calls that planning waits for."""
        planning = self._planning
        while planning.fresh or planning.wanted or planning.failed:
            fresh, planning.fresh = planning.fresh, []
            wanted, planning.wanted = planning.wanted, []
            failed, planning.failed = planning.failed, []
            for address in failed:
                self._tell.failure(address, planning.nodes[address].error)
            for address in fresh:
                if address in planning.target_set:
                    self._take_up_target(address)
            for key in wanted:
                self._demand(key)

    def _take_up_target(self, address: str) -> None:
        plan = self._planning.nodes[address]
        shown = shown_calls(plan)
        self._shown.update(shown)
        for key in [call.key for call in plan.calls] or shown:
            if key not in self._made:  # a lazy node is keyed once it has run
                self._demand(key)

    def _demand(self, key: str, *, lost: bool = False) -> None:
        """Have a call made, and first all that it takes and that is not kept; if `lost`, it surely is not."""
        waiting = [key]
        while waiting:
            key = waiting.pop()
            call = self._planning.calls[key]
            if key in self._pending or not (lost or call.flat.spec.sink or not self._ground.is_there(key)):
                continue
            lost = False
            pending = self._pending[key] = _Pending(call)
            self._tell.expect(call)
            for source in _sources(call):
                if source in self._uses:
                    self._uses[source] += 1
                    pending.holds.add(source)
                elif not self._ground.is_there(source):
                    pending.missing.add(source)
                    self._takers.setdefault(source, []).append(key)
                    waiting.append(source)
            if not pending.missing:
                self._make_ready(call)

    def _make_ready(self, call: Call) -> None:
        rank = self._planning.rank[call.flat.address]
        heapq.heappush(self._ready[call.flat.spec.device], (rank, call.key))

    def _submit(self) -> None:
        """Hand ready calls to free threads; a lone one that needs no device is made right here."""
        light, heavy = self._ready[False], self._ready[True]
        if len(light) == 1 and not heavy and not any(self._running.values()):
            key = heapq.heappop(light)[1]
            self._running[False] += 1
            self._make(key)
            return
        for device, room in ((True, 1), (False, self._threads.pool_size)):
            pool = self._threads.compute if device else self._threads.pool
            while self._ready[device] and self._running[device] < room:
                key = heapq.heappop(self._ready[device])[1]
                self._running[device] += 1
                pool.submit(self._make, key)

    def _make(self, key: str) -> None:
        """Make a call on whichever thread this is."""
        call = self._pending[key].call
        self._tell.running(call.flat.address)
        base_cost = sum(self._cost.get(ref.call, 0.0) for ref in call.refs())
        keep_seconds = -1.0 if key in self._shown or self._is_looked_at(key) else KEEP_SECONDS
        self._outcomes.put((key, carry_out(call, self._ground, base_cost, keep_seconds)))

    def _is_looked_at(self, key: str) -> bool:
        takers = (self._planning.calls[taker] for taker in self._takers.get(key, ()))
        return any(call.flat.spec.shows for call in takers)

    def _settle(self, key: str, outcome: Outcome) -> None:
        call = self._pending[key].call
        self._running[call.flat.spec.device] -= 1
        match outcome:
            case Done(seconds, given):
                self._finish(call, seconds, given)
            case Asked(name):
                self._ground.store.put_record(ASKS + key, name)
                del self._pending[key]
                self._tell.asked(call)
                self._planning.settle(key)
            case Lost(lost):
                self._pending[key].missing.add(lost)
                self._takers.setdefault(lost, []).append(key)
                self._demand(lost, lost=True)
            case Failed(error):
                self._failed = True
                for address in self._planning.owners[key]:
                    self._tell.failure(address, error)
                self._give_up(key)
            case Stopped():
                self._cancelled.set()

    def _finish(self, call: Call, seconds: float, given: Mapping[str, object]) -> None:
        key = call.key
        made = self._pending.pop(key)
        kept = call.flat.spec.device
        base = sum(self._cost.get(ref.call, 0.0) for ref in call.refs())
        self._cost[key] = 0.0 if kept or seconds + base > KEEP_SECONDS else seconds + base
        if call.flat.spec.lazy:
            self._ground.store.put_record(ASKS + key, True)
        takers = [taker for taker in self._takers.pop(key, ()) if taker in self._pending]
        # What is made again in one run was lost at once: it is held to the end, lest it be made for ever.
        again = key in self._made
        self._made.add(key)
        self._ground.held[key] = given
        self._uses[key] = self._uses.get(key, 0) + again + 1
        for taker in takers:
            pending = self._pending[taker]
            pending.missing.discard(key)
            pending.holds.add(key)
            self._uses[key] += 1
            if not pending.missing:
                self._make_ready(pending.call)
        self._tell.done(call, seconds, given)
        self._planning.settle(key)
        made.holds.add(key)  # while planning looked at it
        self._let_go(made)

    def _let_go(self, pending: _Pending) -> None:
        """Hold outputs no longer than the calls that waited for them; the store has them too."""
        for key in pending.holds:
            self._uses[key] -= 1
            if not self._uses[key]:
                del self._uses[key]
                del self._ground.held[key]

    def _give_up(self, key: str) -> None:
        """A call failed: nothing that takes its result, however far down, will be made."""
        waiting = [key]
        while waiting:
            gone = self._pending.pop(waiting.pop(), None)
            if gone is None:
                continue
            takers = self._takers.pop(gone.call.key, [])
            self._let_go(gone)
            self._planning.drop(gone.call.key, failed=gone.call.key == key)
            waiting.extend(takers)


def _sources(call: Call) -> list[str]:
    """Keys of the calls whose results it takes, each once."""
    return list(dict.fromkeys(ref.call for ref in call.refs() if ref.call))
