"""Draws the field of a knob: its name, its value, and what the value is at a glance."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath

from studio.spec import KnobSpec
from studio.types import Json
from ui.graph import ink
from ui.graph.face import row_kind, text_of, words
from ui.graph.layout import Box, share
from ui.graph.rounded import fill_soft
from ui.theme import DARK

Fill = Callable[[QPainter, QRectF, QColor], None]
PAD = 8.0
DICE = 22.0
"""Width of the die at the right of a seed's field."""


def paint_field(
    painter: QPainter,
    knob: KnobSpec,
    value: Json,
    box: Box,
    *,
    wired: bool,
    hovered: bool,
    drawn_anew: bool,
    edited: bool,
    legible: bool,
) -> None:
    """Draw one field.

    Args:
        painter: Painter, in the node's coordinates.
        knob: The knob.
        value: Its value.
        box: Its field.
        wired: A wire drives it, and its own value counts for nothing.
        hovered: The mouse is over it.
        drawn_anew: A seed that is drawn anew at each run.
        edited: An editor lies over it.
        legible: Text is large enough to read.
    """
    rect = QRectF(*box)
    fill = _fill_round if legible else fill_soft
    fill(painter, rect, ink.HOVER if hovered and not wired else ink.KNOB)
    if edited:
        return
    if not wired:
        _fill(painter, knob, value, rect, fill)
    if not legible:
        _bar(painter, knob, rect)
        return
    painter.setFont(ink.role_font("label"))
    if row_kind(knob) == "text":
        _paragraph(painter, knob, value, rect, wired)
        return
    _line(painter, knob, value, rect, wired=wired, drawn_anew=drawn_anew)


def _line(
    painter: QPainter, knob: KnobSpec, value: Json, rect: QRectF, *, wired: bool, drawn_anew: bool
) -> None:
    """Name at the left, value at the right."""
    room, middle = rect.width() - 2 * PAD, rect.center().y()
    if knob.kind == "bool" and not wired:
        _switch(painter, value is True, rect)
        _label(painter, knob, rect, room - 34, wired)
        return
    right = rect.right() - PAD
    if not wired and knob.kind == "choice":
        right = _chevron(painter, right, middle)
    elif not wired and knob.kind == "seed":
        right = _die(painter, right, middle, drawn_anew)
    label = _label(painter, knob, rect, room * 0.55, wired)
    room = right - rect.left() - PAD - label - 10
    shown = "wired" if wired else "new each run" if drawn_anew else text_of(knob, value)
    text, size = ink.fitted(shown, "label", max(room, 12))
    painter.setPen(ink.DISABLED if wired else ink.TEXT)
    painter.drawStaticText(QPointF(right - size.width(), middle - size.height() / 2), text)


def _fill(painter: QPainter, knob: KnobSpec, value: Json, rect: QRectF, fill: Fill) -> None:
    """How far a number stands between its limits."""
    low, high = knob.options.get("min"), knob.options.get("max")
    if knob.kind not in ("int", "float") or not isinstance(value, int | float):
        return
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return
    part = share(float(value), float(low), float(high))
    if part <= 0:
        return
    width = max(rect.width() * part, 6.0)
    fill(painter, QRectF(rect.left(), rect.top(), width, rect.height()), ink.FILL)


def _fill_round(painter: QPainter, rect: QRectF, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(rect, 4, 4)


def _bar(painter: QPainter, knob: KnobSpec, rect: QRectF) -> None:
    """Where text would be, seen from afar."""
    if row_kind(knob) == "text":
        for line in range(3):
            top = rect.top() + 12 + 18 * line
            width = rect.width() * (0.8 - 0.15 * line)
            painter.fillRect(QRectF(rect.left() + PAD, top, width, 6), ink.BORDER)
    else:
        painter.fillRect(QRectF(rect.left() + PAD, rect.center().y() - 3, rect.width() * 0.4, 6), ink.BORDER)


def _label(painter: QPainter, knob: KnobSpec, rect: QRectF, room: float, wired: bool) -> float:
    text, size = ink.fitted(words(knob.name), "label", room)
    painter.setPen(ink.DISABLED if wired else ink.MUTED)
    painter.drawStaticText(QPointF(rect.left() + PAD, rect.center().y() - size.height() / 2), text)
    return size.width()


def _paragraph(painter: QPainter, knob: KnobSpec, value: Json, rect: QRectF, wired: bool) -> None:
    shown = text_of(knob, value)
    if wired or not shown:
        text = ink.wrapped(f"{words(knob.name)} (wired)" if wired else f"{words(knob.name)}…", "label", 1000)
        painter.setPen(ink.DISABLED)
    else:
        text = ink.wrapped(shown, "label", rect.width() - 2 * PAD)
        painter.setPen(ink.TEXT)
    painter.save()
    painter.setClipRect(rect.adjusted(PAD, 4, -PAD, -4), Qt.ClipOperation.IntersectClip)
    painter.drawStaticText(rect.topLeft() + QPointF(PAD, 5), text)
    painter.restore()


def _switch(painter: QPainter, on: bool, rect: QRectF) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    track = QRectF(rect.right() - PAD - 26, rect.center().y() - 7, 26, 14)
    painter.setBrush(ink.ACCENT if on else ink.BORDER)
    painter.drawRoundedRect(track, 7, 7)
    painter.setBrush(ink.TEXT)
    x = track.right() - 7 if on else track.left() + 7
    painter.drawEllipse(QPointF(x, track.center().y()), 5, 5)


def _chevron(painter: QPainter, right: float, middle: float) -> float:
    path = QPainterPath(QPointF(right - 8, middle - 2))
    path.lineTo(right - 4, middle + 2)
    path.lineTo(right, middle - 2)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(ink.pen(DARK.muted, 1.6))
    painter.drawPath(path)
    return right - 14


def _die(painter: QPainter, right: float, middle: float, rolling: bool) -> float:
    colour = DARK.accent if rolling else DARK.muted
    box = QRectF(right - 12, middle - 6, 12, 12)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(ink.pen(colour, 1.4))
    painter.drawRoundedRect(box, 2.5, 2.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    for dx, dy in ((-3, -3), (3, 3), (0, 0)):
        painter.drawEllipse(QPointF(box.center().x() + dx, middle + dy), 1.2, 1.2)
    return right - 18
