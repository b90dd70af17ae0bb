"""What editor and worker say to each other: frozen dataclasses of builtins, and nothing else.

Requests go to the worker, replies and events come back. `PROTOCOL` must agree at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.types import Json

PROTOCOL = 2


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Run a workflow; events carry `run`.

    Attributes:
        run: Id chosen by the sender, unique.
        workflow: The document in the form of a workflow file, as a JSON object.
        targets: Addresses of nodes to run to; empty for everything a person asked to see.
        draws: Node address → knob → value drawn for this run (new seeds), over the document's.
        output_dir: Folder for sinks.
        supersedes: Cancel earlier runs of the same document first (run again on every change).
        previews: Send small pictures of the latent while sampling.
        base_dir: Folder that relative file names start from (the workflow file's); empty if it has none.
    """

    run: str
    workflow: dict[str, Json]
    targets: tuple[str, ...] = ()
    draws: dict[str, dict[str, Json]] = field(default_factory=dict[str, "dict[str, Json]"])
    output_dir: str = ""
    supersedes: bool = False
    previews: bool = True
    base_dir: str = ""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Say what a run would do; answered by `PlanReply`. `base_dir` is that of `RunRequest`."""

    id: str
    workflow: dict[str, Json]
    targets: tuple[str, ...] = ()
    base_dir: str = ""


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Stop a run, waiting or running; answered by its `RunFinished`."""

    run: str


@dataclass(frozen=True, slots=True)
class FetchPicture:
    """Ask for one picture of an output; answered by `PictureReply`.

    Attributes:
        id: Echoed in the reply.
        key: From `events.Result`.
        output: Name of the output.
        index: Which picture of the batch or list.
        max_px: Longest side; 0 for the full size.
    """

    id: str
    key: str
    output: str
    index: int = 0
    max_px: int = 0


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """Turn old parameters into today's; `nodes` holds ``{type, version, params}`` by address."""

    id: str
    nodes: dict[str, dict[str, Json]]


@dataclass(frozen=True, slots=True)
class SetDevice:
    """Choose ``auto``, ``cuda``, ``mps`` or ``cpu``; answered by a new `EngineReady`."""

    device: str


@dataclass(frozen=True, slots=True)
class CacheRequest:
    """Ask for the size of the caches, or clear them first; answered by `CacheReply`."""

    id: str
    clear: bool = False


@dataclass(frozen=True, slots=True)
class Quit:
    """End the worker."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker's first message."""

    protocol: int
    pid: int


@dataclass(frozen=True, slots=True)
class Package:
    """One package's part of the catalogue (`studio.catalogue.Catalogue.to_json`); core comes first."""

    name: str
    catalogue: dict[str, Json]
    last: bool = False


@dataclass(frozen=True, slots=True)
class EngineReady:
    """torch is loaded and a device chosen.

    Attributes:
        device: ``cuda``, ``mps`` or ``cpu``; ``none`` if torch cannot be loaded, `sentence` says why.
        dtype: ``bfloat16``, ``float16`` or ``float32``.
        name: The device's own name.
        devices: What may be chosen.
        sentence: A failed wish, told: “There is no CUDA device here; using the CPU.” Else empty.
    """

    device: str
    dtype: str
    name: str
    devices: tuple[str, ...] = ("cpu",)
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the device (of the process, on a CPU) and of the caches, in bytes."""

    used_bytes: int
    total_bytes: int
    cache_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PlanReply:
    """What a run would do, in the form of `studio.plan.Plan.to_json`; or a sentence why not."""

    id: str
    plan: dict[str, Json]
    error: str = ""


@dataclass(frozen=True, slots=True)
class PictureReply:
    """A picture, rows top down, 8-bit sRGB with 3 or 4 channels; or a sentence why there is none."""

    id: str
    width: int
    height: int
    channels: int
    pixels: bytes
    error: str = ""


@dataclass(frozen=True, slots=True)
class UpgradeReply:
    """Upgraded ``{type, version, params}`` by address; `errors` has a sentence for those that failed."""

    id: str
    nodes: dict[str, dict[str, Json]]
    errors: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class CacheReply:
    """Size of the caches, in bytes and entries."""

    id: str
    ram_bytes: int
    disk_bytes: int
    disk_entries: int
    disk_limit_bytes: int
    path: str


@dataclass(frozen=True, slots=True)
class EngineState:
    """Where the engine stands; made by the client, never sent.

    Attributes:
        state: ``starting`` (process is up), ``ready`` (torch is loaded), ``stuck`` (a cancelled run has not
            answered for 5 s), ``restarting``, ``stopped``.
        sentence: For the user, if something happened.
    """

    state: str
    sentence: str = ""
