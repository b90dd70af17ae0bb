"""Runs documents: validate → flatten → key → plan → run → publish, again and again until all is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event as Flag

from studio import edits
from studio.cache.store import Store
from studio.context import Context, RunFacts
from studio.document import Content
from studio.draws import inner_draws
from studio.errors import EditError, Problem, StudioError
from studio.events import Event, Progress, RunFinished, Saved
from studio.files.writer import to_json
from studio.files_named import FileDigests
from studio.flatten import Flat, flatten
from studio.graph import ROOT, Node
from studio.ground import Ground
from studio.plan import Plan, Planning, report
from studio.registry import Registry
from studio.run import Run, Threads
from studio.types import Json
from studio.upgrade import upgraded
from studio.validate import FileKnob, missing_files, structure
from studio.why import LastKeys

POOL_THREADS = 3
REMEMBERED = 4
"""Documents whose flat form is kept for the next run."""


@dataclass(frozen=True)
class Request:
    """What is to run.

    Attributes:
        run: Id of the run.
        content: The document.
        targets: Addresses of nodes; empty for everything a person asked to see. The address of a subgraph
            stands for all of it.
        draws: Address → knob → value drawn for this run, over the document's own.
        output_dir: Where sinks write.
        base_dir: Folder of the workflow file, where relative file names start.
    """

    run: str
    content: Content
    targets: tuple[str, ...] = ()
    draws: Mapping[str, Mapping[str, Json]] = field(default_factory=dict[str, "Mapping[str, Json]"])
    output_dir: Path = field(default_factory=Path)
    base_dir: Path | None = None


@dataclass(frozen=True)
class _Prepared:
    """What follows from a document alone, whatever files there are; remembered for the next run of it."""

    asked: Content
    content: Content
    flat: Flat
    problems: list[Problem]
    files: list[FileKnob]


@dataclass(frozen=True)
class _Ready:
    """A document made ready to plan."""

    content: Content
    flat: Flat
    problems: list[Problem]
    blocked: dict[str, str]
    targets: tuple[str, ...]


class Executor:
    """Plans and runs documents, one run at a time.

    `run` and `plan` belong to one thread each; nodes that use weights run on a compute thread of their own,
    the others on a small pool. Events come from any of these.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        *,
        emit: Callable[[Event], None],
        weights: object | None = None,
        numerics: Callable[[], str] = lambda: "",
    ) -> None:
        self._registry = registry
        self._catalogue = registry.catalogue()
        self._store = store
        self._emit = emit
        self._weights = weights
        self._numerics = numerics
        self._files = FileDigests()
        self._last = LastKeys(store)
        self._prepared: list[_Prepared] = []
        self._compute = ThreadPoolExecutor(1, "compute")
        self._pool = ThreadPoolExecutor(POOL_THREADS, "pool")

    def close(self) -> None:
        """End the threads; waits for what they are doing."""
        self._compute.shutdown(cancel_futures=True)
        self._pool.shutdown(cancel_futures=True)

    def plan(self, request: Request) -> Plan:
        """Say what a run of `request` would do; runs nothing but constants.

        Raises:
            StudioError: A target is no node of the document.
        """
        ready = self._ready(request)
        ground = self._ground(request, ready, Flag(), lambda _: None)
        planning = Planning(ground, ready.flat, ready.blocked, ready.targets)
        last = self._last.of(request.content.id)
        return report(planning, ground, ready.flat, ready.problems, last)

    def run(self, request: Request, cancelled: Flag) -> RunFinished:
        """Run `request` to its end; tells its progress through events, the last of which it returns.

        Args:
            request: What is to run.
            cancelled: Set from any thread, it ends the run within a second.

        Raises:
            StudioError: A target is no node of the document.
        """
        began = time.perf_counter()
        ready = self._ready(request)
        ground = self._ground(request, ready, cancelled, self._emit)
        run = Run(
            request.run,
            Planning(ground, ready.flat, ready.blocked, ready.targets),
            ground,
            self._emit,
            cancelled,
            Threads(self._compute, self._pool, POOL_THREADS),
            self._last.of(request.content.id),
        )
        run.tell_start(ready.flat, ready.problems)
        state = run.carry_out()
        self._last.keep(request.content.id, run.ingredients())
        device, _, rest = self._numerics().partition("/")
        dtype = rest.partition("/")[0]
        return RunFinished(request.run, state, time.perf_counter() - began, device, dtype)

    def _ready(self, request: Request) -> _Ready:
        prepared = self._prepare(request.content)
        flat = prepared.flat
        problems = prepared.problems + missing_files(prepared.files, request.base_dir)
        reasons = {(problem.graph, problem.node): problem.title for problem in problems}
        blocked: dict[str, str] = {}
        for address, node in flat.nodes.items() if reasons else ():
            places = [(holder.graph, holder.node) for holder in node.within]
            for place in ((node.graph, node.node.id), *places):
                if place in reasons:
                    blocked.setdefault(address, reasons[place])
        return _Ready(prepared.content, flat, problems, blocked, self._targets(request.targets, prepared))

    def _prepare(self, asked: Content) -> _Prepared:
        prepared = next((known for known in self._prepared if known.asked is asked), None)
        if prepared is None:
            content, problems = upgraded(asked, self._registry)
            flat = flatten(content, self._catalogue)
            more, files = structure(content, self._catalogue, flat)
            prepared = _Prepared(asked, content, flat, problems + more, files)
            self._prepared = [prepared, *self._prepared[: REMEMBERED - 1]]
        return prepared

    def _targets(self, asked: tuple[str, ...], prepared: _Prepared) -> tuple[str, ...]:
        flat = prepared.flat
        if not asked:
            shown = tuple(address for address, node in flat.nodes.items() if node.spec.shows)
            wished = shown or (*_ends(flat, flat.nodes), *(flat.nodes.keys() - set(flat.order)))
            return tuple(dict.fromkeys((*wished, *sorted(flat.unknown))))
        found: list[str] = []
        for address in asked:
            if address in flat.nodes or address in flat.unknown:
                found.append(address)
            elif address not in flat.skipped:
                inside = [name for name in (*flat.nodes, *flat.unknown) if name.startswith(f"{address}/")]
                if not inside and _node_at(prepared.content, address) is None:
                    raise StudioError(f"There is no node “{address}” in this document.", node=address)
                found.extend(_ends(flat, inside))
        return tuple(dict.fromkeys(found))

    def _ground(
        self, request: Request, ready: _Ready, cancelled: Flag, emit: Callable[[Event], None]
    ) -> Ground:
        facts = _facts(request, ready)
        numerics: list[str] = []

        def once() -> str:
            if not numerics:
                numerics.append(self._numerics())
            return numerics[0]

        def context(address: str, key: str) -> Context:
            return Context(
                node=address,
                facts=facts,
                cancelled=cancelled,
                report=lambda done, total, picture: emit(
                    Progress(request.run, address, done, total, picture)
                ),
                saved=lambda path: emit(Saved(request.run, address, str(path))),
                key=key,
                weights=self._weights,
                checkpoints=self._store,
                extensions=self._registry.extensions,
            )

        return Ground(
            self._registry.nodes,
            self._catalogue.choices,
            self._store,
            self._files,
            once,
            context,
            cancelled.is_set,
            inner_draws(request.content, request.draws),
            request.base_dir,
        )


