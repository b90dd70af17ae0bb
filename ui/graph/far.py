"""The whole graph seen from afar: rectangles and lines drawn in bulk, past the items."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from ui.graph import ink
from ui.graph.layout import HEADER
from ui.graph.scene import GraphScene
from ui.theme import DARK, font, mixed

SCALE = 0.35
"""Below this scale a view paints from afar."""

TITLE_SCALE = 0.22
TITLE_PX = 11


def paint_far(painter: QPainter, scene: GraphScene, scale: float) -> None:
    """Draw all of `scene` with a few calls; `painter` is in the scene's coordinates."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    _remarks(painter, scene)
    _wires(painter, scene)
    _nodes(painter, scene, scale)


def _remarks(painter: QPainter, scene: GraphScene) -> None:
    for item in (*scene.frames.values(), *scene.notes.values()):
        painter.save()
        item.draw(painter)
        painter.restore()


def _wires(painter: QPainter, scene: GraphScene) -> None:
    groups: dict[str, list[QLineF]] = {}
    for item in scene.wires.values():
        groups.setdefault(item.colour, []).append(item.line)
    for colour, lines in groups.items():
        painter.setPen(ink.hair(mixed(colour, DARK.canvas, 0.75).name()))
        painter.drawLines(lines)


def _nodes(painter: QPainter, scene: GraphScene, scale: float) -> None:
    bodies: list[QRectF] = []
    heads: dict[str, list[QRectF]] = {}
    rings: dict[str, list[QRectF]] = {}
    for item in scene.drawn_nodes():
        body, head, colour, ring = item.far
        bodies.append(body)
        heads.setdefault(colour, []).append(head)
        if ring:
            rings.setdefault(ring, []).append(body)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink.NODE)
    painter.drawRects(bodies)
    for colour, rects in heads.items():
        painter.setBrush(mixed(colour, DARK.node, 0.6))
        painter.drawRects(rects)
    _titles(painter, scene, scale)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, rects in rings.items():
        painter.setPen(QPen(QColor(colour), 2.0 / scale))
        painter.drawRects(rects)


def _titles(painter: QPainter, scene: GraphScene, scale: float) -> None:
    """Titles in a size that can be read, where nodes are wide enough for a few letters."""
    if scale < TITLE_SCALE:
        return
    visible = painter.clipBoundingRect() if painter.hasClipping() else scene.nodes_box()
    size = TITLE_PX / scale
    painter.setFont(font(round(size), strong=True))
    painter.setPen(ink.TEXT)
    metrics = painter.fontMetrics()
    for item in scene.drawn_nodes():
        body = item.far.body
        if visible.intersects(body):
            place = body.adjusted(6, HEADER, -6, 0)
            place.setHeight(size * 1.5)
            title, width = item.sight.face.title, round(place.width())
            text = metrics.elidedText(title, Qt.TextElideMode.ElideRight, width)
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
