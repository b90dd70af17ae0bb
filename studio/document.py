"""The document: everything a workflow file holds, and the single point at which it changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studio.graph import ROOT, Frame, Graph, Note

if TYPE_CHECKING:
    from studio.edits import Edit
    from studio.types import Json

Watcher = Callable[["Edit", "Content", "Content"], None]


@dataclass(frozen=True)
class Content:
    """A document at one moment; shared freely between threads, since nothing in it is written to.

    Attributes:
        id: Identity of the document, permanent across saves (uuid4 hex).
        title: What the user calls it.
        graphs: ``""`` is the root; every other entry is a subgraph definition.
        frames: By id.
        notes: By id.
        form: The app view made from the graph; reserved.
        canvas: Layers of pictures and masks; reserved.
        models: Digest → family and names of the model files the graph uses.
        requires: Package → version of the node packages it uses.
        extra: What plug-ins keep with the document.
        unknown: Keys at the top of the file that this version does not know or could not read, kept and
            written back.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    title: str = ""
    graphs: Mapping[str, Graph] = field(default_factory=lambda: {ROOT: Graph()})
    frames: Mapping[str, Frame] = field(default_factory=dict[str, Frame])
    notes: Mapping[str, Note] = field(default_factory=dict[str, Note])
    form: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    canvas: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    models: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    requires: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    unknown: Mapping[str, Json] = field(default_factory=dict[str, "Json"])

    @property
    def root(self) -> Graph:
        """The graph that runs."""
        return self.graphs[ROOT]


class Document:
    """A content that changes by edits, and those who watch it. Owned by one thread."""

    def __init__(self, content: Content | None = None) -> None:
        self._content = content or Content()
        self._watchers: list[Watcher] = []

    @property
    def content(self) -> Content:
        """The document as it is now; a later edit makes another value and leaves this one alone."""
        return self._content

    def apply(self, edit: Edit) -> Edit:
        """Carry out `edit` and return its inverse.

        Raises:
            EditError: The edit does not fit; nothing has changed.
        """
        before = self._content
        after, inverse = edit.apply(before)
        self._content = after
        for watcher in tuple(self._watchers):
            watcher(edit, before, after)
        return inverse

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher(edit, before, after)`` after every edit; the returned function ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
