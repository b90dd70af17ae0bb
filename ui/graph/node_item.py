"""A node in the scene."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from studio.graph import Node
from ui.graph.layout import HEADER, Box, Part
from ui.graph.painter import Sight, paint_node
from ui.graph.wanting import Wanting
from ui.theme import DARK

REACH = 9.0
"""How far rings and sockets reach out of the node."""


_RINGS = {"failed": DARK.bad, "running": DARK.running}


class Far(NamedTuple):
    """A node as it is drawn from afar, in the scene.

    Attributes:
        body: The whole of it.
        head: Its header.
        colour: Of the header.
        ring: Colour of its outline; empty for none.
    """

    body: QRectF
    head: QRectF
    colour: str
    ring: str


class NodeItem(QGraphicsItem):
    """Paints one node; the view handles its gestures. Kept alive by the scene's dict, not by Qt.

    Args:
        sight: What to paint.
        wanting: Tells, when painting, which of its sockets a wire being drawn may end at.
    """

    def __init__(self, sight: Sight, wanting: Wanting) -> None:
        super().__init__()
        self._wanting = wanting
        self.sight = sight
        self.far = self._far()
        self.setPos(*sight.node.pos)
        # Painted once a zoom and a change, not once a frame.
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)

    @property
    def id(self) -> str:
        """The node's id."""
        return self.sight.node.id

    def show_sight(self, sight: Sight) -> None:
        """Draw the node as `sight` has it from now on."""
        if sight.layout[:2] != self.sight.layout[:2]:
            self.prepareGeometryChange()
        self.sight = sight
        self.far = self._far()
        if self.pos() != QPointF(*sight.node.pos):
            self.setPos(*sight.node.pos)
        self.update()

    def show_marks(self) -> None:
        """Selection, hover or run state of the same node have changed."""
        self.far = self._far()
        self.update()

    def move(self, node: Node) -> None:
        """The node is the same at another place."""
        self.sight.node = node
        self.far = self._far()
        self.setPos(*node.pos)

    def _far(self) -> Far:
        sight, body = self.sight, QRectF(*self.box())
        ring = ""
        if sight.selected:
            ring = DARK.text
        elif sight.status.state in _RINGS:
            ring = _RINGS[sight.status.state]
        elif sight.face.missing or sight.problems:
            ring = DARK.warning
        head = QRectF(body.x(), body.y(), body.width(), HEADER)
        return Far(body, head, DARK.disabled if sight.muted else sight.tint, ring)

    def box(self) -> Box:
        """Where the node lies in the scene."""
        x, y = self.sight.node.pos
        return Box(x, y, self.sight.layout.width, self.sight.layout.height)

    def socket_pos(self, name: str, *, output: bool) -> QPointF:
        """Where a wire at that socket ends, in the scene."""
        x, y = self.sight.layout.socket(name, output=output)
        left, top = self.sight.node.pos
        return QPointF(left + x, top + y)

    def part_at(self, scene_pos: QPointF) -> Part | None:
        """What of the node lies at a point of the scene."""
        left, top = self.sight.node.pos
        return self.sight.layout.part_at(scene_pos.x() - left, scene_pos.y() - top)

    def field_rect(self, knob: str) -> QRectF:
        """Where a knob's field lies in the scene."""
        return QRectF(*self.sight.layout.knobs[knob]).translated(*self.sight.node.pos)

    def boundingRect(self) -> QRectF:
        layout = self.sight.layout
        return QRectF(-REACH, -REACH, layout.width + 2 * REACH, layout.height + 2 * REACH)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        scale = option.levelOfDetailFromTransform(painter.worldTransform())
        self.sight.wanted = self._wanting.parts(self.id, self.sight.face)
        paint_node(painter, self.sight, scale)


def picture_ratio(shows: bool, picture_size: tuple[int, int] | None) -> float:
    """Height by width of the room for a picture; 0 where there is none to show."""
    if picture_size is not None and picture_size[0] > 0:
        return picture_size[1] / picture_size[0]
    return 0.62 if shows else 0.0
