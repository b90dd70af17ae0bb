"""What lies at a point of the scene."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtWidgets import QGraphicsItem, QGraphicsScene

from ui.graph.layout import SOCKET_REACH, Part
from ui.graph.node_item import NodeItem
from ui.graph.remarks import FrameItem, NoteItem
from ui.graph.wire_item import GRASP, WireItem

SOCKETS = ("input", "output", "knob_socket")


def part_at(scene: QGraphicsScene, pos: QPointF) -> tuple[NodeItem, Part] | None:
    """The topmost node at a point, and what of it; a socket is found before the body of a node below it."""
    body: tuple[NodeItem, Part] | None = None
    for item in _items(scene, _around(pos, SOCKET_REACH)):
        if not isinstance(item, NodeItem):
            continue
        part = item.part_at(pos)
        if part is None:
            continue
        if part.kind == "knob_socket" and not _driven(item, part.name):
            part = (
                Part("knob", part.name) if QRectF(item.field_rect(part.name)).contains(pos) else Part("body")
            )
        if part.kind in SOCKETS:
            return body or (item, part)
        body = body or (item, part)
    return body


def _driven(item: NodeItem, name: str) -> bool:
    knob = item.sight.face.knob(name)
    return knob is not None and knob.wire is not None


def wire_at(scene: QGraphicsScene, pos: QPointF) -> WireItem | None:
    """The wire at a point."""
    near = _around(pos, GRASP / 2)
    found = (item for item in _items(scene, near) if isinstance(item, WireItem) and item.passes(near))
    return next(found, None)


def remark_at(scene: QGraphicsScene, pos: QPointF) -> FrameItem | NoteItem | None:
    """The note at a point, or the frame whose bar lies there."""
    for item in _items(scene, _around(pos, 1)):
        if isinstance(item, NoteItem) and item.rect().contains(pos):
            return item
        if isinstance(item, FrameItem) and item.bar().contains(pos):
            return item
    return None


def nodes_in(scene: QGraphicsScene, rect: QRectF) -> list[str]:
    """Ids of the nodes that a rectangle touches."""
    items = (item for item in _items(scene, rect) if isinstance(item, NodeItem))
    return [item.id for item in items if QRectF(*item.box()).intersects(rect)]


def _around(pos: QPointF, reach: float) -> QRectF:
    return QRectF(pos.x() - reach, pos.y() - reach, 2 * reach, 2 * reach)


def _items(scene: QGraphicsScene, rect: QRectF) -> list[QGraphicsItem]:
    return scene.items(rect, Qt.ItemSelectionMode.IntersectsItemBoundingRect)
