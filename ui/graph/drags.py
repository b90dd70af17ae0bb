"""What a mouse button held down does: moving, wiring, turning, sizing, selecting, panning."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtWidgets import QRubberBand

from studio import gestures
from studio.edits import Batch, Edit, MoveNodes, PutFrame, PutNote, SetKnob, SetNodeField
from studio.graph import Note, Socket
from studio.spec import KnobSpec
from ui.graph import hits
from ui.graph.face import value_of, words
from ui.graph.layout import MAX_WIDTH, MIN_WIDTH
from ui.graph.node_item import NodeItem
from ui.graph.remarks import FrameItem, NoteItem

if TYPE_CHECKING:
    from ui.graph.scene import GraphScene
    from ui.graph.view import GraphView

Keys = Qt.KeyboardModifier
_gestures = itertools.count(1)


def gesture_id(what: str) -> str:
    """A name under which the edits of one gesture merge into one undo entry."""
    return f"{what} {next(_gestures)}"


class Drag(Protocol):
    """One gesture from press to release; positions are in the scene."""

    def move(self, pos: QPointF, keys: Keys) -> None:
        """The mouse is at `pos`."""
        ...

    def drop(self, pos: QPointF, keys: Keys) -> None:
        """The button was let go at `pos`."""
        ...

    def let_go(self) -> None:
        """End it where it is; the document has changed below it."""
        ...

    def cancel(self) -> None:
        """Leave everything as it was before the gesture."""
        ...


class MoveDrag:
    """Moves nodes; a free node let go on a wire is put into it, unless Alt is down."""

    def __init__(self, scene: GraphScene, start: QPointF, nodes: list[str]) -> None:
        self._scene = scene
        self._start = start
        self._before = {node: scene.graph.nodes[node].pos for node in nodes}
        self._merge = gesture_id("move")
        self._wire: Socket | None = None

    def move(self, pos: QPointF, keys: Keys) -> None:
        by = pos - self._start
        places = {node: (round(x + by.x()), round(y + by.y())) for node, (x, y) in self._before.items()}
        count = len(places)
        text = f"Move {self._title()}" if count == 1 else f"Move {count} nodes"
        self._scene.editing.apply(MoveNodes(self._scene.name, places), text, self._merge)
        self._aim(None if keys & Keys.AltModifier else self._wire_below(pos))

    def drop(self, pos: QPointF, keys: Keys) -> None:
        target = self._wire
        self._aim(None)
        if target is None:
            return
        node = next(iter(self._before))
        way = self._way(node, target)
        if way is not None:
            edit = gestures.insert_on_wire(self._scene.content, self._scene.name, target, node, way)
            self._scene.editing.apply(edit, f"Put {self._title()} into a wire", self._merge)

    def let_go(self) -> None:
        self._aim(None)

    def cancel(self) -> None:
        self._aim(None)
        self._scene.editing.take_back(self._merge)

    def _title(self) -> str:
        return self._scene.nodes[next(iter(self._before))].sight.face.title

    def _aim(self, target: Socket | None) -> None:
        self._wire = target
        self._scene.hover_wire(target)

    def _wire_below(self, pos: QPointF) -> Socket | None:
        node = next(iter(self._before))
        if len(self._before) != 1 or self._scene.wiring.touching(node):
            return None
        wire = hits.wire_at(self._scene, pos)
        return wire.target if wire is not None and self._way(node, wire.target) else None

    def _way(self, node: str, target: Socket) -> tuple[str, str] | None:
        """The input and output by which the wire could be led through the node."""
        source, refusal = self._scene.wiring.sources[target], self._scene.refusal
        face = self._scene.nodes[node].sight.face
        enter = [item.name for item in face.inputs if not refusal(source, Socket(node, item.name))]
        leave = [item.name for item in face.outputs if not refusal(Socket(node, item.name), target)]
        return (enter[0], leave[0]) if enter and leave else None


class RemarkDrag:
    """Moves a frame with the nodes it holds, or a note."""

    def __init__(self, scene: GraphScene, start: QPointF, item: FrameItem | NoteItem) -> None:
        self._scene = scene
        self._start = start
        self._remark = item.frame if isinstance(item, FrameItem) else item.note
        held = item.frame.nodes if isinstance(item, FrameItem) else ()
        self._before = {node: scene.graph.nodes[node].pos for node in held if node in scene.graph.nodes}
        self._merge = gesture_id("move")

    def move(self, pos: QPointF, keys: Keys) -> None:
        by = pos - self._start
        x, y, width, height = self._remark.rect
        moved = replace(self._remark, rect=(round(x + by.x()), round(y + by.y()), width, height))
        edit: Edit = PutNote(moved.id, moved) if isinstance(moved, Note) else PutFrame(moved.id, moved)
        if self._before:
            places = {key: (round(at[0] + by.x()), round(at[1] + by.y())) for key, at in self._before.items()}
            edit = Batch((edit, MoveNodes(self._scene.name, places)))
        what = "note" if isinstance(moved, Note) else "frame"
        self._scene.editing.apply(edit, f"Move {what}", self._merge)

    def drop(self, pos: QPointF, keys: Keys) -> None:
        pass

    def let_go(self) -> None:
        pass

    def cancel(self) -> None:
        self._scene.editing.take_back(self._merge)


class WidthDrag:
    """Makes a node wider or narrower."""

    def __init__(self, scene: GraphScene, start: QPointF, item: NodeItem) -> None:
        self._scene = scene
        self._start = start
        self._node = item.id
        self._width = item.sight.layout.width
        self._merge = gesture_id("width")

    def move(self, pos: QPointF, keys: Keys) -> None:
        item = self._scene.nodes[self._node]
        width = min(MAX_WIDTH, max(MIN_WIDTH, self._width + pos.x() - self._start.x()))
        look = {**item.sight.node.look, "width": round(width)}
        edit = SetNodeField(self._scene.name, self._node, "look", look)
        self._scene.editing.apply(edit, f"Resize {item.sight.face.title}", self._merge)

    def drop(self, pos: QPointF, keys: Keys) -> None:
        pass

    def let_go(self) -> None:
        pass

    def cancel(self) -> None:
        self._scene.editing.take_back(self._merge)


class KnobDrag:
    """Turns a number by dragging along its field; Shift is ten times finer, Ctrl ten times coarser."""

    def __init__(self, scene: GraphScene, start: QPointF, item: NodeItem, knob: KnobSpec) -> None:
        self._scene = scene
        self._node = item.id
        self._knob = knob
        self._last = start
        value = value_of(item.sight.node, knob)
        self._value = float(value) if isinstance(value, int | float) else 0.0
        self._per_unit, self._notch = turning(knob, item.sight.layout.knobs[knob.name].width)
        self._merge = gesture_id("knob")

    def move(self, pos: QPointF, keys: Keys) -> None:
        by = pos.x() - self._last.x()
        self._last = pos
        fine, coarse = bool(keys & Keys.ShiftModifier), bool(keys & Keys.ControlModifier)
        self._value += by * self._per_unit * (0.1 if fine else 10.0 if coarse else 1.0)
        low, high = self._knob.options.get("min"), self._knob.options.get("max")
        if isinstance(low, int | float):
            self._value = max(self._value, float(low))
        if isinstance(high, int | float):
            self._value = min(self._value, float(high))
        whole = self._knob.kind == "int"
        notch = self._notch * (0.1 if fine and not whole else 1.0)
        number = round(self._value / notch) * notch
        if isinstance(low, int | float) and isinstance(high, int | float):
            number = min(max(number, low), high)
        value = round(number) if whole else round(number, 10)
        item = self._scene.nodes[self._node]
        if value != value_of(item.sight.node, self._knob):
            edit = SetKnob(self._scene.name, self._node, self._knob.name, value)
            self._scene.editing.apply(edit, knob_text(item, self._knob), self._merge)

    def drop(self, pos: QPointF, keys: Keys) -> None:
        pass

    def let_go(self) -> None:
        pass

    def cancel(self) -> None:
        self._scene.editing.take_back(self._merge)


def turning(knob: KnobSpec, width: float) -> tuple[float, float]:
    """How much a number changes by one unit of the mouse's way, and by one notch."""
    low, high, step = (knob.options.get(name) for name in ("min", "max", "step"))
    whole = knob.kind == "int"
    notch = float(step) if isinstance(step, int | float) and step > 0 else 1.0 if whole else 0.01
    if isinstance(low, int | float) and isinstance(high, int | float) and 0 < (high - low) / notch <= 500:
        return (high - low) / width, notch
    return notch / 2, notch


