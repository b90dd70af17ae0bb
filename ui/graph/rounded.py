"""Rounded rectangles, drawn from bars and discs: Qt's own cost ten times as much, node for node."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath


def fill_rounded(
    painter: QPainter, rect: QRectF, radius: float, colour: QColor, *, below: bool = True
) -> None:
    """Fill a rectangle with round corners; without `below`, the lower corners stay square.

    It must be opaque: where bars overlap, paint lies double. Painters with an opacity take the slow way.
    """
    x, y, width, height = rect.x(), rect.y(), rect.width(), rect.height()
    if painter.opacity() < 1.0:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if below:
            painter.drawRoundedRect(rect, radius, radius)
            return
        path = QPainterPath()
        path.setFillRule(Qt.FillRule.WindingFill)
        path.addRoundedRect(rect, radius, radius)
        path.addRect(rect.adjusted(0, radius, 0, 0))
        painter.drawPath(path)
        return
    foot = radius if below else 0.0
    painter.fillRect(QRectF(x, y + radius, width, height - radius - foot), colour)
    painter.fillRect(QRectF(x + radius, y, width - 2 * radius, height), colour)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    size = 2 * radius
    painter.drawEllipse(QRectF(x, y, size, size))
    painter.drawEllipse(QRectF(x + width - size, y, size, size))
    if below:
        painter.drawEllipse(QRectF(x, y + height - size, size, size))
        painter.drawEllipse(QRectF(x + width - size, y + height - size, size, size))


def fill_soft(painter: QPainter, rect: QRectF, colour: QColor) -> None:
    """Fill a small rectangle whose corners are just taken off, which at field size looks round."""
    painter.fillRect(rect.adjusted(0, 2.5, 0, -2.5), colour)
    painter.fillRect(rect.adjusted(0.9, 0.9, -0.9, -0.9), colour)
    painter.fillRect(rect.adjusted(2.5, 0, -2.5, 0), colour)
