"""What the menus of the graph do: each a function of the scene, each one undo entry."""

from __future__ import annotations

from collections.abc import Container, Iterable

from PySide6.QtCore import QPointF

from studio import gestures
from studio.edits import Batch, Edit, PutFrame, PutNote, SetNodeField, SetWire
from studio.graph import Frame, Mode, Note, Socket
from studio.spec import NodeSpec
from studio.types import ANY
from ui.graph.layout import HEADER, WIDTH
from ui.graph.remarks import BAR
from ui.graph.scene import GraphScene
from ui.graph.search import Wanted, sockets_for

FRAME_PAD = 18.0
NOTE_SIZE = (240, 120)


def add_node(
    scene: GraphScene, spec: NodeSpec, pos: QPointF, fixed: Socket | None = None, *, output: bool = False
) -> str:
    """Add a fresh node with its corner at `pos`, wired to `fixed` if given, and select it; its id."""
    place = (round(pos.x()), round(pos.y()))
    edit, node = gestures.add(scene.content, scene.name, spec, place)
    if fixed is not None:
        wire = _wire_to(scene, spec, node, fixed, output=output)
        edit = Batch((edit, wire)) if wire else edit
    scene.editing.apply(edit, f"Add {spec.title or spec.type}")
    scene.raise_node(node)
    scene.select([node])
    return node


def _wire_to(scene: GraphScene, spec: NodeSpec, node: str, fixed: Socket, *, output: bool) -> Edit | None:
    wanted = Wanted(scene.wire_type(fixed, output=output), output)
    names = sockets_for(spec, wanted)
    if not names:
        return None
    new = Socket(node, names[0])
    return SetWire(scene.name, new, fixed) if output else SetWire(scene.name, fixed, new)


def delete(
    scene: GraphScene, nodes: list[str], frames: Iterable[str] = (), notes: Iterable[str] = ()
) -> None:
    """Delete nodes with their wires, frames and notes."""
    frames, notes = list(frames), list(notes)
    count = len(nodes) + len(frames) + len(notes)
    if not count:
        return
    one = scene.nodes[nodes[0]].sight.face.title if nodes else "frame" if frames else "note"
    edit = gestures.remove(scene.content, scene.name, nodes, frames, notes)
    scene.editing.apply(edit, f"Delete {one}" if count == 1 else f"Delete {count} nodes")


def fragment(scene: GraphScene) -> str:
    """The selected nodes as text for the clipboard; empty if nothing is selected."""
    if not scene.selected:
        return ""
    return gestures.copy(scene.content, scene.name, scene.selected, _framed(scene))


def paste(scene: GraphScene, text: str, pos: QPointF, *, keep_wires: bool = False) -> None:
    """Put nodes from the clipboard with their corner at `pos`, and select them.

    Raises:
        EditError: The text is no part of a workflow.
    """
    place = (round(pos.x()), round(pos.y()))
    edit, nodes = gestures.paste(scene.content, scene.name, text, place, keep_wires=keep_wires)
    scene.editing.apply(edit, "Paste" if len(nodes) != 1 else "Paste node")
    _show_new(scene, nodes)


def duplicate(scene: GraphScene, by: tuple[float, float] = (40.0, 40.0)) -> None:
    """Put copies of the selected nodes beside them, fed by the same wires, and select the copies."""
    if not scene.selected:
        return
    count = len(scene.selected)
    title = scene.nodes[scene.selected[0]].sight.face.title
    edit, nodes = gestures.duplicate(scene.content, scene.name, scene.selected, by, _framed(scene))
    scene.editing.apply(edit, f"Duplicate {title}" if count == 1 else f"Duplicate {count} nodes")
    _show_new(scene, nodes)


def _framed(scene: GraphScene) -> list[str]:
    """Frames all of whose nodes are selected."""
    chosen = set(scene.selected)
    frames = (item.frame for item in scene.frames.values())
    return [frame.id for frame in frames if frame.nodes and chosen.issuperset(frame.nodes)]


def _show_new(scene: GraphScene, nodes: list[str]) -> None:
    for node in nodes:
        scene.raise_node(node)
    scene.select(nodes)


