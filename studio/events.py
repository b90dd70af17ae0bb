"""What a run tells whoever watches it: frozen values, safe to send through the pipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from studio.errors import Action

NodeState = Literal["waiting", "running", "ran", "cached", "skipped", "failed", "blocked", "cancelled"]
RunState = Literal["done", "failed", "cancelled", "superseded"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A small opaque RGB picture.

    Attributes:
        width: Pixels.
        height: Pixels.
        rgb: ``height * width * 3`` bytes, row by row, sRGB.
    """

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins. `states` gives every node it concerns: cached, waiting, skipped or blocked."""

    run: str
    states: dict[str, NodeState] = field(default_factory=dict[str, NodeState])


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A node entered a state.

    Attributes:
        run: The run it happened in.
        node: Address of the node.
        state: The new state.
        seconds: Time its calls took in this run; 0 unless `state` is ``ran``.
        why: For ``ran``: what changed since the document's last run, in words.
        note: Anything else worth saying (a step down after running out of memory).
    """

    run: str
    node: str
    state: NodeState
    seconds: float = 0.0
    why: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running node is; only the newest per node matters."""

    run: str
    node: str
    done: int
    total: int
    preview: Picture | None = None


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node could not finish: what happened, at which input, what to do, or have done (`errors.Action`)."""

    run: str
    node: str
    title: str
    remedy: str = ""
    socket: str = ""
    action: Action = ""


@dataclass(frozen=True, slots=True)
class Result:
    """An output is there to be fetched by key.

    Attributes:
        run: The run that published it.
        node: Address of the node.
        output: Name of the output.
        type: Its wire type.
        key: The call's key in the cache; several for a list that was fanned out.
        count: Elements in it (pictures of a batch, items of a list).
    """

    run: str
    node: str
    output: str
    type: str
    key: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """A sink wrote a file."""

    run: str
    node: str
    path: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended; the last event of it."""

    run: str
    state: RunState
    seconds: float
    device: str = ""
    dtype: str = ""


Event = RunStarted | NodeChanged | Progress | NodeFailed | Result | Saved | RunFinished
