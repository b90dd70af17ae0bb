"""The palette: type a few letters, press Enter, and the node is there."""

from __future__ import annotations

import html

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFocusEvent, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from studio.catalogue import Catalogue
from studio.spec import NodeSpec
from ui.graph.face import words
from ui.graph.painter import PLAIN
from ui.graph.search import Wanted, found
from ui.theme import DARK, METRICS, font

SIZE = QSize(560, 380)
RECENT = 6
AnyIndex = QModelIndex | QPersistentModelIndex
SPEC = Qt.ItemDataRole.UserRole


class NodePalette(QFrame):
    """Lists node types over the graph; a child of the view, not a window. GUI thread."""

    chosen = Signal(str)
    """Node type."""
    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._area = parent
        self._catalogue = Catalogue()
        self._wanted: Wanted | None = None
        self._recent: list[str] = []
        self.setObjectName("palette")
        self.setStyleSheet(_STYLE)
        self.query = QLineEdit(self)
        self.query.setPlaceholderText("Add a node: type its name, or what it does")
        self.query.setAccessibleName("Search nodes")
        self.query.setClearButtonEnabled(True)
        self.list = QListWidget(self)
        self.list.setAccessibleName("Nodes found")
        self.list.setItemDelegate(_Row(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.doc = QLabel(self)
        self.doc.setTextFormat(Qt.TextFormat.RichText)
        self.doc.setWordWrap(True)
        self.doc.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.doc.setFixedWidth(240)
        below = QHBoxLayout()
        below.setSpacing(10)
        below.addWidget(self.list, 1)
        below.addWidget(self.doc)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 10, 10, 10)
        column.addWidget(self.query)
        column.addLayout(below, 1)
        self.query.textChanged.connect(self._search)
        self.list.currentItemChanged.connect(self._show_doc)
        self.list.itemClicked.connect(lambda _: self._choose())
        self.query.installEventFilter(self)
        self.hide()

    def open(self, at: QPoint, catalogue: Catalogue, wanted: Wanted | None = None) -> None:
        """Show the palette with its corner near `at`, wholly inside the parent."""
        self._catalogue, self._wanted = catalogue, wanted
        area = self._area.rect()
        size = SIZE.boundedTo(area.size())
        x = max(0, min(at.x() - 14, area.width() - size.width()))
        y = max(0, min(at.y() - 14, area.height() - size.height()))
        self.setGeometry(QRect(QPoint(x, y), size))
        self.query.clear()
        self._search("")
        self.show()
        self.raise_()
        self.query.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_up(self) -> None:
        """Hide without choosing."""
        if self.isVisible():
            self.hide()
            self.closed.emit()

    def types(self) -> list[str]:
        """The types listed now, in order."""
        return [self.list.item(row).data(SPEC).type for row in range(self.list.count())]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(event.key())
        # A menu of the line itself, or another window in front, is no reason to go.
        leaving = (Qt.FocusReason.MouseFocusReason, Qt.FocusReason.TabFocusReason)
        if isinstance(event, QFocusEvent) and event.lostFocus() and event.reason() in leaving:
            self.close_up()
        return super().eventFilter(watched, event)

    def _key(self, key: int) -> bool:
        if key == Qt.Key.Key_Escape:
            self.close_up()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab):
            self._choose()
        elif key in (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp):
            rows = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            row = self.list.currentRow() + rows[Qt.Key(key)]
            self.list.setCurrentRow(max(0, min(row, self.list.count() - 1)))
        else:
            return False
        return True

    def _search(self, query: str) -> None:
        self.list.clear()
        for spec in found(self._catalogue, query, self._wanted, self._recent):
            item = QListWidgetItem(spec.title or spec.type)
            item.setData(SPEC, spec)
            colour = next((one.type for one in (*spec.outputs, *spec.inputs)), "")
            item.setData(SPEC + 1, self._catalogue.wires.get(colour, PLAIN).colour)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        if not self.list.count():
            self.doc.setText(f"<span style='color:{DARK.muted}'>{self._nothing()}</span>")

    def _nothing(self) -> str:
        if not self._catalogue.specs:
            return "The engine has not told yet which nodes there are."
        if self._wanted is not None:
            side = "takes" if self._wanted.output else "gives"
            what = html.escape(words(self._wanted.wire_type))
            return f"No node of that name {side} {what}."
        return "No node of that name."

    def _show_doc(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.doc.setText(doc_html(item.data(SPEC)))

    def _choose(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        chosen = item.data(SPEC).type
        self._recent = [chosen, *(name for name in self._recent if name != chosen)][:RECENT]
        self.hide()
        self.chosen.emit(chosen)


def doc_html(spec: NodeSpec) -> str:
    """What a type of node is for, what it takes and gives."""

    def rows(heading: str, items: list[tuple[str, str]]) -> str:
        lines = "".join(
            f"<div><b>{html.escape(words(name))}</b> "
            f"<span style='color:{DARK.muted}'>{html.escape(kind)}</span></div>"
            for name, kind in items
        )
        return f"<div style='color:{DARK.muted}; margin-top:9px'>{heading}</div>{lines}" if items else ""

    return (
        f"<div style='font-size:{METRICS.text_px + 1}px; font-weight:600'>{html.escape(spec.title)}</div>"
        f"<div style='color:{DARK.muted}'>{html.escape(spec.category)}</div>"
        f"<div style='margin-top:8px'>{html.escape(spec.doc)}</div>"
        + rows("Takes", [(item.name, words(item.type)) for item in spec.inputs])
        + rows("Gives", [(item.name, words(item.type)) for item in spec.outputs])
    )


class _Row(QStyledItemDelegate):
    """A row of the palette: a dot in the colour of what the node gives, title, category."""

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(120, 30)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        spec: NodeSpec = index.data(SPEC)
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        state: QStyle.StateFlag = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(QColor(DARK.accent_ground))
            painter.drawRoundedRect(rect.adjusted(2, 1, -2, -1), 5, 5)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(DARK.hover))
            painter.drawRoundedRect(rect.adjusted(2, 1, -2, -1), 5, 5)
        painter.setBrush(QColor(index.data(SPEC + 1)))
        painter.drawEllipse(QPoint(rect.left() + 15, rect.center().y() + 1), 5, 5)
        small = font(METRICS.small_px)
        aside = QFontMetrics(small).horizontalAdvance(spec.category)
        painter.setFont(small)
        painter.setPen(QColor(DARK.muted))
        flags = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect.adjusted(0, 0, -10, 0), flags | Qt.AlignmentFlag.AlignRight, spec.category)
        normal = font(METRICS.text_px)
        room = rect.width() - 46 - aside
        title = QFontMetrics(normal).elidedText(spec.title or spec.type, Qt.TextElideMode.ElideRight, room)
        painter.setFont(normal)
        painter.setPen(QColor(DARK.text))
        painter.drawText(rect.adjusted(28, 0, 0, 0), flags | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()


_STYLE = f"""
#palette {{ background: {DARK.raised}; border: 1px solid {DARK.border}; border-radius: 9px; }}
#palette QLineEdit {{ padding: 7px 10px; font-size: 14px; }}
#palette QListWidget {{ background: transparent; border: none; }}
#palette QLabel {{ padding: 4px 2px; }}
"""
