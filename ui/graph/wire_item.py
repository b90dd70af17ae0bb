"""A wire in the scene, and the loose wire that follows the mouse."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPainterPathStroker
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from studio.graph import Socket
from ui.graph import ink
from ui.graph.layout import wire_points
from ui.theme import DARK, mixed

WIDTH = 2.6
HAIR_SCALE = 0.55
"""Below this scale wires are hairlines, which Qt draws several times as fast as strokes."""
GRASP = 14.0
"""How wide a wire is to the mouse."""


class WireItem(QGraphicsItem):
    """Paints one wire, from an output to the input or knob `target`."""

    def __init__(self, target: Socket, source: Socket) -> None:
        super().__init__()
        self.target = target
        self.source = source
        self.colour = DARK.muted
        self.dim = False
        self.strong = False
        self.hovered = False
        self._path = QPainterPath()
        self._bounds = QRectF()
        self.line = QLineF()
        """The straight way, which is drawn from afar; scene coordinates."""
        self.setZValue(-1)

    def route(self, start: QPointF, end: QPointF) -> None:
        """Lay the wire between two points of the scene."""
        line = QLineF(start, end)
        if self.line == line:
            return
        self.prepareGeometryChange()
        self.line = line
        first, second = wire_points((start.x(), start.y()), (end.x(), end.y()))
        self._path = QPainterPath(start)
        self._path.cubicTo(QPointF(*first), QPointF(*second), end)
        self._bounds = self._path.controlPointRect().adjusted(-5, -5, 5, 5)

    def set_look(self, colour: str, *, dim: bool, strong: bool) -> None:
        """Colour by wire type; dim where no run goes along it, strong at a selected node."""
        if (colour, dim, strong) != (self.colour, self.dim, self.strong):
            self.colour, self.dim, self.strong = colour, dim, strong
            self.update()

    def set_strong(self, strong: bool) -> None:
        """Draw it as one of a selected node's."""
        self.set_look(self.colour, dim=self.dim, strong=strong)

    def set_hovered(self, hovered: bool) -> None:
        """Draw it as the one under the mouse."""
        if hovered != self.hovered:
            self.hovered = hovered
            self.update()

    def passes(self, rect: QRectF) -> bool:
        """True if the wire runs through `rect`."""
        stroker = QPainterPathStroker()
        stroker.setWidth(2)
        return self._bounds.intersects(rect) and stroker.createStroke(self._path).intersects(rect)

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        colour = mixed(self.colour, DARK.canvas, 0.35).name() if self.dim else self.colour
        painter.setBrush(Qt.BrushStyle.NoBrush)
        loud = self.hovered or self.strong
        if not loud and option.levelOfDetailFromTransform(painter.worldTransform()) < HAIR_SCALE:
            painter.setPen(ink.hair(colour))
            painter.drawPath(self._path)
            return
        if loud:
            halo = QColor(colour)
            halo.setAlpha(70)
            painter.setPen(ink.pen(halo.name(QColor.NameFormat.HexArgb), WIDTH + 5))
            painter.drawPath(self._path)
        painter.setPen(ink.pen(colour, WIDTH + (0.8 if loud else 0.0)))
        painter.drawPath(self._path)
