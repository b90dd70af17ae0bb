"""The strip of recent results: every picture that runs have made, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QListView, QListWidget, QListWidgetItem, QMenu, QWidget

from studio.document import Content
from ui.theme import DARK

THUMB_PX = 92
EMPTY = "The pictures of your runs gather here."
MOST = 200
"""Older results leave the strip; files that were saved stay where they are."""


@dataclass(eq=False)
class Shot:
    """One picture that a run gave.

    Attributes:
        node: Address of the node that gave it.
        title: Title of the document.
        content: The document as it ran, drawn values in place; None for a file found on the disk.
        key: Where the engine keeps it, or empty.
        output: Name of the node's output.
        index: Which picture of the output.
        path: The file it was saved as.
        thumb: Small picture.
        when: When it came.
    """

    node: str = ""
    title: str = ""
    content: Content | None = None
    key: str = ""
    output: str = ""
    index: int = 0
    path: Path | None = None
    thumb: QImage = field(default_factory=QImage)
    when: datetime = field(default_factory=datetime.now)

    @property
    def source(self) -> tuple[str, str, int]:
        """What tells it from other pictures of the engine."""
        return self.key, self.output, self.index


class ResultStrip(QListWidget):
    """Thumbnails in one row; a click shows the picture large, a drag takes the saved file elsewhere."""

    picked = Signal(object)
    graph_wanted = Signal(object)
    save_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Recent results")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSpacing(3)
        self.setIconSize(QSize(THUMB_PX, THUMB_PX))
        self.setDragEnabled(True)
        self.setDragDropMode(QListView.DragDropMode.DragOnly)
        self.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setMinimumHeight(THUMB_PX + 30)
        self.customContextMenuRequested.connect(self._open_menu)
        self.currentItemChanged.connect(lambda item, _old: item and self.picked.emit(shot_of(item)))

    def sizeHint(self) -> QSize:
        return QSize(400, THUMB_PX + 34)

    def shots(self) -> list[Shot]:
        """Everything in the strip, newest first."""
        return [shot_of(self.item(row)) for row in range(self.count())]

    def add(self, shot: Shot) -> None:
        """Put a picture at the front; one that is there already moves to it."""
        for row in reversed(range(self.count())):
            known = shot_of(self.item(row))
            if known is shot or (shot.key and known.source == shot.source):
                shot.path = shot.path or known.path
                self.takeItem(row)
        item = QListWidgetItem()
        item.setData(Qt.ItemDataRole.UserRole, shot)
        item.setSizeHint(QSize(THUMB_PX + 10, THUMB_PX + 10))
        self._dress(item)
        self.insertItem(0, item)
        while self.count() > MOST:
            self.takeItem(self.count() - 1)

    def refresh(self, shot: Shot) -> None:
        """Show a thumbnail or a path that came later."""
        for row in range(self.count()):
            if shot_of(self.item(row)) is shot:
                self._dress(self.item(row))

    def show_first(self) -> None:
        """Pick the newest."""
        if self.count():
            self.setCurrentRow(0)
            self.scrollToItem(self.item(0))

    def _dress(self, item: QListWidgetItem) -> None:
        shot = shot_of(item)
        if not shot.thumb.isNull():
            square = _square(shot.thumb, self.devicePixelRatioF())
            icon = QIcon(square)
            icon.addPixmap(square, QIcon.Mode.Selected)  # or Qt tints it
            item.setIcon(icon)
        where = str(shot.path) if shot.path else "not saved as a file"
        name = shot.title or (shot.path.name if shot.path else "")
        lines = [name, shot.when.strftime("%H:%M:%S"), where]
        item.setToolTip("\n".join(line for line in lines if line))
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"Result of {name}, {lines[1]}")

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.count():
            painter = QPainter(self.viewport())
            painter.setPen(QColor(DARK.muted))
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, EMPTY)
            painter.end()

    def mimeData(self, items: Sequence[QListWidgetItem]) -> QMimeData:
        data = QMimeData()
        paths = [shot.path for shot in map(shot_of, items) if shot.path is not None]
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        return data

    def _open_menu(self, at: QPoint) -> None:
        item = self.itemAt(at)
        if item is None:
            return
        shot = shot_of(item)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Save as…", lambda: self.save_wanted.emit(shot))
        opening = menu.addAction("Open the graph that made it", lambda: self.graph_wanted.emit(shot))
        opening.setEnabled(shot.content is not None or shot.path is not None)
        menu.addAction("Take out of the strip", lambda: self.takeItem(self.row(item)))
        menu.popup(self.viewport().mapToGlobal(at))


def shot_of(item: QListWidgetItem) -> Shot:
    """The picture an item of the strip stands for."""
    return item.data(Qt.ItemDataRole.UserRole)


def _square(thumb: QImage, ratio: float) -> QPixmap:
    side = round(THUMB_PX * ratio)
    grown = thumb.scaled(
        side,
        side,
        Qt.AspectRatioMode.KeepAspectRatioByExpanding,
        Qt.TransformationMode.SmoothTransformation,
    )
    corner = QPoint((grown.width() - side) // 2, (grown.height() - side) // 2)
    pixmap = QPixmap.fromImage(grown.copy(corner.x(), corner.y(), side, side))
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