def _ends(flat: Flat, addresses: Collection[str]) -> list[str]:
    """Those of some nodes that show something, or feed none of the others."""
    inside = [flat.nodes[address] for address in addresses if address in flat.nodes]
    fed = {source.address for node in inside for source in node.wires.values()}
    return [
        address
        for address in addresses
        if address not in fed or (address in flat.nodes and flat.nodes[address].spec.shows)
    ]


def _node_at(content: Content, address: str) -> Node | None:
    """The node at an address, whatever becomes of it in a run."""
    *path, last = address.split("/")
    graph = content.graphs.get(ROOT)
    for step in path:
        holder = graph.nodes.get(step) if graph else None
        graph = content.graphs.get(holder.type) if holder else None
    return graph.nodes.get(last) if graph else None


def _facts(request: Request, ready: _Ready) -> RunFacts:
    draws = inner_draws(request.content, request.draws)

    def knobs() -> dict[str, dict[str, Json]]:
        return {
            address: {**node.spec.defaults, **node.node.params, **draws.get(address, {})}
            for address, node in ready.flat.nodes.items()
        }

    return RunFacts(
        request.run,
        datetime.now().astimezone(),
        request.output_dir,
        lambda: to_json(_as_run(ready.content, request.draws)),
        knobs,
    )


def _as_run(content: Content, draws: Mapping[str, Mapping[str, Json]]) -> Content:
    """The document with drawn values in place of its own, so that opening it repeats this very run."""
    for address, knobs in draws.items():
        *path, node = address.split("/")
        graph = ROOT
        for step in path:
            holder = content.graphs[graph].nodes.get(step)
            graph = holder.type if holder and holder.type in content.graphs else ROOT
        for knob, value in knobs.items():
            with suppress(EditError):  # a draw for a node that is gone changes nothing
                content, _ = edits.SetKnob(graph, node, knob, value).apply(content)
    return content
