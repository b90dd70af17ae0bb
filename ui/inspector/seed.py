"""The editor for seeds, which are unsigned 64-bit numbers and too wide for Qt's own spin boxes."""

from __future__ import annotations

import secrets

from PySide6.QtCore import QRegularExpression
from PySide6.QtGui import QRegularExpressionValidator
from PySide6.QtWidgets import QLineEdit, QToolButton, QWidget

from studio.draws import SEED_BITS
from studio.spec import MAX_SEED, KnobSpec
from studio.types import Json
from ui.icons import icon
from ui.inspector.editor import Editor, UndoPassing


class SeedEditor(Editor):
    """Edits a seed: typed, or thrown with the die."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self.field = QLineEdit(self)
        self.field.setAccessibleName(knob.name)
        self.field.setMinimumWidth(48)
        self.field.installEventFilter(UndoPassing(self))
        self.field.setValidator(QRegularExpressionValidator(QRegularExpression("[0-9]{0,20}"), self.field))
        self.field.textEdited.connect(self._typed)
        self.field.editingFinished.connect(self._finish)
        self.die = QToolButton(self)
        self.die.setIcon(icon("die"))
        self.die.setToolTip("Draw another seed")
        self.die.setAccessibleName("Draw another seed")
        self.die.setAutoRaise(True)
        self.die.clicked.connect(self._throw)
        self.row.addWidget(self.field, 1)
        self.row.addWidget(self.die)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        self.field.setText(str(self._value) if isinstance(self._value, int) else "")
        self.field.setCursorPosition(0)

    def _typed(self, text: str) -> None:
        if text:
            self.preview(min(int(text), MAX_SEED))

    def _finish(self) -> None:
        self.show_value()
        self.commit()

    def _throw(self) -> None:
        self.take(secrets.randbits(SEED_BITS))
        self.show_value()
