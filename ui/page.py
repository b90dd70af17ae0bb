"""One open document: its undo stack, its graph on the canvas, and where it is kept."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget
from shiboken6 import isValid

from studio.catalogue import Catalogue
from studio.document import Content
from studio.errors import Problem
from studio.files import workflow
from studio.graph import Graph
from studio.types import Json
from studio.validate import validate
from ui.background import Background
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.graph.view import GraphView
from ui.levels import Levels
from ui.problems import Trouble
from ui.runs import Draws
from ui.undo import Editing

VALIDATE_AFTER_MS = 120
UNTITLED = "Untitled"


class Page(QWidget):
    """A document in the window. GUI thread.

    Attributes:
        key: Unique among the pages ever opened; names its journal.
        path: The file it is kept in; None until it is saved.
        draws: Values drawn for its last run that is done.
        blobs: Pictures and masks of the bundle it was opened from.
        failures: What went wrong in its last run.
        problems: What validation found.
    """

    title_changed = Signal()
    problems_changed = Signal()
    edited = Signal(object)

    def __init__(
        self,
        content: Content,
        catalogue: Catalogue,
        background: Background,
        path: Path | None = None,
        *,
        unsaved: bool = False,
        key: str = "",
    ) -> None:
        super().__init__()
        self.key = key or uuid.uuid4().hex
        self.path = path
        self.draws: Draws = {}
        self.blobs: Mapping[str, bytes] = {}
        self.failures: list[Trouble] = []
        self.problems: list[Problem] = []
        self._file_problems: list[Problem] = []
        self._background = background
        self._unsaved = unsaved
        self.editing = Editing(content, self)
        self.status = GraphStatus(self)
        self.status.set_catalogue(catalogue)
        self.levels = Levels(self.editing, self.status, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.levels)
        self.setFocusProxy(self.levels)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(VALIDATE_AFTER_MS)
        self._soon.timeout.connect(self.validate)
        self.editing.changed.connect(self._changed)
        self.editing.stack.cleanChanged.connect(self._saved_or_not)
        self._soon.start()

    @property
    def content(self) -> Content:
        """The document as it is now."""
        return self.editing.content

    @property
    def view(self) -> GraphView:
        """The graph in front, on the canvas."""
        return self.levels.view

    @property
    def scene(self) -> GraphScene:
        """The graph in front."""
        return self.levels.scene

    @property
    def title(self) -> str:
        """What the tab says."""
        return self.path.stem if self.path else self.content.title or UNTITLED

    @property
    def unsaved(self) -> bool:
        """True if closing it would lose something."""
        return self._unsaved or not self.editing.stack.isClean()

    @property
    def untouched(self) -> bool:
        """True for a new page that nothing was done on: the next file opened may take its place."""
        return self.path is None and not self.unsaved

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Show nodes by this catalogue from now on."""
        self.status.set_catalogue(catalogue)
        self.validate()

    def validate(self) -> None:
        """Look for problems, in the background; `problems_changed` tells when they are known."""
        self._soon.stop()
        catalogue, content = self.status.catalogue, self.content
        if catalogue.specs:
            base = self.path.parent if self.path else None
            self._background.do(
                partial(validate, content, catalogue, base),
                lambda found: self._found(found) if content is self.content else None,
            )

    def _found(self, problems: list[Problem]) -> None:
        if isValid(self):
            self.problems = [*self._file_problems, *problems]
            self.status.set_problems(self.problems)
            self.problems_changed.emit()

    def note_file_problems(self, problems: list[Problem]) -> None:
        """Keep showing what was odd about the file."""
        self._file_problems = problems
        self.validate()

    def fail(self, trouble: Trouble) -> None:
        """Note what went wrong in a run."""
        self.failures.append(trouble)
        self.problems_changed.emit()

    @property
    def troubles(self) -> list[Trouble]:
        """Failures of the last run at nodes that are still there."""
        return [failure for failure in self.failures if _is_there(self.content, failure.address)]

    def forget_failures(self) -> None:
        """A new run begins."""
        if self.failures:
            self.failures.clear()
            self.problems_changed.emit()

    def forget_remedied(self, action: str) -> None:
        """What that action is the remedy of is wrong no longer."""
        left = [failure for failure in self.failures if failure.action != action]
        if len(left) != len(self.failures):
            self.failures[:] = left
            self.problems_changed.emit()

    def drawn(self, address: str) -> Mapping[str, Json]:
        """Values that the last run drew for a node."""
        return self.draws.get(address, {})

    def save(self, path: Path) -> None:
        """Write the document.

        Raises:
            FileError: It could not be written; what was there is still there.
        """
        workflow.save(self.content, path, self.status.catalogue, self.blobs or None)
        self.path = path
        self._unsaved = False
        self.editing.stack.setClean()
        self.title_changed.emit()

    def close_page(self) -> None:
        """Stop everything that could still call."""
        self._soon.stop()
        self.levels.close_scenes()

    def _changed(self, edit: object, _before: Content, _after: Content) -> None:
        self._soon.start()
        self.edited.emit(edit)

    def _saved_or_not(self, _clean: bool) -> None:
        self.title_changed.emit()


def _is_there(content: Content, address: str) -> bool:
    *through, name = address.split("/")
    graph: Graph | None = content.root
    for step in through:
        holder = graph.nodes.get(step) if graph else None
        graph = content.graphs.get(holder.type) if holder else None
    return not address or (graph is not None and name in graph.nodes)


def as_new(content: Content) -> Content:
    """The same graph as a document of its own."""
    return replace(content, id=uuid.uuid4().hex)
