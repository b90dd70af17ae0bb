"""Model files dropped on the graph: onto a node that takes them, else as a loader of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, QPointF, Signal
from PySide6.QtGui import QDropEvent
from shiboken6 import isValid

from studio.catalogue import Catalogue
from studio.errors import StudioError
from studio.models import libraries, recognise
from ui.background import Background
from ui.graph import hits
from ui.graph.view import GraphView
from ui.models.shelf import Shelf
from ui.models.use import use

STEP = 60.0


class Drops(QObject):
    """Finds out what was dropped, off the window's thread. Owned by the GUI thread."""

    said = Signal(str, bool)

    def __init__(
        self,
        shelf: Shelf,
        background: Background,
        catalogue: Callable[[], Catalogue],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._shelf, self._background, self._catalogue = shelf, background, catalogue

    def drop(self, view: GraphView, files: list[Path], at: QPoint) -> None:
        """Put model files into a graph, at a point of its view."""
        for index, file in enumerate(files):
            pos = view.mapToScene(at) + QPointF(index * STEP, index * STEP)
            entry = next((entry for entry in self._shelf.entries() if entry.path == file), None)
            if entry is not None and entry.type:
                self._put(view, file, pos, entry.type)
                continue
            self._background.do(
                partial(_type_of, file),
                partial(self._put, view, file, pos),
                lambda error: self.said.emit(str(error), True),
            )

    def _put(self, view: GraphView, file: Path, pos: QPointF, model: str) -> None:
        if not isValid(view):
            return
        hit = hits.part_at(view.graph_scene, pos)
        node = hit[0].id if hit is not None else ""
        if not use(view.graph_scene, self._catalogue(), file, model, pos, node):
            what = f"No installed node loads what {file.name} is."
            unknown = f"{file.name} does not say what it is. Drop it on the node that is to load it."
            self.said.emit(what if model else unknown, True)


def models_in(event: QDropEvent) -> list[Path]:
    """Files of models, and folders, of a drag."""
    files = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [file for file in files if file.suffix.lower() in libraries.SUFFIXES or file.is_dir()]


def _type_of(file: Path) -> str:
    if file.suffix.lower() in libraries.PICKLED:
        return libraries.role(file, Path(file.anchor))
    kind = recognise.kind_at(file)
    if kind is None:
        raise StudioError(f"{file.name} is {recognise.stranger(file)}.")
    return kind.type