def knob_text(item: NodeItem, knob: KnobSpec) -> str:
    """The undo entry of a change to a knob."""
    return f"Change {words(knob.name)} of {item.sight.face.title}"


class MarqueeDrag:
    """Selects what a rectangle touches: alone, with Shift added, with Ctrl toggled."""

    def __init__(self, view: GraphView, start: QPointF) -> None:
        self._view = view
        self._scene = view.graph_scene
        self._start = start
        self._before = self._scene.selected
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, view.viewport())

    def move(self, pos: QPointF, keys: Keys) -> None:
        corners = (self._view.mapFromScene(self._start), self._view.mapFromScene(pos))
        self._band.setGeometry(QRect(*corners).normalized())
        self._band.show()
        touched = hits.nodes_in(self._scene, QRectF(self._start, pos).normalized())
        self._scene.select(combined(self._before, touched, keys))

    def drop(self, pos: QPointF, keys: Keys) -> None:
        self.let_go()

    def cancel(self) -> None:
        self._scene.select(self._before)
        self.let_go()

    def let_go(self) -> None:
        self._band.hide()
        self._band.deleteLater()


def combined(before: list[str], touched: list[str], keys: Keys) -> list[str]:
    """The selection after `touched` was pointed at with these keys down."""
    if keys & Keys.ControlModifier:
        return [node for node in before if node not in touched] + [n for n in touched if n not in before]
    return before + touched if keys & Keys.ShiftModifier else touched


class PanDrag:
    """Moves the view over the scene."""

    def __init__(self, view: GraphView, start: QPoint) -> None:
        self._view = view
        self._last = start

    def pan_to(self, at: QPoint) -> None:
        """The mouse is at a point of the viewport."""
        by = at - self._last
        self._last = at
        self._view.pan(by)
