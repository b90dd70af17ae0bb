"""Pens, brushes, fonts and cut-to-fit texts of the graph view, made once."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from PySide6.QtCore import QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPen, QStaticText, QTextOption

from ui.theme import DARK, font

Role = Literal["title", "label", "small"]
TITLE_PX = 13
LABEL_PX = 12
SMALL_PX = 10

CANVAS = QColor(DARK.canvas)
GRID = QColor(DARK.grid)
NODE = QColor(DARK.node)
KNOB = QColor(DARK.knob)
FILL = QColor(DARK.fill)
TEXT = QColor(DARK.text)
MUTED = QColor(DARK.muted)
DISABLED = QColor(DARK.disabled)
HOVER = QColor(DARK.hover)
BORDER = QColor(DARK.border)
ACCENT = QColor(DARK.accent)
WARNING = QColor(DARK.warning)
BAD = QColor(DARK.bad)
GOOD = QColor(DARK.good)
BYPASS = QColor(DARK.bypass)
OUTLINE = QColor(DARK.outline)

STATES = {
    "waiting": QColor(DARK.border),
    "running": QColor(DARK.running),
    "ran": GOOD,
    "cached": QColor(DARK.cached),
    "skipped": QColor(DARK.disabled),
    "failed": BAD,
    "blocked": WARNING,
    "cancelled": QColor(DARK.disabled),
}


@lru_cache(maxsize=3)
def role_font(role: Role) -> QFont:
    """The font of titles, of labels and values, or of times and tags."""
    if role == "title":
        return font(TITLE_PX, strong=True)
    return font(LABEL_PX) if role == "label" else font(SMALL_PX, strong=True)


@lru_cache(maxsize=3)
def _metrics(role: Role) -> QFontMetricsF:
    return QFontMetricsF(role_font(role))


@lru_cache(maxsize=8192)
def _fitted(text: str, role: Role, width: int) -> tuple[QStaticText, QSizeF]:
    made = QStaticText(_metrics(role).elidedText(text, Qt.TextElideMode.ElideRight, width))
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.prepare(font=role_font(role))
    return made, made.size()


def fitted(text: str, role: Role, width: float) -> tuple[QStaticText, QSizeF]:
    """`text` cut to `width` with an ellipsis, ready to draw, and its size."""
    # A value may be megabytes long; no more of it than could ever fit is measured.
    return _fitted(text[:300], role, int(width))


@lru_cache(maxsize=1024)
def _wrapped(text: str, role: Role, width: int) -> QStaticText:
    made = QStaticText(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    made.setTextOption(option)
    made.setTextWidth(width)
    made.prepare(font=role_font(role))
    return made


def wrapped(text: str, role: Role, width: float) -> QStaticText:
    """`text` broken into lines of `width`, ready to draw."""
    return _wrapped(text[:1200], role, int(width))


@lru_cache(maxsize=64)
def hair(colour: str) -> QPen:
    """A pen of one pixel at any zoom."""
    made = QPen(QColor(colour), 1.0)
    made.setCosmetic(True)
    return made


@lru_cache(maxsize=512)
def pen(colour: str, width: float, dashed: bool = False) -> QPen:
    """A round-ended pen."""
    made = QPen(QColor(colour), width)
    made.setCapStyle(Qt.PenCapStyle.RoundCap)
    if dashed:
        made.setDashPattern([3.0, 3.0])
    return made
