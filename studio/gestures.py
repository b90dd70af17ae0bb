"""What a person does in one go, as one edit: pure functions from a content to an `Edit`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from studio.document import Content
from studio.edits import Batch, Edit, MoveNodes, PutFrame, PutNode, PutNote, SetInterface, SetWire
from studio.errors import EditError
from studio.fragments import Point, copy, duplicate, graph_of, paste, refuse_recursion
from studio.graph import BOUNDARY, Node, Socket
from studio.spec import NodeSpec

__all__ = [
    "add",
    "add_definition",
    "bridge",
    "carried",
    "connect",
    "copy",
    "disconnect",
    "duplicate",
    "insert_on_wire",
    "move",
    "paste",
    "remove",
    "stem",
]


def add(content: Content, graph: str, spec: NodeSpec, pos: Point) -> tuple[Edit, str]:
    """Return the edit that adds a fresh node of a type, and its id."""
    key = graph_of(content, graph).free_id(stem(spec.type.rsplit("/", 1)[-1]))
    return PutNode(graph, key, Node(key, spec.type, spec.version, spec.defaults, pos)), key


def add_definition(content: Content, graph: str, name: str, pos: Point) -> tuple[Edit, str]:
    """Return the edit that adds a node of the document's own definition `name`, and its id.

    Raises:
        EditError: There is no such definition, or it would contain itself.
    """
    graph_of(content, name)
    refuse_recursion(content, graph, (name,))
    key = graph_of(content, graph).free_id(stem(name))
    return PutNode(graph, key, Node(key, name, pos=pos)), key


def stem(name: str) -> str:
    """Return `name` as the beginning of a readable id."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "node"


def connect(content: Content, graph: str, target: Socket, source: Socket) -> Edit:
    """Return the edit that feeds `target` from `source`, in place of what fed it."""
    graph_of(content, graph)
    return SetWire(graph, target, source)


def disconnect(content: Content, graph: str, target: Socket) -> Edit:
    """Return the edit that leaves `target` unwired.

    Raises:
        EditError: Nothing is wired to it.
    """
    if target not in graph_of(content, graph).wires:
        raise EditError(f"Nothing is wired to “{target.name}”.", node=target.node)
    return SetWire(graph, target, None)


def remove(
    content: Content, graph: str, ids: Iterable[str], frames: Iterable[str] = (), notes: Iterable[str] = ()
) -> Edit:
    """Return the edit that removes nodes with all their wires, frames (not what is in them) and notes.

    Frames let go of the removed nodes, and a definition no longer shows their knobs.

    Raises:
        EditError: One of the nodes is not there.
    """
    shown = graph_of(content, graph)
    gone = dict.fromkeys(ids)
    for key in gone:
        if key not in shown.nodes:
            raise EditError(f"There is no node “{key}” in this graph.")
    edits: list[Edit] = [
        SetWire(graph, target, None)
        for target, source in shown.wires.items()
        if target.node in gone or source.node in gone
    ]
    knobs = tuple(knob for knob in shown.interface.knobs if knob.node not in gone)
    if knobs != shown.interface.knobs:
        edits.append(SetInterface(graph, replace(shown.interface, knobs=knobs)))
    doomed = set(frames)
    for frame in content.frames.values():
        if frame.id in doomed:
            edits.append(PutFrame(frame.id, None))
        elif frame.graph == graph and not gone.keys().isdisjoint(frame.nodes):
            kept = tuple(key for key in frame.nodes if key not in gone)
            edits.append(PutFrame(frame.id, replace(frame, nodes=kept)))
    edits += [PutNote(key, None) for key in notes if key in content.notes]
    edits += [PutNode(graph, key, None) for key in gone]
    return Batch(tuple(edits))


def bridge(content: Content, graph: str, ids: Iterable[str], through: Mapping[str, tuple[str, str]]) -> Edit:
    """Return the edit that removes nodes and joins the wires before and behind them.

    Args:
        content: The document.
        graph: The graph they lie in.
        ids: The nodes.
        through: Node → (input, output) that carry the same thing (see `carried`); others just go.
    """
    shown = graph_of(content, graph)
    gone = dict.fromkeys(ids)

    def origin(source: Socket) -> Socket | None:
        passed: set[Socket] = set()
        while source.node in gone:
            way = through.get(source.node)
            before = shown.wires.get(Socket(source.node, way[0])) if way and way[1] == source.name else None
            if before is None or before in passed:
                return None
            passed.add(before)
            source = before
        return source

    joined: list[Edit] = [
        SetWire(graph, target, new)
        for target, source in shown.wires.items()
        if source.node in gone and target.node not in gone and (new := origin(source)) is not None
    ]
    return Batch((remove(content, graph, gone), *joined))


def carried(spec: NodeSpec, wire: str) -> tuple[str, str] | None:
    """Return the first (input, output) of a type by which a wire can be led through it."""
    inputs = [item.name for item in spec.inputs if item.type == wire]
    outputs = [item.name for item in spec.outputs if item.type == wire]
    return (inputs[0], outputs[0]) if inputs and outputs else None


def insert_on_wire(content: Content, graph: str, target: Socket, node: str, through: tuple[str, str]) -> Edit:
    """Return the edit that leads the wire ending at `target` through a node that is already there.

    Args:
        content: The document.
        graph: The graph of both.
        target: Where the wire ends.
        node: Id of the node.
        through: Its (input, output) the wire is led through.

    Raises:
        EditError: No wire ends there, or it begins or ends at the node itself.
    """
    shown = graph_of(content, graph)
    source = shown.wires.get(target)
    if source is None:
        raise EditError(f"No wire ends at “{target.name}”.", node=target.node)
    if node in (source.node, target.node) or node == BOUNDARY:
        raise EditError(f"“{node}” is at one end of this wire already.", node=node)
    enter, leave = through
    return Batch((SetWire(graph, Socket(node, enter), source), SetWire(graph, target, Socket(node, leave))))


def move(content: Content, graph: str, ids: Iterable[str], by: Point) -> Edit:
    """Return the edit that shifts nodes by (x, y) scene units."""
    nodes = graph_of(content, graph).nodes
    return MoveNodes(graph, {key: (nodes[key].pos[0] + by[0], nodes[key].pos[1] + by[1]) for key in ids})
