"""What can go wrong, as sentences: what happened, where, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["", "t5_vocabulary"]
"""Remedies that are a click: fetching T5's vocabulary from the hub."""


class StudioError(Exception):
    """A failure told to the person who paints: a sentence, its place, and a remedy.

    Attributes:
        title: What happened, one sentence, with numbers and units.
        remedy: What to do about it; may be empty.
        node: Address of the node that caused it (``sub/k_sampler``), if one did.
        socket: Input or knob of that node, if one is to blame.
        action: What the window can do about it where a person asks for that; empty if nothing.
    """

    def __init__(
        self,
        title: str,
        remedy: str = "",
        *,
        node: str | None = None,
        socket: str | None = None,
        action: Action = "",
    ) -> None:
        super().__init__(title)
        self.title = title
        self.remedy = remedy
        self.node = node
        self.socket = socket
        self.action: Action = action

    def __str__(self) -> str:
        return f"{self.title} {self.remedy}".strip()


class NodeError(StudioError):
    """Raised by a node's body; the executor fills in which node it was."""


class FileError(StudioError):
    """A file that cannot be read as what it claims to be."""


class EditError(StudioError):
    """An edit that does not fit the document it was applied to; the document is unchanged."""


class Cancelled(Exception):  # noqa: N818 - a request carried out, not an error
    """The run was cancelled; raised inside a node by `Context.check`."""


ProblemKind = Literal[
    "unknown_type",
    "newer_version",
    "older_version",
    "missing_wire",
    "wrong_type",
    "out_of_range",
    "unknown_socket",
    "cycle",
    "missing_file",
    "bypass",
    "package",
    "lists",
    "file",
    "family",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a node from running, found before it runs.

    One of the kind ``family`` keeps none from it: it tells that files were made for different models.

    Attributes:
        kind: What sort of trouble, for icons and filters.
        title: The sentence.
        remedy: What to do about it.
        graph: Name of the graph that holds the node (``""`` is the root).
        node: Id of the node in that graph, or ``""`` where the document as a whole is meant.
        socket: The input or knob to blame, or ``""``.
    """

    kind: ProblemKind
    title: str
    remedy: str = ""
    graph: str = ""
    node: str = ""
    socket: str = ""
