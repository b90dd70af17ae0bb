"""What was asked of the engine and is not answered yet, so that its death loses nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, cast

from studio.events import NodeChanged, NodeFailed, RunFinished, RunStarted, RunState
from studio.worker.protocol import (
    CacheReply,
    CacheRequest,
    CancelRun,
    FetchPicture,
    PictureReply,
    PlanReply,
    PlanRequest,
    RunRequest,
    UpgradeReply,
    UpgradeRequest,
)

_QUESTIONS = (PlanRequest, FetchPicture, UpgradeRequest, CacheRequest)
_REPLIES = (PlanReply, PictureReply, UpgradeReply, CacheReply)


@dataclass
class _Run:
    request: RunRequest
    begun_s: float | None = None
    superseded: bool = False
    cancelled: bool = False
    running: dict[str, None] = field(default_factory=dict[str, None])


class Ledger:
    """Runs and questions under way. Guarded by the client's lock."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._questions: dict[str, Any] = {}

    def asked(self, request: object) -> None:
        """Note a request that is about to be sent."""
        if isinstance(request, RunRequest):
            if request.supersedes:
                self._supersede(request)
            self._runs[request.run] = _Run(request)
        elif isinstance(request, CancelRun) and request.run in self._runs:
            self._runs[request.run].cancelled = True
        elif isinstance(request, _QUESTIONS):
            self._questions[request.id] = request

    def heard(self, message: object) -> bool:
        """Note a message of the worker; False if nobody wants it: its run is over or superseded."""
        if isinstance(message, _REPLIES):
            self._questions.pop(message.id, None)
            return True
        name = getattr(message, "run", None)
        if name is None:
            return True
        run = self._runs.get(name)
        if run is None:
            return False
        if isinstance(message, RunFinished):
            del self._runs[name]
            return True
        if isinstance(message, RunStarted):
            run.begun_s = time.monotonic()
        elif isinstance(message, NodeChanged):
            if message.state == "running":
                run.running[message.node] = None
            else:
                run.running.pop(message.node, None)
        return not run.superseded

    def is_open(self, run: str) -> bool:
        """True while `run` is waiting or running."""
        return run in self._runs

    @property
    def running(self) -> tuple[str, ...]:
        """Addresses of the nodes at work now."""
        return tuple(node for run in self._runs.values() for node in run.running)

    def waiting(self) -> list[object]:
        """Requests to send to an engine that has just started."""
        return [*(run.request for run in self._runs.values()), *self._questions.values()]

    def close_dead(self, title: str, remedy: str, state: RunState) -> list[object]:
        """Take out what died with the engine; return the messages that say so.

        Runs that had not begun stay and are sent again.
        """
        told: list[object] = []
        for name, run in tuple(self._runs.items()):
            if run.begun_s is None and not run.cancelled and not run.superseded:
                continue
            del self._runs[name]
            ending: RunState = "superseded" if run.superseded else "cancelled" if run.cancelled else state
            if ending == "failed":
                told += [NodeFailed(name, node, title, remedy) for node in run.running or ("",)]
            seconds = 0.0 if run.begun_s is None else time.monotonic() - run.begun_s
            told.append(RunFinished(name, ending, seconds))
        return told + self._refuse_questions(f"{title} {remedy}")

    def cancel_waiting(self, name: str) -> list[object]:
        """Take out a run that no engine has; return the message that says so."""
        return [RunFinished(name, "cancelled", 0.0)] if self._runs.pop(name, None) else []

    def _refuse_questions(self, sentence: str) -> list[object]:
        told: list[object] = []
        for name, question in tuple(self._questions.items()):
            if isinstance(question, PlanRequest):
                told.append(PlanReply(name, {}, sentence))
            elif isinstance(question, FetchPicture):
                told.append(PictureReply(name, 0, 0, 0, b"", sentence))
            elif isinstance(question, UpgradeRequest):
                told.append(UpgradeReply(name, {}, dict.fromkeys(question.nodes, sentence)))
            else:
                continue  # the size of the cache is asked again
            del self._questions[name]
        return told

    def _supersede(self, request: RunRequest) -> None:
        document = request.workflow.get("id")
        for run in self._runs.values():
            if document and cast(object, run.request.workflow.get("id")) == document:
                run.superseded = True
