"""What every editor of a knob has in common."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.types import Json


class Editor(QWidget):
    """Shows one knob's value and says what a person makes of it; owned by the GUI thread.

    `previewed` comes with every notch of a drag and every letter typed, `committed` once the gesture is
    over. Neither is emitted by `set_value`.
    """

    previewed = Signal(object)
    committed = Signal(object)

    def __init__(self, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = value
        self._changed_since_commit = False
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.setSpacing(4)

    @property
    def value(self) -> Json:
        """The value as last shown or changed."""
        return self._value

    def set_value(self, value: Json) -> None:
        """Show `value`, which the document has got from elsewhere (an undo, another view)."""
        if type(value) is type(self._value) and value == self._value:
            return
        self._value = value
        self._changed_since_commit = False
        self.show_value()

    def show_value(self) -> None:
        """Bring the widgets to `value`."""

    def preview(self, value: Json) -> None:
        """Take `value` from the person's hand, in the middle of a gesture."""
        if type(value) is type(self._value) and value == self._value:
            return
        self._value = value
        self._changed_since_commit = True
        self.previewed.emit(value)

    def commit(self) -> None:
        """End the gesture; silent if nothing has changed since the last one."""
        if self._changed_since_commit:
            self._changed_since_commit = False
            self.committed.emit(self._value)

    def take(self, value: Json) -> None:
        """A gesture of one step: a choice, a box ticked, a die thrown."""
        self.preview(value)
        self.commit()


class UndoPassing(QObject):
    """Lets Ctrl+Z in a text field reach the document's undo, where typing is one entry.

    Text fields of Qt claim undo and redo for a history of their own.
    """

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            undo = event.matches(QKeySequence.StandardKey.Undo)
            if undo or event.matches(QKeySequence.StandardKey.Redo):
                event.ignore()
                return True
        return super().eventFilter(watched, event)


class WheelNeedsFocus(QObject):
    """Keeps a wheel that scrolls the panel from turning the knobs it passes over."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def focus_by_click(widget: QWidget) -> None:
    """Give `widget` the focus by Tab and click but not by the wheel."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(WheelNeedsFocus(widget))