def toggle_mode(scene: GraphScene, mode: Mode) -> None:
    """Give the selected nodes a mode, or, if all have it, turn them on again."""
    chosen = [scene.graph.nodes[node] for node in scene.selected]
    if not chosen:
        return
    new: Mode = "on" if all(node.mode == mode for node in chosen) else mode
    edits = tuple(SetNodeField(scene.name, node.id, "mode", new) for node in chosen if node.mode != new)
    verb = {"on": "Turn on", "bypass": "Bypass", "mute": "Mute"}[new]
    what = scene.nodes[chosen[0].id].sight.face.title if len(chosen) == 1 else f"{len(chosen)} nodes"
    scene.editing.apply(Batch(edits), f"{verb} {what}")


def reroute(scene: GraphScene, target: Socket, pos: QPointF) -> None:
    """Put a node that only passes on into the wire that ends at `target`, at a point it runs through."""
    specs = (spec for spec in scene.status.catalogue.specs.values() if spec.passes)
    spec = next((one for one in specs if [item.type for item in one.inputs] == [ANY]), None)
    if spec is None:
        return
    place = (round(pos.x() - WIDTH / 2), round(pos.y() - HEADER))
    added, node = gestures.add(scene.content, scene.name, spec, place)
    content, _ = added.apply(scene.content)
    way = (spec.inputs[0].name, spec.outputs[0].name)
    led = gestures.insert_on_wire(content, scene.name, target, node, way)
    scene.editing.apply(Batch((added, led)), f"Add {spec.title or spec.type}")
    scene.raise_node(node)
    scene.select([node])


def add_note(scene: GraphScene, pos: QPointF) -> str:
    """Put an empty note with its corner at `pos`; its id."""
    key = _free("note", scene.content.notes)
    rect = (round(pos.x()), round(pos.y()), *NOTE_SIZE)
    scene.editing.apply(PutNote(key, Note(key, scene.name, "", rect)), "Add note")
    return key


def _free(stem: str, taken: Container[str]) -> str:
    number = 1
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def group(scene: GraphScene) -> None:
    """Draw a frame around the selected nodes."""
    nodes = scene.selected
    if not nodes:
        return
    box = scene.nodes_box(nodes).adjusted(-FRAME_PAD, -FRAME_PAD - BAR, FRAME_PAD, FRAME_PAD)
    rect = (round(box.x()), round(box.y()), round(box.width()), round(box.height()))
    frame = Frame(_free("frame", scene.content.frames), scene.name, "Frame", rect, tuple(nodes))
    scene.editing.apply(PutFrame(frame.id, frame), "Add frame")


def ungroup(scene: GraphScene) -> None:
    """Take away the frames that hold a selected node; the nodes stay."""
    chosen = set(scene.selected)
    frames = [key for key, item in scene.frames.items() if not chosen.isdisjoint(item.frame.nodes)]
    if frames:
        scene.editing.apply(Batch(tuple(PutFrame(key, None) for key in frames)), "Remove frame")


def toggle_drawn_anew(scene: GraphScene, node: str, knob: str) -> None:
    """Draw a seed anew at each run, or keep it."""
    look = dict(scene.graph.nodes[node].look)
    names = look.get("new_each_run")
    old = [str(name) for name in names] if isinstance(names, list) else []
    new = [name for name in old if name != knob] if knob in old else [*old, knob]
    look["new_each_run"] = list(new)
    text = "New seed each run" if knob in new else "Keep the seed"
    scene.editing.apply(SetNodeField(scene.name, node, "look", look), text)


def neighbour(scene: GraphScene, node: str, direction: str) -> str:
    """The node the keyboard goes to from `node`: along wires left and right, by place up and down."""
    at = scene.nodes.get(node)
    if at is None:
        return min(scene.nodes, key=lambda key: scene.nodes[key].box()[:2], default="")
    if direction in ("left", "right"):
        wired = sorted(set(scene.wiring.neighbours(node, upstream=direction == "left")) & scene.nodes.keys())
        if wired:
            return min(wired, key=lambda key: abs(scene.nodes[key].box().y - at.box().y))
    return _nearest(scene, node, direction)


def _nearest(scene: GraphScene, node: str, direction: str) -> str:
    x, y, width, height = scene.nodes[node].box()
    best, least = node, float("inf")
    for key, item in scene.nodes.items():
        ox, oy, owidth, oheight = item.box()
        dx, dy = ox + owidth / 2 - x - width / 2, oy + oheight / 2 - y - height / 2
        along, across = {"left": (-dx, dy), "right": (dx, dy), "up": (-dy, dx), "down": (dy, dx)}[direction]
        cost = along + 2 * abs(across)
        if key != node and along > 1 and cost < least:
            best, least = key, cost
    return best
