"""Drawing a wire by hand: from an output, from an input, or by the end of a wire that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF

from studio.edits import Batch, Edit, SetWire
from studio.graph import Socket
from ui.graph import hits
from ui.graph.drags import Keys
from ui.graph.face import words
from ui.graph.layout import Part
from ui.graph.node_item import NodeItem
from ui.graph.wire_item import WireItem
from ui.theme import DARK

if TYPE_CHECKING:
    from ui.graph.view import GraphView

LOOSE = Socket("", "")


class WireDrag:
    """A wire with one end in the hand.

    Args:
        view: The view it is drawn in.
        fixed: The end that stays.
        output: `fixed` is an output.
        lifted: The input whose wire was picked up, if one was.
    """

    def __init__(self, view: GraphView, fixed: Socket, *, output: bool, lifted: Socket | None = None) -> None:
        self._view = view
        self._scene = view.graph_scene
        self._fixed = fixed
        self._output = output
        self._lifted = lifted
        self._colour = self._scene.wire_colour(self._scene.wire_type(fixed, output=output))
        self._wire = WireItem(LOOSE, LOOSE)
        self._wire.setZValue(1e6)
        self._scene.addItem(self._wire)
        self._show_lifted(False)
        self._scene.want(fixed, output=output)

    def move(self, pos: QPointF, keys: Keys) -> None:
        found, refusal = self._aim(pos)
        fixed = self._place(self._fixed, pos, output=self._output)
        loose = self._place(found, pos, output=not self._output) if found is not None else pos
        self._wire.route(fixed, loose) if self._output else self._wire.route(loose, fixed)
        self._wire.set_look(DARK.bad if refusal else self._colour, dim=False, strong=found is not None)
        self._view.hint.say(refusal or "", self._view.mapFromScene(pos))
        self._mark(found)

    def drop(self, pos: QPointF, keys: Keys) -> None:
        hit = hits.part_at(self._scene, pos)
        found, refusal = self._aim(pos)
        self.let_go()
        if hit is not None and hit[0].id == self._fixed.node:
            return
        if refusal:
            self._view.refused.emit(refusal)
        elif found is not None:
            self._connect(found)
        elif self._lifted is not None:
            text = f"Disconnect {words(self._lifted.name)}"
            self._scene.editing.apply(SetWire(self._scene.name, self._lifted, None), text)
        else:
            self._view.open_palette_for(self._fixed, output=self._output, pos=pos)

    def cancel(self) -> None:
        self.let_go()

    def _connect(self, found: Socket) -> None:
        source, target = (self._fixed, found) if self._output else (found, self._fixed)
        if self._scene.wiring.sources.get(target) == source:
            return
        edit: Edit = SetWire(self._scene.name, target, source)
        if self._lifted is not None:
            edit = Batch((SetWire(self._scene.name, self._lifted, None), edit))
        item = self._scene.end(target, output=False)
        title = f" of {item.sight.face.title}" if item is not None else ""
        self._scene.editing.apply(edit, f"Connect {words(target.name)}{title}")

    def _place(self, socket: Socket, otherwise: QPointF, *, output: bool) -> QPointF:
        item = self._scene.end(socket, output=output)
        return item.socket_pos(socket.name, output=output) if item is not None else otherwise

    def _aim(self, pos: QPointF) -> tuple[Socket | None, str]:
        """The socket the wire would end at here, or why it cannot; neither over empty space."""
        hit = hits.part_at(self._scene, pos)
        if hit is None or hit[0].id == self._fixed.node:
            return None, ""
        item, part = hit
        kinds = ("input", "knob_socket") if self._output else ("output",)
        if part.kind == "knob":
            part = Part("knob_socket", part.name)
        if part.kind in kinds and self._takes_wires(item, part):
            found = Socket(item.id, part.name)
            refusal = self._refusal(found)
            return (None, refusal) if refusal else (found, "")
        return self._best(item)

    def _takes_wires(self, item: NodeItem, part: Part) -> bool:
        knob = item.sight.face.knob(part.name)
        return part.kind != "knob_socket" or (knob is not None and knob.wire is not None)

    def _best(self, item: NodeItem) -> tuple[Socket | None, str]:
        """Over the body of a node: its first free input that fits, else the first that fits."""
        face, wanted = item.sight.face, self._scene.wanting.parts(item.id, item.sight.face) or ()
        names = [one.name for one in (face.inputs if self._output else face.outputs)]
        kind = "input" if self._output else "output"
        fitting = [name for name in names if any(part == (kind, name) for part in wanted)]
        fitting.sort(key=lambda name: self._output and name in item.sight.fed)
        refusal = ""
        for name in fitting:
            found = Socket(item.id, name)
            refusal = self._refusal(found)
            if not refusal:
                return found, ""
        here = words(self._scene.wire_type(self._fixed, output=self._output).rpartition("/")[2])
        return None, refusal or f"“{face.title}” {'takes' if self._output else 'gives'} no {here}."

    def _refusal(self, found: Socket) -> str:
        source, target = (self._fixed, found) if self._output else (found, self._fixed)
        if self._scene.wiring.sources.get(target) == source:
            return ""
        return self._scene.refusal(source, target) or ""

    def _mark(self, found: Socket | None) -> None:
        item = self._scene.end(found, output=not self._output) if found is not None else None
        if found is None or item is None:
            self._scene.hover("", None)
            return
        knob = item.sight.face.knob(found.name)
        kind = "output" if not self._output else "knob_socket" if knob else "input"
        self._scene.hover(found.node, Part(kind, found.name))

    def _show_lifted(self, shown: bool) -> None:
        item = self._scene.wires.get(self._lifted) if self._lifted else None
        if item is not None:
            item.setVisible(shown)

    def let_go(self) -> None:
        self._show_lifted(True)
        self._scene.removeItem(self._wire)
        self._scene.want(None)
        self._scene.hover("", None)
        self._view.hint.say("", self._view.cursor_at)
