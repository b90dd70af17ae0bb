"""A box of choices; of many, a list that typing narrows."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QHideEvent, QKeyEvent
from PySide6.QtWidgets import QComboBox, QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

MANY = 14
ROWS = 14
LEAST_WIDTH = 220
_STEPS = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: ROWS - 1, Qt.Key.Key_PageUp: 1 - ROWS}


class ChoiceBox(QComboBox):
    """A combo box whose list, where it is long, is searched by typing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.popup: Narrowing | None = None

    def showPopup(self) -> None:
        if self.count() <= MANY:
            super().showPopup()
            return
        self.hidePopup()
        self.popup = Narrowing(self)
        self.popup.open_below()

    def hidePopup(self) -> None:
        popup, self.popup = self.popup, None
        if popup is not None:
            popup.close()
        super().hidePopup()

    def pick(self, index: int) -> None:
        """Take a choice as from the list."""
        self.hidePopup()
        self.setCurrentIndex(index)
        self.activated.emit(index)


class Narrowing(QFrame):
    """The list under a line to type in."""

    def __init__(self, box: ChoiceBox) -> None:
        super().__init__(box, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_NoMouseReplay)  # a click on the box closes it for good
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._box = box
        self.query = QLineEdit(self)
        self.query.setPlaceholderText("Type to narrow")
        self.query.setAccessibleName("Narrow the choices")
        self.query.installEventFilter(self)
        self.query.textChanged.connect(self._list)
        self.list = QListWidget(self)
        self.list.setAccessibleName("Choices")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._choose)
        self.setFocusProxy(self.query)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addWidget(self.query)
        column.addWidget(self.list)
        self._list("")

    def open_below(self) -> None:
        """Show it by its box, on the screen that has the box."""
        row = max(self.list.sizeHintForRow(0), 18)
        taken = self.list.sizeHintForColumn(0) + 40
        frame = self.query.sizeHint().height() + 16
        size = QSize(max(taken, self._box.width(), LEAST_WIDTH), frame + row * min(ROWS, self._box.count()))
        screen = self._box.screen().availableGeometry()
        size = size.boundedTo(screen.size())
        place = QRect(self._box.mapToGlobal(QPoint(0, self._box.height())), size)
        if place.bottom() > screen.bottom():
            place.moveBottom(self._box.mapToGlobal(QPoint()).y() - 1)
        place.moveTop(max(screen.top(), min(place.top(), screen.bottom() + 1 - size.height())))
        place.moveLeft(max(screen.left(), min(place.left(), screen.right() + 1 - size.width())))
        self.setGeometry(place)
        self.show()
        self.query.setFocus(Qt.FocusReason.PopupFocusReason)
        current = self.list.currentItem()
        if current is not None:
            self.list.scrollToItem(current, QListWidget.ScrollHint.PositionAtCenter)

    def hideEvent(self, event: QHideEvent) -> None:
        if self._box.popup is self:
            self._box.popup = None
        super().hideEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(Qt.Key(event.key()))
        return super().eventFilter(watched, event)

    def _key(self, key: Qt.Key) -> bool:
        if key in _STEPS:
            row = self.list.currentRow() + _STEPS[key]
            self.list.setCurrentRow(max(0, min(row, self.list.count() - 1)))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab):
            self._choose(self.list.currentItem())
        elif key == Qt.Key.Key_Escape:
            self._box.hidePopup()
        else:
            return False
        return True

    def _list(self, typed: str) -> None:
        """Names that hold every word, those that begin with what was typed first; the chosen one marked."""
        words = _plain(typed).split()
        found = [index for index in range(self._box.count()) if _holds(self._box.itemText(index), words)]
        start = " ".join(words)
        found.sort(key=lambda index: not _plain(self._box.itemText(index)).startswith(start))
        self.list.clear()
        for index in found:
            item = QListWidgetItem(self._box.itemText(index))
            item.setData(Qt.ItemDataRole.UserRole, index)
            self.list.addItem(item)
        here = self._box.currentIndex()
        self.list.setCurrentRow(found.index(here) if here in found and not words else 0)

    def _choose(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self._box.pick(item.data(Qt.ItemDataRole.UserRole))


def _plain(text: str) -> str:
    return text.lower().replace("_", " ")


def _holds(name: str, words: list[str]) -> bool:
    plain = _plain(name)
    return all(word in plain for word in words)
