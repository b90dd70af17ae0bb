"""Which gesture a press begins, and what a click or a key does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QKeyEvent

from studio.edits import SetKnob
from studio.graph import BOUNDARY, Socket
from studio.spec import KnobSpec
from ui.graph import commands, hits
from ui.graph.drags import (
    Drag,
    KnobDrag,
    MarqueeDrag,
    MoveDrag,
    PanDrag,
    RemarkDrag,
    WidthDrag,
    combined,
    knob_text,
)
from ui.graph.face import value_of
from ui.graph.fields import DICE
from ui.graph.layout import Part
from ui.graph.node_item import NodeItem
from ui.graph.remarks import FrameItem
from ui.graph.wire_drag import WireDrag

if TYPE_CHECKING:
    from ui.graph.view import GraphView

DRAG_STARTS_PX = 4
EDGE_PX = 16
ARROWS = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Up: "up",
    Qt.Key.Key_Down: "down",
}
Keys = Qt.KeyboardModifier
Begin = Callable[[], Drag]


class Hands(QObject):
    """Mouse and keyboard of one view. A press chooses a gesture; it begins once the mouse has moved."""

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view = view
        self._scene = view.graph_scene
        self._pressed_at: QPoint | None = None
        self._begin: Begin | None = None
        self._drag: Drag | None = None
        self._click: Callable[[], None] | None = None
        self._pan: PanDrag | None = None
        self._space = False
        self._working = False
        self._scene.editing.changed.connect(self._changed)

    def _changed(self, edit: object, before: object, after: object) -> None:
        """The document changed; if not by the gesture under way, that one has lost its ground."""
        drag = self._drag
        if drag is not None and not self._working:
            self._drag = self._begin = self._click = self._pressed_at = None
            drag.let_go()

    # Mouse

    def press(self, at: QPoint, button: Qt.MouseButton, keys: Keys) -> None:
        """A button went down at a point of the viewport."""
        self.cancel()
        if button == Qt.MouseButton.MiddleButton or (self._space and button == Qt.MouseButton.LeftButton):
            self._pan = PanDrag(self._view, at)
            self._view.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        elif button == Qt.MouseButton.LeftButton:
            self._pressed_at = at
            self._choose(self._view.mapToScene(at), keys)

    def move(self, at: QPoint, keys: Keys) -> None:
        """The mouse is at a point of the viewport."""
        if self._pan is not None:
            self._pan.pan_to(at)
            return
        if self._drag is not None:
            self._view.pan(self._push(at))
        pos = self._view.mapToScene(at)
        started = self._pressed_at is not None and (at - self._pressed_at).manhattanLength() >= DRAG_STARTS_PX
        if self._drag is None and self._begin is not None and started:
            self._view.live.close()
            self._drag, self._begin, self._click = self._begin(), None, None
        if self._drag is not None:
            self._working = True
            self._drag.move(pos, keys)
            self._working = False
        elif self._pressed_at is None:
            self._hover(pos)

    def _push(self, at: QPoint) -> QPoint:
        """How far the view goes along with a drag that has come to its edge."""
        area = self._view.viewport().rect().adjusted(EDGE_PX, EDGE_PX, -EDGE_PX, -EDGE_PX)
        inside = QPoint(
            min(max(at.x(), area.left()), area.right()), min(max(at.y(), area.top()), area.bottom())
        )
        return (inside - at) / 2

    def release(self, at: QPoint, button: Qt.MouseButton, keys: Keys) -> None:
        """A button came up at a point of the viewport."""
        if self._pan is not None and button in (Qt.MouseButton.MiddleButton, Qt.MouseButton.LeftButton):
            self._pan = None
            self._show_cursor()
            return
        if button != Qt.MouseButton.LeftButton:
            return
        drag, click = self._drag, self._click
        self._drag = self._begin = self._click = self._pressed_at = None
        if drag is not None:
            drag.drop(self._view.mapToScene(at), keys)
        elif click is not None:
            click()

    def double_click(self, at: QPoint) -> None:
        """The left button went down twice at a point of the viewport."""
        pos = self._view.mapToScene(at)
        hit = hits.part_at(self._scene, pos)
        if hit is None:
            wire = None if self._view.far else hits.wire_at(self._scene, pos)
            if wire is not None:
                commands.reroute(self._scene, wire.target, pos)
                return
            remark = hits.remark_at(self._scene, pos)
            if isinstance(remark, FrameItem):
                self._view.writing.rename_frame(remark)
            elif remark is not None:
                self._view.writing.write_note(remark)
            else:
                self._view.open_palette()
            return
        item, part = hit
        if part.kind == "knob" and not self._view.far:
            # The first click has opened the editor or turned the switch; the second press is not a new one.
            return
        if item.id == BOUNDARY:
            return
        self._view.node_activated.emit(self._scene.address(item.id))

    def cancel(self) -> None:
        """Give up the gesture under way, leaving all as it was before it."""
        drag = self._drag
        self._drag = self._begin = self._click = self._pressed_at = None
        if drag is not None:
            drag.cancel()

    def _choose(self, pos: QPointF, keys: Keys) -> None:
        hit = hits.part_at(self._scene, pos)
        if hit is None:
            self._choose_on_ground(pos, keys)
            return
        item, part = hit
        if item.id == BOUNDARY and part.kind not in hits.SOCKETS:
            self._begin = lambda: MarqueeDrag(self._view, pos)
            return
        if item.id != BOUNDARY:
            self._scene.raise_node(item.id)
        if not self._view.far and part.kind in hits.SOCKETS:
            self._begin = lambda: self._wire_from(item, part)
            return
        self._scene.focus(item.id)
        if self._number(item, part) is not None:
            # Here Shift and Ctrl say how fast to turn; they select only if it comes to no turning.
            self._begin = lambda: self._body_drag(item, part, pos, keys)
            self._click = lambda: self._clicked(item, part, pos, keys)
            return
        self._select(item.id, keys)
        if item.id not in self._scene.selected:
            return
        self._begin = lambda: self._body_drag(item, part, pos, keys)
        if not self._view.far and not keys:
            self._click = lambda: self._clicked(item, part, pos, keys)

    def _choose_on_ground(self, pos: QPointF, keys: Keys) -> None:
        scene = self._scene
        scene.focus("")
        remark = hits.remark_at(scene, pos)
        wire = hits.wire_at(scene, pos) if remark is None and not self._view.far else None
        if remark is not None:
            self._begin = lambda: RemarkDrag(scene, pos, remark)
        elif wire is not None:
            to_start, to_end = pos - wire.line.p1(), pos - wire.line.p2()
            by_end = to_end.manhattanLength() < to_start.manhattanLength()
            fixed = wire.source if by_end else wire.target
            self._begin = lambda: WireDrag(self._view, fixed, output=by_end, lifted=wire.target)
        else:
            self._begin = lambda: MarqueeDrag(self._view, pos)
            if not keys & (Keys.ShiftModifier | Keys.ControlModifier):
                self._click = lambda: scene.select([])

    def _wire_from(self, item: NodeItem, part: Part) -> Drag:
        here = Socket(item.id, part.name)
        if part.kind == "output":
            return WireDrag(self._view, here, output=True)
        source = self._scene.wiring.sources.get(here)
        if source is not None and self._scene.end(source, output=True) is not None:
            return WireDrag(self._view, source, output=True, lifted=here)
        return WireDrag(self._view, here, output=False)

    def _body_drag(self, item: NodeItem, part: Part, pos: QPointF, keys: Keys) -> Drag:
        knob = self._number(item, part)
        if knob is not None:
            self._scene.select([item.id])
            return KnobDrag(self._scene, pos, item, knob)
        if part.kind == "grip" and not self._view.far:
            return WidthDrag(self._scene, pos, item)
        if keys & Keys.AltModifier:
            commands.duplicate(self._scene, (0.0, 0.0))
        return MoveDrag(self._scene, pos, self._scene.selected)

    def _number(self, item: NodeItem, part: Part) -> KnobSpec | None:
        """The knob at a part, if it is a number that can be turned."""
        knob = item.sight.face.knob(part.name) if part.kind == "knob" and not self._view.far else None
        turns = knob is not None and knob.kind in ("int", "float") and self._editable(item, knob.name)
        return knob if turns else None

    def _select(self, node: str, keys: Keys) -> None:
        selected = self._scene.selected
        if keys & (Keys.ControlModifier | Keys.ShiftModifier):
            self._scene.select(combined(selected, [node], keys))
        elif node not in selected:
            self._scene.select([node])

    def _editable(self, item: NodeItem, knob: str) -> bool:
        return knob not in item.sight.fed and not item.sight.face.missing

    def _clicked(self, item: NodeItem, part: Part, pos: QPointF, keys: Keys) -> None:
        """A press that did not become a drag."""
        if keys:
            self._select(item.id, keys)
            return
        self._scene.select([item.id])
        if part.kind == "knob" and item.id in self._scene.nodes and self._editable(item, part.name):
            field = item.field_rect(part.name)
            self.edit(item.id, part.name, on_die=pos.x() > field.right() - DICE - 4)

    def edit(self, node: str, name: str, *, on_die: bool = False) -> None:
        """Turn a switch, throw a die, or open the editor of any other knob."""
        item = self._scene.nodes[node]
        knob = item.sight.face.knob(name)
        if knob is None or not self._editable(item, name):
            return
        if knob.kind == "bool":
            edit = SetKnob(self._scene.name, node, name, value_of(item.sight.node, knob) is not True)
            self._scene.editing.apply(edit, knob_text(item, knob))
        elif knob.kind == "seed" and on_die:
            commands.toggle_drawn_anew(self._scene, node, name)
        else:
            self._view.live.open(node, knob)

    def _hover(self, pos: QPointF) -> None:
        hit = None if self._view.far else hits.part_at(self._scene, pos)
        self._scene.hover(hit[0].id if hit else "", hit[1] if hit else None)
        wire = hits.wire_at(self._scene, pos) if hit is None and not self._view.far else None
        self._scene.hover_wire(wire.target if wire is not None else None)
        self._show_cursor(hit)

    def _show_cursor(self, hit: tuple[NodeItem, Part] | None = None) -> None:
        shape = Qt.CursorShape.OpenHandCursor if self._space else Qt.CursorShape.ArrowCursor
        if hit is not None:
            item, part = hit
            knob = item.sight.face.knob(part.name) if part.kind == "knob" else None
            if part.kind in hits.SOCKETS:
                shape = Qt.CursorShape.CrossCursor
            elif part.kind == "grip":
                shape = Qt.CursorShape.SizeHorCursor
            elif knob is not None and self._editable(item, knob.name):
                number = knob.kind in ("int", "float")
                text = knob.kind in ("text", "seed")
                shape = Qt.CursorShape.SizeHorCursor if number else shape
                shape = Qt.CursorShape.IBeamCursor if text else shape
        self._view.viewport().setCursor(shape)

    # Keys

    def hold_space(self, held: bool) -> None:
        """While Space is held, dragging moves the view."""
        if held != self._space:
            self._space = held
            self._show_cursor()

    def key(self, event: QKeyEvent) -> bool:
        """Act on a key; False leaves it to others."""
        key, keys = event.key(), event.modifiers()
        if key == Qt.Key.Key_Space and not keys:
            self.hold_space(True)
        elif key == Qt.Key.Key_Escape:
            self._escape()
        elif key == Qt.Key.Key_Tab and not keys:
            self._view.open_palette()
        elif key in ARROWS and not keys & (Keys.ControlModifier | Keys.AltModifier):
            self._walk(ARROWS[Qt.Key(key)], extend=bool(keys & Keys.ShiftModifier))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not keys:
            self._edit_first()
        else:
            return False
        return True

    def _escape(self) -> None:
        if self._drag is not None:
            self.cancel()
        else:
            self._scene.select([])

    def _walk(self, direction: str, *, extend: bool) -> None:
        node = commands.neighbour(self._scene, self._scene.focused, direction)
        if not node:
            return
        self._scene.focus(node, shown=True)
        self._scene.select([*self._scene.selected, node] if extend else [node])
        box = self._scene.nodes_box([node])
        inside = self._view.mapToScene(self._view.viewport().rect()).boundingRect()
        if not inside.contains(box):
            self._view.centerOn(box.center())

    def _edit_first(self) -> None:
        """Open the first knob of the node the keyboard is at."""
        item = self._scene.nodes.get(self._scene.focused)
        if item is None or self._view.far:
            return
        knobs = [knob for knob in item.sight.face.knobs if self._editable(item, knob.name)]
        if knobs:
            self.edit(item.id, knobs[0].name)
