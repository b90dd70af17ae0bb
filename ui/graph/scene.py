"""The scene: one graph of a document, projected. It changes nothing but its own picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PySide6.QtCore import QObject, QRectF, Signal
from PySide6.QtWidgets import QGraphicsItem, QGraphicsScene

from studio.document import Content
from studio.edits import Edit
from studio.graph import BOUNDARY, ROOT, Graph, Node, Socket
from studio.reading import Reading
from studio.validate import wire_refusal
from ui.graph.layout import Box, Part, bounds_of
from ui.graph.node_item import NodeItem
from ui.graph.painter import PLAIN
from ui.graph.remarks import FrameItem, NoteItem
from ui.graph.sights import Sights, layout_of
from ui.graph.status import GraphStatus
from ui.graph.touched import Touched, touched
from ui.graph.wanting import Wanting
from ui.graph.wire_item import WireItem
from ui.graph.wiring import Wiring
from ui.undo import Editing

EDGE = 2000.0
"""Room around the outermost nodes in which others can be placed without the index being made anew."""


class GraphScene(QGraphicsScene):
    """Shows one graph of a document and follows its edits. GUI thread.

    Args:
        editing: The document; the scene never changes it but through `Editing.apply`.
        status: View state of its nodes.
        graph: Name of the graph; the root by default.
        prefix: Address of the subgraph node through which it is seen (``sub/``); empty for the root.
    """

    selection_changed = Signal(list)
    repainted = Signal()
    """Something looks different; for views that paint from afar, past the items."""

    def __init__(
        self,
        editing: Editing,
        status: GraphStatus,
        graph: str = ROOT,
        prefix: str = "",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.editing = editing
        self.status = status
        self.name = graph
        self.prefix = prefix
        self.nodes: dict[str, NodeItem] = {}
        self.wires: dict[Socket, WireItem] = {}
        self.sides: tuple[NodeItem, NodeItem] | None = None
        """Inside a definition: its own inputs and outputs, both with the id `BOUNDARY`."""
        self.frames: dict[str, FrameItem] = {}
        self.notes: dict[str, NoteItem] = {}
        self.wiring = Wiring()
        self.wanting = Wanting()
        self._sights = Sights(status, graph, prefix)
        self._marks = self._sights.marks
        self._hovered_wire: Socket | None = None
        self._reading: Reading | None = None
        self._top = 0.0
        self._closed = False
        self._area = QRectF()
        editing.changed.connect(self._on_edit)
        status.catalogue_changed.connect(self._on_catalogue)
        status.node_changed.connect(self._on_status)
        status.problems_changed.connect(self._on_problems)
        self._rebuild()

    # What is shown

    @property
    def content(self) -> Content:
        """The document as it is now."""
        return self.editing.content

    @property
    def graph(self) -> Graph:
        """The graph as it is now; empty once it is gone from the document."""
        return self.content.graphs.get(self.name) or Graph()

    @property
    def reading(self) -> Reading:
        """Types of the sockets as they are now."""
        if self._reading is None or self._reading.content is not self.content:
            self._reading = Reading(self.content, self.status.catalogue)
        return self._reading

    def address(self, node: str) -> str:
        """The address of a node of this graph."""
        return self.prefix + node

    def wire_colour(self, wire_type: str) -> str:
        """Colour of a wire type."""
        return self.status.catalogue.wires.get(wire_type, PLAIN).colour

    def end(self, socket: Socket, *, output: bool) -> NodeItem | None:
        """The item at which a wire starts (`output`) or ends; None if there is none."""
        if socket.node == BOUNDARY and self.sides is not None:
            return self.sides[0 if output else 1]
        return self.nodes.get(socket.node)

    def drawn_nodes(self) -> Iterator[NodeItem]:
        """All that is drawn as a node."""
        yield from self.nodes.values()
        yield from self.sides or ()

    def nodes_box(self, nodes: Iterable[str] | None = None) -> QRectF:
        """The rectangle around some nodes; around everything by default."""
        items = self.drawn_nodes() if nodes is None else [self.nodes[node] for node in nodes]
        boxes = [item.box() for item in items]
        if nodes is None:
            boxes += [Box(*item.frame.rect) for item in self.frames.values()]
            boxes += [Box(*item.note.rect) for item in self.notes.values()]
        box = bounds_of(boxes)
        return QRectF(*box) if box else QRectF()

    # Selection, focus, hover: view state

    @property
    def selected(self) -> list[str]:
        """Ids of the selected nodes, in the order they were selected."""
        return list(self._marks.selected)

    def select(self, nodes: Iterable[str]) -> None:
        """Select these nodes and no others."""
        wanted = dict.fromkeys(node for node in nodes if node in self.nodes)
        if wanted.keys() == self._marks.selected.keys():
            return
        changed = wanted.keys() ^ self._marks.selected.keys()
        self._marks.selected = wanted
        for node in changed:
            self._mark(node)
        for target in {wire for node in changed for wire in self.wiring.touching(node)}:
            ends = (target.node, self.wiring.sources[target].node)
            self.wires[target].set_strong(any(node in wanted for node in ends))
        self.selection_changed.emit(self.selected)

    @property
    def focused(self) -> str:
        """The node the keyboard is at; empty for none."""
        return self._marks.focus if self._marks.focus in self.nodes else ""

    def focus(self, node: str, *, shown: bool = False) -> None:
        """Take the keyboard to a node, ``""`` for none; `shown` draws a ring, for those who walk by keys."""
        old, self._marks.focus, self._marks.focus_shown = self._marks.focus, node, shown
        for each in {old, node}:
            self._mark(each)

    def hover(self, node: str, part: Part | None) -> None:
        """Draw a part as the one under the mouse; None for no part."""
        new = (node, part) if part is not None else None
        if new == self._marks.hover:
            return
        old, self._marks.hover = self._marks.hover, new
        for each in {place[0] for place in (old, new) if place}:
            self._mark(each)

    def hover_wire(self, target: Socket | None) -> None:
        """Draw a wire as the one under the mouse."""
        if target == self._hovered_wire:
            return
        for each, hovered in ((self._hovered_wire, False), (target, True)):
            item = self.wires.get(each) if each else None
            if item is not None:
                item.set_hovered(hovered)
        self._hovered_wire = target

    def mark_edited(self, node: str, knob: str) -> None:
        """Leave a knob's field blank, since an editor lies over it; ``""`` for none."""
        old = self._marks.edited
        self._marks.edited = (node, knob) if knob else None
        for each in {place[0] for place in (old, self._marks.edited) if place}:
            self._mark(each)

    def raise_node(self, node: str) -> None:
        """Draw a node above all others."""
        self._top += 1e-3
        self.nodes[node].setZValue(self._top)

    # Wires being drawn

    def refusal(self, source: Socket, target: Socket) -> str | None:
        """Why no wire can go from `source` to `target`, as a sentence; None if it can."""
        return wire_refusal(self.content, self.status.catalogue, self.name, source, target)

    def want(self, fixed: Socket | None, *, output: bool = False) -> None:
        """Point out the sockets at which a wire from `fixed` may end; None ends it.

        Args:
            fixed: The end that is there already.
            output: `fixed` is an output.
        """
        if fixed is None:
            self.wanting.stop()
        else:
            self.wanting.start(fixed, output=output, graph=self.name, reading=self.reading)
        for item in self.drawn_nodes():
            item.update()

    def wire_type(self, socket: Socket, *, output: bool) -> str:
        """Wire type of a socket, of what comes through it where it takes anything."""
        reading = self.reading
        found = reading.output_type(self.name, socket) if output else reading.input_type(self.name, socket)
        return found or "any"

    # Following the document

    def _on_edit(self, edit: Edit, before: Content, after: Content) -> None:
        found = touched(edit, self.name)
        if found.everything or self.name not in after.graphs:
            self._rebuild()
            return
        self._follow_frames(found, before)
        if found.subgraphs:
            found.nodes.update(key for key, item in self.nodes.items() if item.sight.node.is_subgraph)
        self._follow_wires(found)
        self._follow_nodes(found)
        self._follow_notes(found)
        self._put_sides()
        changed = [self.nodes[node].box() for node in found.nodes | found.moved if node in self.nodes]
        self._grow(bounds_of(changed))

    def _follow_wires(self, found: Touched) -> None:
        sources = self.graph.wires
        for target in found.wires:
            source, old = sources.get(target), self.wiring.sources.get(target)
            if source == old:
                continue
            self.wiring.put(target, source)
            found.nodes.update(end.node for end in (target, source, old) if end)
            self._take_wire(target)
            if source is not None:
                self._put_wire(target, source)
        if found.wires:
            # What comes out of a node that passes anything on may now be of another type.
            for target, source in self.wiring.sources.items():
                item = self.end(source, output=True)
                if item and item.sight.face.type_of(source.name, output=True) == "any":
                    self._colour(target)

    def _follow_nodes(self, found: Touched) -> None:
        nodes = self.graph.nodes
        gone = [node for node in found.nodes if node not in nodes and node in self.nodes]
        for node in gone:
            self._take_node(node)
        for node in found.nodes - set(gone):
            if node in nodes:
                self._put_node(nodes[node])
        for node in found.moved - found.nodes:
            self._move_node(nodes[node])
        for target in {wire for node in found.nodes | found.moved for wire in self.wiring.touching(node)}:
            self._route(target)
        if gone and any(node in self._marks.selected for node in gone):
            self.select([node for node in self._marks.selected if node in nodes])

    def _follow_frames(self, found: Touched, before: Content) -> None:
        for key in found.frames:
            frame = self.content.frames.get(key)
            for one in (frame, before.frames.get(key)):
                found.nodes.update(node for node in one.nodes if node in self.nodes) if one else None
            if frame is None or frame.graph != self.name:
                self._drop(self.frames.pop(key, None))
            elif key in self.frames:
                self.frames[key].show_frame(frame)
            else:
                self.frames[key] = FrameItem(frame)
                self.addItem(self.frames[key])
        if found.frames:
            off = (item.frame.nodes for item in self.frames.values() if not item.frame.on)
            self._sights.off = frozenset(node for nodes in off for node in nodes)
            self.repainted.emit()

    def _follow_notes(self, found: Touched) -> None:
        for key in found.notes:
            note = self.content.notes.get(key)
            if note is None or note.graph != self.name:
                self._drop(self.notes.pop(key, None))
            elif key in self.notes:
                self.notes[key].show_note(note)
            else:
                self.notes[key] = NoteItem(note)
                self.addItem(self.notes[key])
            self.repainted.emit()

    def _rebuild(self) -> None:
        self._take_all()
        graph = self.graph
        self.wiring = Wiring(graph.wires)
        everything = Touched(frames=set(self.content.frames), notes=set(self.content.notes))
        self._follow_frames(everything, self.content)
        self._follow_notes(everything)
        for node in graph.nodes.values():
            self._put_node(node)
        self._put_sides()
        for target, source in graph.wires.items():
            self._put_wire(target, source)
        box = self.nodes_box()
        self._grow(Box(box.x(), box.y(), box.width(), box.height()))
        self.select([node for node in self._marks.selected if node in self.nodes])
        self.repainted.emit()

    def _on_catalogue(self) -> None:
        self._reading = None
        for node in self.graph.nodes.values():
            self._put_node(node)
        self._put_sides()
        for target in self.wires:
            self._route(target)

    def _on_problems(self) -> None:
        for node, item in self.nodes.items():
            if item.sight.problems != self.status.problems_of(self.name, node):
                self._look_again(node)

    def _on_status(self, address: str) -> None:
        node = address.removeprefix(self.prefix)
        item = self.nodes.get(node)
        if item is None or not address.startswith(self.prefix):
            return
        status, sight = self.status.node(address), item.sight
        if layout_of(sight.node, sight.face, status) == sight.layout:
            sight.status = status  # a run of thousands of nodes comes through here
            item.show_marks()
            self.repainted.emit()
        else:
            self._look_again(node)

    # One item at a time

    def _mark(self, node: str) -> None:
        """Show that a node is selected, under the mouse, … or no longer: it is the same otherwise."""
        for item in (self.sides or ()) if node == BOUNDARY else (self.nodes.get(node),):
            if item is None:
                continue
            self._marks.show_on(item.sight)
            item.show_marks()
            self.repainted.emit()

    def _put_node(self, node: Node) -> None:
        sight = self._sights.make(node, self.reading, self.wiring)
        item = self.nodes.get(node.id)
        if item is None:
            self.nodes[node.id] = item = NodeItem(sight, self.wanting)
            self.addItem(item)
            if self._top:
                self.raise_node(node.id)
        else:
            item.show_sight(sight)
        self.repainted.emit()

    def _put_sides(self) -> None:
        """Show a definition's own sockets beside whatever it holds now."""
        if self.name == ROOT or self.name not in self.content.graphs:
            return
        inner = bounds_of([item.box() for item in self.nodes.values()])
        sights = self._sights.sides(self.graph.interface, inner, self.wiring)
        if self.sides is None:
            self.sides = (NodeItem(sights[0], self.wanting), NodeItem(sights[1], self.wanting))
            for item in self.sides:
                self.addItem(item)
        else:
            for item, sight in zip(self.sides, sights, strict=True):
                item.show_sight(sight)
        for target in self.wiring.touching(BOUNDARY):
            self._route(target)

    def _look_again(self, node: str) -> None:
        """Draw a node anew; if it has grown or shrunk, its wires too."""
        item = self.nodes.get(node)
        if item is None:
            return
        old = item.sight.layout
        self._put_node(item.sight.node)
        if item.sight.layout != old:
            for target in self.wiring.touching(node):
                self._route(target)

    def _move_node(self, node: Node) -> None:
        self.nodes[node.id].move(node)
        self.repainted.emit()

    def _take_node(self, node: str) -> None:
        self._drop(self.nodes.pop(node))
        self.repainted.emit()

    def _put_wire(self, target: Socket, source: Socket) -> None:
        item = WireItem(target, source)
        self.wires[target] = item
        self._route(target)
        self.addItem(item)

    def _take_wire(self, target: Socket) -> None:
        self._drop(self.wires.pop(target, None))

    def close(self) -> None:
        """Let go of the document and of every item; nothing is shown from here on.

        Called before the last reference goes: items freed by the garbage collector together with their
        scene are asked for their shape by Qt while Python has already taken them apart, and crash.
        """
        if self._closed:
            return
        self._closed = True
        self.editing.changed.disconnect(self._on_edit)
        self.status.catalogue_changed.disconnect(self._on_catalogue)
        self.status.node_changed.disconnect(self._on_status)
        self.status.problems_changed.disconnect(self._on_problems)
        self._take_all()

    def _take_all(self) -> None:
        for item in (*self.drawn_nodes(), *self.wires.values(), *self.frames.values(), *self.notes.values()):
            self._drop(item)
        self.nodes, self.wires, self.frames, self.notes, self.sides = {}, {}, {}, {}, None

    def _drop(self, item: QGraphicsItem | None) -> None:
        if item is not None:
            self.removeItem(item)

    def _route(self, target: Socket) -> None:
        item = self.wires.get(target)
        if item is None:
            return
        start, end = self.end(item.source, output=True), self.end(target, output=False)
        item.setVisible(start is not None and end is not None)
        if start is not None and end is not None:
            item.route(
                start.socket_pos(item.source.name, output=True), end.socket_pos(target.name, output=False)
            )
            self._colour(target)

    def _colour(self, target: Socket) -> None:
        item = self.wires.get(target)
        if item is None:
            return
        items = (self.end(item.source, output=True), self.end(target, output=False))
        ends = [one.sight for one in items if one is not None]
        item.set_look(
            self.wire_colour(self.wire_type(item.source, output=True)),
            dim=any(sight.muted for sight in ends),
            strong=any(sight.selected for sight in ends),
        )

    def _grow(self, box: Box | None) -> None:
        """Keep what is indexed for quick finding around all nodes; never shrink it."""
        # Qt's own `sceneRect` is measured anew after every move until one is set: linear in the graph.
        if box is not None and not self._area.contains(QRectF(*box)):
            self._area = self._area.united(QRectF(*box).adjusted(-EDGE, -EDGE, EDGE, EDGE))
            self.setSceneRect(self._area)
