"""A line of text that is shortened where there is no room for it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from ui.theme import DARK

FEWEST = 6
"""Letters below which a shortened text is left out."""


class ElidedLabel(QLabel):
    """Shows as much of its text as there is room for; `text` stays the whole of it."""

    def __init__(
        self, parent: QWidget | None = None, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__(parent)
        self._mode = mode
        self._ink = DARK.muted
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_ink(self, ink: str) -> None:
        """Write in another colour."""
        self._ink = ink
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(QColor(self._ink))
        shown = self.fontMetrics().elidedText(self.text(), self._mode, self.width())
        if len(shown) < FEWEST and shown != self.text():
            shown = ""  # “1…e” tells nothing
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.end()
