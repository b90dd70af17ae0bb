"""Editors for numbers: drag to scrub, click to type, arithmetic welcome."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.spec import KnobSpec
from studio.types import Json
from ui.inspector.arithmetic import evaluate
from ui.inspector.editor import Editor, UndoPassing, focus_by_click
from ui.theme import DARK

DRAG_STARTS_PX = 4
PX_PER_NOTCH = 4.0


class NumberField(QLineEdit):
    """A line of text that is dragged like a slider until it is clicked to be typed in.

    Shift makes the drag ten times finer, Ctrl ten times coarser; arrows and the wheel move by a notch.
    """

    scrubbed = Signal(float, bool)
    released = Signal()
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fraction: float | None = None
        self._press: QPointF | None = None
        self._last = QPointF()
        self._dragging = False
        self.setReadOnly(True)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setMinimumWidth(48)
        self.installEventFilter(UndoPassing(self))
        focus_by_click(self)

    def type_in(self) -> None:
        """Open the field for typing, with everything selected."""
        self.setReadOnly(False)
        self.setCursor(Qt.CursorShape.IBeamCursor)
        self.selectAll()

    def close_typing(self) -> None:
        self.setReadOnly(True)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.deselect()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if not self.isReadOnly() or event.button() != Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
            return
        self._press = self._last = event.position()
        self._dragging = False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseMoveEvent(event)
            return
        if not self._dragging and abs(event.position().x() - self._press.x()) < DRAG_STARTS_PX:
            return
        self._dragging = True
        pixels = event.position().x() - self._last.x()
        self._last = event.position()
        self._turn(pixels / PX_PER_NOTCH, event.modifiers())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseReleaseEvent(event)
            return
        self._press = None
        if self._dragging:
            self.released.emit()
        else:
            self.type_in()

    def wheelEvent(self, event: QWheelEvent) -> None:
        notches = event.angleDelta().y() / 120
        self._turn(notches, event.modifiers())
        self.released.emit()
        event.accept()

    def _turn(self, notches: float, modifiers: Qt.KeyboardModifier) -> None:
        fine = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        coarse = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
        self.scrubbed.emit(notches * (0.1 if fine else 10.0 if coarse else 1.0), fine)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._turn(1 if key == Qt.Key.Key_Up else -1, event.modifiers())
            self.released.emit()
        elif key == Qt.Key.Key_Escape:
            self.cancelled.emit()
        elif self.isReadOnly() and event.text() and event.text().isprintable():
            self.type_in()
            super().keyPressEvent(event)
        elif self.isReadOnly() and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.type_in()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.close_typing()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.fraction is None or not self.isReadOnly():
            return
        painter = QPainter(self)
        colour = QColor(DARK.accent if self.isEnabled() else DARK.disabled)
        inside = QRectF(self.rect()).adjusted(2, self.height() - 4, -2, -1)
        inside.setWidth(inside.width() * min(1.0, max(0.0, self.fraction)))
        painter.fillRect(inside, colour)
        painter.end()


class NumberEditor(Editor):
    """Edits an ``int`` or ``float`` knob within its limits."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self._whole = knob.kind == "int"
        self._low, self._high = knob.options.get("min"), knob.options.get("max")
        self._notch = _notch(knob)
        self._scrub: float | None = None
        self._before = value
        self.field = NumberField(self)
        self.field.setAccessibleName(knob.name)
        self.field.scrubbed.connect(self._scrub_by)
        self.field.released.connect(self._release)
        self.field.cancelled.connect(self._cancel)
        self.field.textEdited.connect(self._typed)
        self.field.editingFinished.connect(self._finish_typing)
        self.row.addWidget(self.field)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        value = self._value
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        self.field.setText("" if number is None else _written(number, self._whole))
        self.field.fraction = None
        if number is not None and isinstance(self._low, int | float) and isinstance(self._high, int | float):
            span = self._high - self._low
            self.field.fraction = (number - self._low) / span if span else None
        self.field.update()

    def _number(self) -> float:
        value = self._value
        if isinstance(value, int | float):
            return value
        return self._low if isinstance(self._low, int | float) else 0

    def _fit(self, number: float) -> int | float:
        if isinstance(self._low, int | float):
            number = max(self._low, number)
        if isinstance(self._high, int | float):
            number = min(self._high, number)
        return round(number) if self._whole else round(float(number), 10)

    def _scrub_by(self, notches: float, fine: bool) -> None:
        if self._scrub is None:
            self._scrub, self._before = float(self._number()), self._value
        low = self._low if isinstance(self._low, int | float) else -math.inf
        high = self._high if isinstance(self._high, int | float) else math.inf
        self._scrub = min(max(low, self._scrub + notches * self._notch), high)
        grid = self._notch / 10 if fine else self._notch
        self.preview(self._fit(round(self._scrub / grid) * grid))
        self.show_value()

    def _release(self) -> None:
        self._scrub = None
        self.commit()

    def _typed(self, text: str) -> None:
        number = evaluate(text, self._number())
        if number is not None and text.strip()[0] not in "+*/":
            self.preview(self._fit(number))

    def _finish_typing(self) -> None:
        if self.field.isReadOnly():
            return
        text = self.field.text().strip()
        number = evaluate(text, self._number()) if text else None
        if number is not None:
            self.preview(self._fit(number))
        self.field.close_typing()
        self.show_value()
        self.commit()

    def _cancel(self) -> None:
        if self._scrub is not None:
            self.preview(self._before)
        self._scrub = None
        self.field.close_typing()
        self.show_value()
        self.commit()


def _notch(knob: KnobSpec) -> float:
    step = knob.options.get("step")
    if isinstance(step, int | float) and step > 0:
        return float(step)
    if knob.kind == "int":
        return 1.0
    low, high = knob.options.get("min"), knob.options.get("max")
    if isinstance(low, int | float) and isinstance(high, int | float) and high > low:
        return (high - low) / 100
    return 0.1


def _written(number: float, whole: bool) -> str:
    if whole:
        return str(int(number))
    return f"{number:.6f}".rstrip("0").rstrip(".") if abs(number) < 1e12 else f"{number:g}"
