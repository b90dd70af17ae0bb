"""Editors for text, choices, yes and no, and for whatever is none of these: JSON."""

from __future__ import annotations

import json

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPlainTextEdit, QWidget

from studio.spec import KnobSpec
from studio.types import Json
from ui.inspector.choices import ChoiceBox
from ui.inspector.editor import Editor, UndoPassing, focus_by_click

LINES = 5


class LineEditor(Editor):
    """Edits one line of text."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self.field = QLineEdit(self)
        self.field.setAccessibleName(knob.name)
        self.field.setMinimumWidth(48)
        self.field.installEventFilter(UndoPassing(self))
        self.field.textEdited.connect(self.preview)
        self.field.editingFinished.connect(self.commit)
        self.row.addWidget(self.field)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        text = self._value if isinstance(self._value, str) else ""
        if self.field.text() != text:
            self.field.setText(text)
            self.field.setCursorPosition(0)


class TextArea(QPlainTextEdit):
    """A few lines of text; leaving it, or Ctrl+Return, ends the gesture."""

    def __init__(self, editor: ParagraphEditor) -> None:
        super().__init__(editor)
        self._editor = editor
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._editor.commit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self._editor.commit()
            event.ignore()
            return
        super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        height = self.fontMetrics().lineSpacing() * LINES + 14
        return QSize(super().sizeHint().width(), height)


class ParagraphEditor(Editor):
    """Edits text of several lines, prompts above all."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self.field = TextArea(self)
        self.field.setAccessibleName(knob.name)
        self.field.setPlaceholderText(knob.doc)
        self.field.installEventFilter(UndoPassing(self))
        self.field.setPlainText(value if isinstance(value, str) else "")
        self.field.textChanged.connect(self._typed)
        self.row.addWidget(self.field)
        self.setFocusProxy(self.field)

    def show_value(self) -> None:
        text = self._value if isinstance(self._value, str) else ""
        if self.field.toPlainText() != text:
            cursor = self.field.textCursor().position()
            self.field.blockSignals(True)
            self.field.setPlainText(text)
            self.field.blockSignals(False)
            moved = self.field.textCursor()
            moved.setPosition(min(cursor, len(text)))
            self.field.setTextCursor(moved)

    def _typed(self) -> None:
        self.preview(self.field.toPlainText())


class ChoiceEditor(Editor):
    """Picks one of the names a knob takes; a name that is not installed stays shown, marked as such."""

    def __init__(
        self, knob: KnobSpec, value: Json, names: tuple[str, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(value, parent)
        self._names = names
        self.field = ChoiceBox(self)
        self.field.setAccessibleName(knob.name)
        self.field.setMinimumWidth(48)
        self.field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        focus_by_click(self.field)
        self.field.activated.connect(self._picked)
        self.row.addWidget(self.field)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        self.field.clear()
        for name in self._names:
            self.field.addItem(name, name)
        if self._value not in self._names:
            self.field.insertItem(0, f"{self._value} (not installed)", self._value)
            self.field.setCurrentIndex(0)
            return
        self.field.setCurrentIndex(self._names.index(str(self._value)))

    def _picked(self, index: int) -> None:
        self.take(self.field.itemData(index))


class SwitchEditor(Editor):
    """Yes or no."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self.field = QCheckBox(self)
        self.field.setAccessibleName(knob.name)
        self.field.clicked.connect(self.take)
        self.row.addWidget(self.field)
        self.row.addStretch(1)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        self.field.setChecked(self._value is True)


class JsonEditor(Editor):
    """Edits a value of a kind the editor does not know; what is no JSON is kept in the field, marked."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self.field = QLineEdit(self)
        self.field.setAccessibleName(knob.name)
        self.field.installEventFilter(UndoPassing(self))
        self.field.textEdited.connect(self._typed)
        self.field.editingFinished.connect(self.commit)
        self.field.installEventFilter(self)
        self.row.addWidget(self.field)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        self.field.setText(json.dumps(self._value, ensure_ascii=False))
        self.field.setCursorPosition(0)
        self._mark(wrong=False)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut and self.field.property("wrong"):
            self.show_value()
        return super().eventFilter(watched, event)

    def _typed(self, text: str) -> None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            self._mark(wrong=True)
            return
        self._mark(wrong=False)
        self.preview(value)

    def _mark(self, *, wrong: bool) -> None:
        if bool(self.field.property("wrong")) == wrong:
            return
        self.field.setProperty("wrong", wrong)
        self.field.setToolTip("This is not JSON yet; the last value that was is kept." if wrong else "")
        self.field.style().polish(self.field)
