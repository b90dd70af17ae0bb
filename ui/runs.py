"""Runs: what waits for the engine, what it is doing, and what became of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from studio.document import Content
from studio.events import RunFinished, RunStarted
from studio.files import workflow
from studio.types import Json
from studio.worker.protocol import CancelRun, RunRequest
from ui.engine import Engine

Draws = dict[str, dict[str, Json]]
Standing = Literal["waiting", "sent", "running", "done", "failed", "cancelled", "superseded"]


@dataclass(eq=False)
class Run:
    """One run, from the moment it was asked for.

    Attributes:
        id: Unique.
        page: Key of the page it was asked for on.
        title: The document's title then.
        content: The document as it was then.
        targets: Addresses to run to; empty for everything.
        draws: Values drawn for this run.
        base_dir: Folder of the document's file; relative names start there.
        live: Asked for by a change of the document; a newer one replaces it.
        standing: Where it stands.
        seconds: Time it took.
    """

    page: str
    title: str
    content: Content
    targets: tuple[str, ...] = ()
    draws: Draws = field(default_factory=dict)
    base_dir: str = ""
    live: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    standing: Standing = "waiting"
    seconds: float = 0.0


class Runs(QObject):
    """The queue. It lives here, so that an engine's death costs none of what waits. GUI thread.

    One run at a time is with the engine; live runs pass those of the same page, which they replace.
    """

    changed = Signal()
    happened = Signal(object, object)

    def __init__(self, engine: Engine, output_dir: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.output_dir = output_dir
        self.waiting: list[Run] = []
        self.sent: dict[str, Run] = {}
        self._engine = engine
        engine.happened.connect(self._hear)

    @property
    def current(self) -> Run | None:
        """The run the engine is at."""
        return next(reversed(self.sent.values()), None)

    def submit(self, run: Run) -> None:
        """Put a run at the end of the queue; a live one takes the place of the page's other live ones."""
        if run.live:
            for old in [item for item in self.waiting if item.live and item.page == run.page]:
                self._drop(old, "superseded")
            current = self.current
            if current is not None and current.live and current.page == run.page:
                self._send(run)
                return
        self.waiting.append(run)
        self._next()

    def cancel(self, run: Run) -> None:
        """Stop a run, or take it from the queue."""
        if run in self.waiting:
            self._drop(run, "cancelled")
        elif run.id in self.sent:
            self._engine.send(CancelRun(run.id))

    def cancel_all(self) -> None:
        """Empty the queue and stop what is running."""
        for run in tuple(self.waiting):
            self._drop(run, "cancelled")
        for run in tuple(self.sent.values()):
            self.cancel(run)

    def forget_page(self, page: str) -> None:
        """Cancel everything asked for on a page that is going away."""
        for run in (*self.waiting, *self.sent.values()):
            if run.page == page:
                self.cancel(run)

    def close(self) -> None:
        """Send nothing more."""
        self.waiting.clear()

    def _next(self) -> None:
        if not self.sent and self.waiting:
            self._send(self.waiting.pop(0))
        else:
            self.changed.emit()

    def _send(self, run: Run) -> None:
        run.standing = "sent"
        self.sent[run.id] = run
        self._engine.send(
            RunRequest(
                run=run.id,
                workflow=workflow.to_json(run.content),
                targets=run.targets,
                draws=run.draws,
                output_dir=str(self.output_dir),
                supersedes=run.live,
                base_dir=run.base_dir,
            )
        )
        self.changed.emit()

    def _hear(self, event: object) -> None:
        run = self.sent.get(str(getattr(event, "run", "")))
        if run is None:
            return
        if isinstance(event, RunStarted):
            run.standing = "running"
            self.changed.emit()
        elif isinstance(event, RunFinished):
            run.standing, run.seconds = event.state, event.seconds
            del self.sent[run.id]
        self.happened.emit(run, event)
        if isinstance(event, RunFinished):
            self._next()

    def _drop(self, run: Run, standing: Literal["cancelled", "superseded"]) -> None:
        self.waiting.remove(run)
        run.standing = standing
        self.happened.emit(run, RunFinished(run.id, standing, 0.0))
        self.changed.emit()
