"""The ground under the nodes, and what it says while there are none."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap

from ui.graph import ink
from ui.theme import DARK, font

if TYPE_CHECKING:
    from ui.graph.view import GraphView

CELL = 24.0
TILE_PX = 240
EMPTY = "Press Tab or double-click to add a node"
EMPTY_TOO = "or drop a workflow, or a picture made here, to open its graph"


def paint_ground(painter: QPainter, view: GraphView) -> None:
    """Fill the viewport with the ground and its dots; `painter` is in the viewport's coordinates."""
    rect = view.viewport().rect()
    cell = CELL * view.zoom
    while cell < 14:
        cell *= 4
    size = round(cell)
    tile = _tile(size, max(1, TILE_PX // size), view.devicePixelRatioF())
    side = tile.deviceIndependentSize().toSize().width()
    origin = view.mapFromScene(0.0, 0.0)
    painter.drawTiledPixmap(rect, tile, QPoint(-origin.x() % side, -origin.y() % side))


@lru_cache(maxsize=32)
def _tile(size: int, count: int, ratio: float) -> QPixmap:
    """`count` × `count` dots: many small tiles would take ten times as long to lay."""
    side = size * count
    tile = QPixmap(round(side * ratio), round(side * ratio))
    tile.setDevicePixelRatio(ratio)
    tile.fill(ink.CANVAS)
    painter = QPainter(tile)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink.GRID)
    for x, y in itertools.product(range(size // 2, side, size), repeat=2):
        painter.drawEllipse(QPoint(x, y), 1, 1)
    painter.end()
    return tile


def paint_empty(painter: QPainter, rect: QRect) -> None:
    """Say how to begin, in the middle of the viewport."""
    for text, size, colour, below in ((EMPTY, 17, DARK.text, -16), (EMPTY_TOO, 13, DARK.muted, 14)):
        painter.setFont(font(size, strong=size > 15))
        painter.setPen(QColor(colour))
        painter.drawText(rect.translated(0, below), Qt.AlignmentFlag.AlignCenter, text)
