"""The worker's life between its first message and its last: a queue of runs, and questions beside it.

The same in a process of its own and inline. Three threads: *compute* finds packages, chooses the device and
runs; *questions* answers whatever does not run; *memory* looks every two seconds. `Session.handle` may be
called from any thread and returns at once.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from studio import paths
from studio.arguments import find_node
from studio.cache.store import Store
from studio.catalogue import Catalogue
from studio.document import Content
from studio.errors import StudioError
from studio.events import Event, NodeFailed, Progress, RunFinished, RunState
from studio.executor import Executor, Request
from studio.files.workflow import from_json
from studio.registry import Registry
from studio.types import Json
from studio.worker import pictures
from studio.worker.compute import Compute
from studio.worker.outbox import Outbox
from studio.worker.protocol import (
    CacheRequest,
    CancelRun,
    EngineReady,
    FetchPicture,
    Memory,
    Package,
    PlanReply,
    PlanRequest,
    RunRequest,
    SetDevice,
    UpgradeRequest,
)
from studio.worker.questions import NEED_DEVICE, Question, Reply, caches, refusal, upgrade

MEMORY_INTERVAL_S = 2.0
IDLE_S = 0.2
"""Torch is loaded once nobody has asked for anything for so long: its import holds everyone up."""
OnPackage = Callable[[str, Catalogue], None]
Discover = Callable[[OnPackage], Registry]
Load = Callable[[str], Compute]
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Run:
    """A run from request to `RunFinished`; `over` is set once that was sent."""

    request: RunRequest
    cancelled: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    over: bool = False


class Session:
    """Answers the requests of one editor."""

    def __init__(self, outbox: Outbox, store: Store, discover: Discover, load: Load) -> None:
        """Start at once: the catalogue goes out first; a device is chosen at the first `SetDevice` or run.

        Args:
            outbox: Takes every reply and event.
            store: Where outputs are kept; closed by whoever made it.
            discover: Finds the packages, telling of each as it comes.
            load: Chooses a device; called on the compute thread.
        """
        self._outbox = outbox
        self._store = store
        self._discover = discover
        self._load = load
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._work: queue.SimpleQueue[_Run | SetDevice | None] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._early: list[Question] = []
        self._registry = Registry()
        self._found = threading.Event()
        self._loaded = False
        self._compute: Compute | None = None
        self._executor: Executor | None = None
        self._known: tuple[dict[str, Json], Content] | None = None
        self._wish = ""
        self._warming: Compute | None = None
        self._warm = threading.Event()
        self._fault = ""
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in (
                (self._compute_loop, "compute"),
                (self._question_loop, "questions"),
                (self._memory_loop, "memory"),
            )
        ]
        for thread in self._threads:
            thread.start()

    def handle(self, request: object) -> None:
        """Take a request; replies go to the outbox. Any thread."""
        match request:
            case RunRequest():
                self._queue(request)
            case CancelRun():
                self._cancel(request.run)
            case SetDevice():
                self._work.put(request)
            case PlanRequest() | FetchPicture() | UpgradeRequest() | CacheRequest():
                self._questions.put(request)
            case _:
                _log.info("a %s is no request", type(request).__name__)

    def end(self, grace_s: float) -> bool:
        """Cancel everything and end the threads; False if something does not answer within `grace_s`."""
        with self._lock:
            for run in self._runs.values():
                run.cancelled.set()
        self._ended.set()
        self._found.set()
        self._work.put(None)
        self._questions.put(None)
        until = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended and self._executor is not None:
            self._executor.close()
        return ended

    # Runs

    def _queue(self, request: RunRequest) -> None:
        run = _Run(request)
        with self._lock:
            if request.supersedes:
                document = request.workflow.get("id")
                for other in tuple(self._runs.values()):
                    if document and cast(object, other.request.workflow.get("id")) == document:
                        self._close(other, "superseded")
            self._runs[request.run] = run
        self._work.put(run)

    def _cancel(self, name: str) -> None:
        with self._lock:
            run = self._runs.get(name)
            if run is None:
                return
            run.cancelled.set()
            if not run.begun:
                self._close(run, "cancelled")

    def _close(self, run: _Run, state: RunState) -> None:
        """End a run in the editor's eyes: nothing of it is sent any more. Holds the lock."""
        run.cancelled.set()
        self._outbox.drop(run.request.run)
        self._finish(run, RunFinished(run.request.run, state, 0.0))

    def _finish(self, run: _Run, event: RunFinished) -> None:
        """Send the last event of a run. Holds the lock."""
        run.over = True
        self._runs.pop(run.request.run, None)
        self._outbox.put(event)

    def _emit(self, event: Event) -> None:
        """What the executor says, unless nobody wants to hear it. Any thread."""
        with self._lock:
            run = self._runs.get(event.run)
            if run is None:
                return
            if isinstance(event, RunFinished):
                self._finish(run, event)
                return
            if isinstance(event, Progress) and not run.request.previews:
                event = dataclasses.replace(event, preview=None)
            self._outbox.put(event)

    def _compute_loop(self) -> None:
        self._registry = self._discover(self._tell_package)
        self._outbox.put(Package("", Catalogue().to_json(), last=True))
        self._found.set()
        while not self._ended.is_set():
            try:
                item = self._work.get(timeout=None if self._warming is self._compute else IDLE_S)
            except queue.Empty:
                self._start_warming()
                continue
            if isinstance(item, SetDevice):
                self._choose(item.device)
            elif item is not None and not item.over:
                self._run(item)

    def _tell_package(self, name: str, catalogue: Catalogue) -> None:
        self._outbox.put(Package(name, catalogue.to_json()))

    def _choose(self, device: str) -> None:
        if self._compute is not None and device == self._wish:
            return  # granted already
        self._wish = device
        try:
            compute = self._load(device)
            older, self._executor = self._executor, None
            if older is not None:
                older.close()
            self._executor = Executor(
                self._registry,
                self._store,
                emit=self._emit,
                weights=compute.weights,
                numerics=compute.numerics,
            )
        except Exception as error:  # noqa: BLE001 - a broken installation of torch is told, not fatal
            self._tell_broken(error)
        else:
            self._compute, self._fault = compute, ""
            self._warm.clear()
        with self._lock:
            self._loaded = True
            early, self._early = self._early, []
        for question in early:
            self._questions.put(question)

    def _start_warming(self) -> None:
        compute = self._compute
        if compute is not None and compute is not self._warming:
            self._warming = compute
            threading.Thread(target=self._warm_up, args=(compute,), name="warming", daemon=True).start()

    def _warm_up(self, compute: Compute) -> None:
        try:
            compute.warm()
        except Exception as error:  # noqa: BLE001 - a broken installation of torch is told, not fatal
            self._tell_broken(error)
        else:
            if compute is self._compute:
                self._outbox.put(compute.ready)
                self._tell_memory()
        self._warm.set()

    def _await_torch(self, executor: Executor, request: Request, cancelled: threading.Event) -> None:
        """Before a run that will work with weights, have torch loaded: that is no part of the run's time."""
        if self._warm.is_set():
            return
        specs = self._registry.specs
        for address, planned in executor.plan(request).nodes.items():
            if planned.state in ("run", "waiting"):
                spec = specs.get(find_node(request.content, address).node.type)
                if spec is not None and spec.device:
                    self._start_warming()
                    while not self._warm.wait(0.1) and not cancelled.is_set():
                        pass
                    break
        if self._fault:
            raise StudioError(self._fault, "Install Latent Studio anew.")

    def _tell_broken(self, error: Exception) -> None:
        _log.error("no device could be made ready", exc_info=error)
        self._fault = f"The engine cannot compute: {type(error).__name__}: {error}."
        self._outbox.put(EngineReady("none", "", "", (), self._fault))

    def _run(self, run: _Run) -> None:
        if self._executor is None and not self._fault:
            self._choose("auto")
        with self._lock:
            if run.over:
                return
            run.begun = True
        name = run.request.run
        started = time.monotonic()
        try:
            if self._executor is None:
                raise StudioError(self._fault, "Install Latent Studio anew.")
            request = self._request(run.request)
            self._await_torch(self._executor, request, run.cancelled)
            self._emit(self._executor.run(request, run.cancelled))
        except StudioError as error:
            self._emit(NodeFailed(name, error.node or "", error.title, error.remedy, error.socket or ""))
        except Exception as error:  # noqa: BLE001 - the message loop: a run that breaks ends only itself
            _log.exception("run %s broke", name)
            title = f"The engine could not carry this run out: {type(error).__name__}: {error}."
            self._emit(NodeFailed(name, "", title, "The engine's log has the details."))
        self._emit(RunFinished(name, "failed", time.monotonic() - started))  # unless it ended already
        self._tell_memory()

    def _read(self, workflow: dict[str, Json]) -> Content:
        """The document of a request: the very one of the last request, if that was equal.

        The executor knows it again then, and need not prepare it anew.
        """
        known = self._known
        if known is None or known[0] != workflow:
            known = self._known = (workflow, from_json(workflow))
        return known[1]

    def _request(self, request: RunRequest) -> Request:
        folder = Path(request.output_dir) if request.output_dir else paths.output_dir()
        content = self._read(request.workflow)
        base = Path(request.base_dir) if request.base_dir else None
        return Request(request.run, content, request.targets, request.draws, output_dir=folder, base_dir=base)

    # Questions

    def _question_loop(self) -> None:
        self._found.wait()
        while not self._ended.is_set():
            question = self._questions.get()
            if question is None or self._is_early(question):
                continue
            try:
                reply = self._answer(question)
            except Exception as error:  # noqa: BLE001 - the message loop: other questions are still answered
                _log.exception("a question was not answered: %s", type(question).__name__)
                reply = refusal(question, f"The engine could not answer: {type(error).__name__}: {error}.")
            if reply is not None:
                self._outbox.put(reply)

    def _is_early(self, question: Question) -> bool:
        """Set aside what needs a device before one is chosen, so that the rest need not wait behind it."""
        with self._lock:
            if not isinstance(question, NEED_DEVICE) or self._loaded:
                return False
            self._early.append(question)
            return True

    def _plan(self, executor: Executor, question: PlanRequest) -> Reply:
        base = Path(question.base_dir) if question.base_dir else None
        try:
            content = self._read(question.workflow)
            made = executor.plan(Request(question.id, content, question.targets, base_dir=base))
        except StudioError as error:
            return PlanReply(question.id, {}, str(error))
        return PlanReply(question.id, made.to_json())

    def _answer(self, question: Question) -> Reply | None:
        match question:
            case PlanRequest():
                if self._executor is None:
                    return refusal(question, self._fault)
                return self._plan(self._executor, question)
            case FetchPicture():
                look = self._compute.look if self._compute else pictures.unseen
                return pictures.fetch(self._store, question, look)
            case UpgradeRequest():
                return upgrade(self._registry, question)
            case CacheRequest():
                return caches(self._store, question)

    # Memory

    def _memory_loop(self) -> None:
        while not self._ended.wait(MEMORY_INTERVAL_S):
            with self._lock:
                running = any(run.begun for run in self._runs.values())
            if running:
                self._tell_memory()

    def _tell_memory(self) -> None:
        if self._compute is not None:
            used, total = self._compute.memory()
            self._outbox.put(Memory(used, total, self._store.sizes().ram_bytes))
