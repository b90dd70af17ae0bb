"""The list of models: two lines a row, filtered as one types, dragged as files."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QUrl,
)
from PySide6.QtGui import QColor, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from studio.models.catalogue import Entry
from ui.models.pictures import Pictures
from ui.models.wording import line, type_of
from ui.theme import DARK, METRICS, font

AnyIndex = QModelIndex | QPersistentModelIndex
ENTRY = Qt.ItemDataRole.UserRole
ROW_HEIGHT = 42
LEAST_FOLDER = 40
"""Pixels below which a folder's name tells nothing."""
_NOWHERE = QModelIndex()


class Listing(QAbstractListModel):
    """Entries as rows."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Entry] = []

    def show(self, entries: list[Entry]) -> None:
        """List others."""
        if entries != self._rows:
            self.beginResetModel()
            self._rows = entries
            self.endResetModel()

    def row_of(self, entry: Entry) -> int:
        """Where the model of that path stands; −1 if it does not."""
        return next((row for row, other in enumerate(self._rows) if other.path == entry.path), -1)

    def rowCount(self, parent: AnyIndex = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not 0 <= index.row() < len(self._rows):
            return None
        entry = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return entry.name
            case Qt.ItemDataRole.ToolTipRole:
                return "\n".join(part for part in (str(entry.path), entry.problem) if part)
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{entry.name}, {line(entry)}"
            case _:
                return entry if role == ENTRY else None

    def flags(self, index: AnyIndex) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        data = QMimeData()
        entries: list[Entry] = [index.data(ENTRY) for index in indexes]
        data.setUrls([QUrl.fromLocalFile(str(entry.path)) for entry in entries])
        return data


class Row(QStyledItemDelegate):
    """Paints a model: its picture, its name with the folder behind it, and below what it is."""

    def __init__(self, pictures: Pictures, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures = pictures

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        entry: Entry = index.data(ENTRY)
        # The stubs of Qt's option classes know no fields.
        rect: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        state: QStyle.StateFlag = option.state  # pyright: ignore[reportAttributeAccessIssue]
        painter.save()
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(DARK.accent_ground))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(DARK.hover))
        inner = rect.adjusted(METRICS.margin, 4, -METRICS.margin, -4)
        side = inner.height()
        self._picture(painter, QRect(inner.topLeft(), QSize(side, side)), entry)
        inner.setLeft(inner.left() + side + METRICS.margin)
        half = side // 2
        usable = not entry.problem
        top, bottom = inner.adjusted(0, 0, 0, -half), inner.adjusted(0, half, 0, 0)
        taken = _write(painter, top, entry.path.name, METRICS.text_px, DARK.text if usable else DARK.muted)
        folder = entry.name.rpartition("/")[0]
        rest = top.adjusted(taken + METRICS.margin, 0, 0, 0)
        if folder and rest.width() > LEAST_FOLDER:
            _write(painter, rest, folder, METRICS.small_px, DARK.muted)
        said = line(entry) if usable else entry.problem
        _write(painter, bottom, said, METRICS.small_px, DARK.muted if usable else DARK.warning)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(200, ROW_HEIGHT)

    def _picture(self, painter: QPainter, rect: QRect, entry: Entry) -> None:
        picture = self._pictures.of(entry)
        if picture is None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(DARK.border))
            painter.drawRoundedRect(rect, 4, 4)
            painter.setFont(font(METRICS.text_px))
            painter.setPen(QColor(DARK.muted))
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, "?" if entry.problem else type_of(entry)[:1])
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = picture.size().scaled(rect.size(), Qt.AspectRatioMode.KeepAspectRatio)
        placed = QRect(rect.topLeft(), size)
        placed.moveCenter(rect.center())
        painter.drawImage(placed, picture)


def _write(painter: QPainter, rect: QRect, text: str, pixels: int, ink: str) -> int:
    """Write one line; its width."""
    lettering = font(pixels)
    painter.setFont(lettering)
    painter.setPen(QColor(ink))
    metrics = QFontMetrics(lettering)
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, rect.width())
    painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
    return metrics.horizontalAdvance(shown)
