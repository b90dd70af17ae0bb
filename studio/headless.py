"""A run without a window: an engine, a progress bar on a terminal, and what came of it."""

from __future__ import annotations

import queue
import sys
import uuid
from dataclasses import dataclass, field
from typing import TextIO

from studio.errors import StudioError
from studio.events import NodeChanged, NodeFailed, NodeState, Progress, RunFinished, RunStarted, Saved
from studio.types import Json
from studio.worker.client import STUCK_AFTER_S, EngineClient
from studio.worker.protocol import (
    CancelRun,
    EngineReady,
    EngineState,
    PlanReply,
    PlanRequest,
    RunRequest,
)

FLUSH_PATIENCE_S = 30.0
_SHORT_PATIENCE_S = 3.0
_STATES = {"ran": "ran", "cached": "cached", "failed": "failed", "running": "failed"}
_BAR = 24


@dataclass
class NodeOutcome:
    """What became of a node: ``ran``, ``cached``, ``skipped`` or ``failed``."""

    state: str = "skipped"
    seconds: float = 0.0
    why: str = ""


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        nodes: By address.
        outputs: (node, absolute path) of every file written, in order.
        failures: What went wrong, by node.
        blocked: Node → why it could not even begin.
        finished: The run's last event; None while it goes on.
    """

    nodes: dict[str, NodeOutcome] = field(default_factory=dict[str, NodeOutcome])
    outputs: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    failures: list[NodeFailed] = field(default_factory=list[NodeFailed])
    blocked: dict[str, str] = field(default_factory=dict[str, str])
    finished: RunFinished | None = None

    def take(self, event: object) -> None:
        """Note an event of the run."""
        match event:
            case RunStarted():
                for node, state in event.states.items():
                    self._enter(node, state)
            case NodeChanged():
                self._enter(event.node, event.state).seconds = event.seconds
                self.nodes[event.node].why = event.why
                if event.state == "blocked":
                    self.blocked[event.node] = event.why
            case NodeFailed():
                self.failures.append(event)
                if event.node:
                    self._enter(event.node, "failed")
            case Saved():
                self.outputs.append((event.node, event.path))
            case RunFinished():
                self.finished = event
            case _:
                pass

    def _enter(self, node: str, state: NodeState) -> NodeOutcome:
        outcome = self.nodes.setdefault(node, NodeOutcome())
        outcome.state = _STATES.get(state, "skipped")
        return outcome

    def to_json(self) -> dict[str, Json]:
        """The object that ``run --json`` prints."""
        finished = self.finished or RunFinished("", "failed", 0.0)
        return {
            "outputs": [{"node": node, "path": path} for node, path in self.outputs],
            "nodes": {
                name: {"state": node.state, "seconds": round(node.seconds, 4), "why": node.why}
                for name, node in self.nodes.items()
            },
            "seconds": round(finished.seconds, 4),
            "device": finished.device,
            "dtype": finished.dtype,
        }


class Bar:
    """A line of progress, redrawn in place; silent where nobody watches."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._width = 0

    def show(self, text: str, done: int = 0, total: int = 0) -> None:
        """Draw `text`, with a bar if there is a `total`."""
        if self._stream is None:
            return
        if total:
            filled = _BAR * min(done, total) // total
            text = f"{text}  [{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total}"
        self._stream.write(f"\r{text:<{self._width}}")
        self._stream.flush()
        self._width = len(text)

    def clear(self) -> None:
        """Leave an empty line."""
        if self._stream is not None and self._width:
            self._stream.write(f"\r{'':<{self._width}}\r")
            self._stream.flush()
            self._width = 0


class Headless:
    """An engine for one errand. A context manager: on the way out the engine is gone, whatever happened."""

    def __init__(self, device: str = "auto") -> None:
        self._messages: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._client = EngineClient(self._messages.put, device=device)
        self._bar = Bar(sys.stderr)
        self._patience_s = _SHORT_PATIENCE_S

    def __enter__(self) -> Headless:
        self._client.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bar.clear()
        self._client.close(self._patience_s)

    def run(self, request: RunRequest) -> Outcome:
        """Run to the end; Ctrl-C cancels and then is raised on.

        Raises:
            StudioError: There is no engine.
            KeyboardInterrupt: As pressed; the run has ended.
        """
        outcome = Outcome()
        self._client.send(request)
        self._bar.show("Starting the engine …")
        try:
            while outcome.finished is None:
                self._take(self._messages.get(), outcome)
        except KeyboardInterrupt:
            self._client.send(CancelRun(request.run))
            self._await_end(outcome)
            raise
        # What was computed is written to disk before the engine goes.
        self._patience_s = FLUSH_PATIENCE_S
        return outcome

    def plan(self, workflow: dict[str, Json], targets: tuple[str, ...], base_dir: str) -> dict[str, Json]:
        """Ask what a run would do, in the form of `studio.plan.Plan.to_json`.

        Raises:
            StudioError: It cannot be planned, or there is no engine.
        """
        self._client.send(PlanRequest(uuid.uuid4().hex, workflow, targets, base_dir))
        self._bar.show("Starting the engine …")
        while not isinstance(message := self._messages.get(), PlanReply):
            _expect_life(message)
        if message.error:
            raise StudioError(message.error)
        return message.plan

    def _take(self, message: object, outcome: Outcome) -> None:
        _expect_life(message)
        outcome.take(message)
        match message:
            case NodeChanged(state="running"):
                self._bar.show(message.node)
            case Progress():
                self._bar.show(message.node, message.done, message.total)
            case EngineState(state="restarting") | EngineReady():
                self._say(message.sentence)
            case _:
                pass

    def _say(self, sentence: str) -> None:
        if sentence:
            self._bar.clear()
            sys.stderr.write(f"{sentence}\n")

    def _await_end(self, outcome: Outcome) -> None:
        """Wait until a cancelled run has ended, or has been given up."""
        try:
            while outcome.finished is None:
                self._take(self._messages.get(timeout=STUCK_AFTER_S), outcome)
        except (queue.Empty, StudioError, KeyboardInterrupt):
            self._patience_s = 0.0


def _expect_life(message: object) -> None:
    if isinstance(message, EngineState) and message.state == "stopped":
        raise StudioError(message.sentence)
