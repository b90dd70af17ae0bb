"""What a node's body may ask of the run it is part of. Never the cache, the queue or the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import Cancelled, NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event as Flag

    from studio.cache.store import Store
    from studio.declare import Extension, ExtensionKind
    from studio.events import Picture
    from studio.types import Json


@dataclass(frozen=True)
class RunFacts:
    """What is true of a run as a whole; enters no key, for sinks to name and sign their files with.

    Attributes:
        id: Of the run.
        started: Local time at which it was submitted.
        output_dir: Where sinks write.
        make_document: Gives `document`, which only runs with a sink need.
        make_knobs: Gives `knobs`.
    """

    id: str
    started: datetime
    output_dir: Path
    make_document: Callable[[], Mapping[str, Json]] = dict
    make_knobs: Callable[[], Mapping[str, Mapping[str, Json]]] = dict

    @cached_property
    def document(self) -> Mapping[str, Json]:
        """The workflow as run, drawn seeds included, in the form of a workflow file."""
        return self.make_document()

    @cached_property
    def knobs(self) -> Mapping[str, Mapping[str, Json]]:
        """Node address → knob values as run, for file-name patterns."""
        return self.make_knobs()


@dataclass(frozen=True)
class Context:
    """A node's view of its run. Made anew for every call; used from that call's thread.

    Attributes:
        node: Address of the node.
        facts: Of the run; nothing in it may change a result.
        key: The call's key, under which steps of a long work may be kept (see `checkpoints`).
        weights: The worker's weights store (`studio.diffusion.weights.WeightsStore`); None in tests of
            toy nodes.
        checkpoints: Cache for the steps of a trajectory; None where nothing is kept.
        extensions: The registry's named parts (solvers, schedules, families, …), by kind and name.
    """

    node: str
    facts: RunFacts
    cancelled: Flag
    report: Callable[[int, int, Picture | None], None]
    saved: Callable[[Path], None]
    key: str = ""
    weights: Any = None
    checkpoints: Store | None = None
    extensions: Mapping[tuple[str, str], Extension] = field(
        default_factory=dict[tuple[str, str], "Extension"]
    )

    def extension(self, kind: ExtensionKind, name: str) -> Any:
        """Import and return the named part.

        Raises:
            NodeError: No installed package brings it.
        """
        found = self.extensions.get((kind, name))
        if found is None:
            raise NodeError(
                f"There is no {kind} “{name}” among what is installed.",
                "Choose another, or install the package it comes with.",
            )
        return found.load()

    def check(self) -> None:
        """Raise `Cancelled` if the run was cancelled; call it wherever work may take long."""
        if self.cancelled.is_set():
            raise Cancelled

    def progress(self, done: int, total: int, preview: Picture | None = None) -> None:
        """Tell how far the node is, perhaps with a small picture, and stop here if cancelled."""
        self.check()
        self.report(done, total, preview)
