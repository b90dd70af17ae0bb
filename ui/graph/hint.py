"""A sentence at the cursor: why a wire cannot be."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QLabel, QWidget

from ui.theme import DARK

MAX_WIDTH = 360


class Hint(QLabel):
    """A label that follows the mouse and takes no part in its events."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._area = parent
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(
            f"background: {DARK.raised}; color: {DARK.text}; border: 1px solid {DARK.bad};"
            "border-radius: 6px; padding: 6px 9px;"
        )
        self.hide()

    def say(self, sentence: str, at: QPoint) -> None:
        """Show a sentence beside a point of the parent; an empty one hides the hint."""
        if not sentence:
            self.hide()
            return
        if sentence != self.text():
            self.setText(sentence)
            width = min(MAX_WIDTH, self.fontMetrics().horizontalAdvance(sentence) + 24)
            self.resize(width, self.heightForWidth(width))
        area = self._area.rect()
        x = max(0, min(at.x() + 18, area.width() - self.width()))
        y = max(0, min(at.y() + 18, area.height() - self.height()))
        self.move(x, y)
        self.show()
