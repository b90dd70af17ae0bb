"""The worker's life between its first message and its last: a queue of runs, and questions beside it.

The same in a process of its own and inline. Three threads: *compute* finds packages, chooses the device and
runs; *questions* answers whatever does not run; *memory* looks every two seconds. `Session.handle` may be
called from any thread and returns at once.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from studio import paths
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
from studio.worker.device import Device, Load
from studio.worker.outbox import Outbox
from studio.worker.protocol import (
    CacheRequest,
    CancelRun,
    FetchPicture,
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
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._work: queue.SimpleQueue[_Run | SetDevice | None] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._early: list[Question] = []
        self._device = Device(store, self._emit, outbox, load)
        self._found = threading.Event()
        self._has_chosen = False
        self._known: tuple[str, Content] | None = None
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

    def owns(self, thread: threading.Thread | None) -> bool:
        """True for the threads the session cannot do without."""
        return thread in self._threads

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
        if ended:
            self._device.close()
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
        self._device.registry = self._discover(self._tell_package)
        self._outbox.put(Package("", Catalogue().to_json(), last=True))
        self._found.set()
        while not self._ended.is_set():
            try:
                item = self._work.get(timeout=IDLE_S if self._device.is_cold else None)
            except queue.Empty:
                self._device.warm_up()
                continue
            if isinstance(item, SetDevice):
                self._choose(item.device)
            elif item is not None and not item.over:
                self._run(item)

    def _tell_package(self, name: str, catalogue: Catalogue) -> None:
        self._outbox.put(Package(name, catalogue.to_json()))

    def _choose(self, device: str) -> None:
        self._device.choose(device)
        with self._lock:
            self._has_chosen = True
            early, self._early = self._early, []
        for question in early:
            self._questions.put(question)

    def _run(self, run: _Run) -> None:
        if not self._has_chosen:
            self._choose("auto")
        with self._lock:
            if run.over:
                return
            run.begun = True
        name = run.request.run
        started = time.monotonic()
        try:
            request = self._request(run.request)
            executor = self._device.await_torch(request, run.cancelled)
            self._emit(executor.run(request, run.cancelled))
        except StudioError as error:
            self._emit(NodeFailed(name, error.node or "", error.title, error.remedy, error.socket or ""))
        except Exception as error:  # noqa: BLE001 - the message loop: a run that breaks ends only itself
            _log.exception("run %s broke", name)
            title = f"The engine could not carry this run out: {type(error).__name__}: {error}."
            self._emit(NodeFailed(name, "", title, "The engine's log has the details."))
        self._emit(RunFinished(name, "failed", time.monotonic() - started))  # unless it ended already
        self._device.tell_memory()

    def _read(self, workflow: dict[str, Json]) -> Content:
        """The document of a request: the very one of the last request, if that was the same to the letter.

        The executor knows it again then, and need not prepare it anew. As text, since 1, 1.0 and true differ.
        """
        text = json.dumps(workflow)
        known = self._known
        if known is None or known[0] != text:
            known = self._known = (text, from_json(workflow))
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
            if not isinstance(question, NEED_DEVICE) or self._has_chosen:
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
                executor = self._device.executor
                return self._plan(executor, question) if executor else refusal(question, self._device.fault)
            case FetchPicture():
                compute = self._device.compute
                look = compute.look if compute else pictures.unseen
                return pictures.fetch(self._store, question, look)
            case UpgradeRequest():
                return upgrade(self._device.registry, question)
            case CacheRequest():
                return caches(self._store, question)

    # Memory

    def _memory_loop(self) -> None:
        while not self._ended.wait(MEMORY_INTERVAL_S):
            with self._lock:
                running = any(run.begun for run in self._runs.values())
            if running:
                self._device.tell_memory()
