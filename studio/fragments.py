"""Copied parts of a graph: JSON text that the clipboard carries from window to window and into mails.

A fragment is a small workflow file marked ``"latent_studio": "fragment"``; definitions that its nodes name
come with it. A whole workflow's text can be pasted too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from studio.document import Content
from studio.edits import Batch, Edit, PutDefinition, PutFrame, PutNode, PutNote, SetWire
from studio.errors import EditError, FileError
from studio.files import pretty, strict_json, workflow, writer
from studio.graph import BOUNDARY, ROOT, Frame, Graph, Node, Note, Socket

if TYPE_CHECKING:
    from studio.types import Json

Point = tuple[float, float]
MARK = "latent_studio"
_OUTSIDE = "outside"


def graph_of(content: Content, graph: str) -> Graph:
    """Return a graph of the document.

    Raises:
        EditError: There is none of that name.
    """
    if graph not in content.graphs:
        raise EditError(f"There is no definition named “{graph}” in this document.")
    return content.graphs[graph]


def refuse_recursion(content: Content, graph: str, types: Iterable[str]) -> None:
    """Check that nodes of `types` may stand in `graph`.

    Raises:
        EditError: `graph` would come to lie within itself.
    """
    seen: set[str] = set()
    ahead = list(types)
    while ahead:
        name = ahead.pop()
        if name == graph and graph != ROOT:
            raise EditError(f"“{graph}” cannot contain itself.", "Place it in another graph.")
        if name in content.graphs and name not in seen:
            seen.add(name)
            ahead += {node.type for node in content.graphs[name].nodes.values()}


def copy(
    content: Content, graph: str, ids: Iterable[str], frames: Iterable[str] = (), notes: Iterable[str] = ()
) -> str:
    """Return nodes, frames and notes of one graph as a fragment.

    Raises:
        EditError: One of the nodes is not there.
    """
    shown = graph_of(content, graph)
    wanted = set(ids)
    if absent := sorted(wanted - shown.nodes.keys()):
        raise EditError(f"There is no node “{absent[0]}” in this graph.")
    nodes = {key: shown.nodes[key] for key in wanted}
    inner = {end: source for end, source in shown.wires.items() if {end.node, source.node} <= wanted}
    outside: dict[str, Json] = {}
    for end, source in shown.wires.items():
        if end.node in wanted and source.node not in wanted:
            row = outside.setdefault(end.node, {})
            assert isinstance(row, dict)
            row[end.name] = writer.source_to_json(source)
    part = Content(
        graphs={ROOT: Graph(nodes, inner), **_definitions(content, nodes.values())},
        frames={key: replace(content.frames[key], graph=ROOT) for key in frames if key in content.frames},
        notes={key: replace(content.notes[key], graph=ROOT) for key in notes if key in content.notes},
    )
    data = writer.to_json(part)
    kept = {name: data[name] for name in ("format", "graphs", "frames", "notes")}
    return pretty.dumps({MARK: "fragment", **kept, _OUTSIDE: outside}).decode()


def paste(
    content: Content, graph: str, fragment: str, at: Point, *, keep_wires: bool = False
) -> tuple[Edit, list[str]]:
    """Return the edit that puts a fragment into a graph, and the ids its nodes get, in the fragment's order.

    Args:
        content: The document.
        graph: The graph to paste into.
        fragment: From `copy`, or the text of a whole workflow.
        at: Where its upper left corner comes to lie, in scene units.
        keep_wires: Wires that came from outside the fragment are drawn again where their source is there.

    Raises:
        EditError: The text is no fragment, or a definition would come to contain itself.
    """
    shown = graph_of(content, graph)
    part = _parsed(fragment)
    if not part.root.nodes and not part.frames and not part.notes:
        raise EditError("There is nothing in what was copied.", "Copy some nodes first.")
    edits, types = _carry_definitions(content, part)
    refuse_recursion(Batch(tuple(edits)).apply(content)[0], graph, _types(part.root, types))
    free = _FreeNames(shown.nodes)
    renamed = {key: free.take(key) for key in part.root.nodes}
    left, top = _corner(part)
    for key, node in part.root.nodes.items():
        pos = (node.pos[0] - left + at[0], node.pos[1] - top + at[1])
        new = replace(node, id=renamed[key], type=types.get(node.type, node.type), pos=pos)
        edits.append(PutNode(graph, new.id, new))
    for end, source in part.root.wires.items():
        target = Socket(renamed[end.node], end.name)
        edits.append(SetWire(graph, target, Socket(renamed[source.node], source.name)))
    if keep_wires:
        edits += _outside_wires(shown, graph, part.unknown.get(_OUTSIDE), renamed)
    edits += _surroundings(content, graph, part, renamed, (at[0] - left, at[1] - top))
    return Batch(tuple(edits)), list(renamed.values())


def duplicate(
    content: Content, graph: str, ids: Iterable[str], by: Point = (40.0, 40.0), frames: Iterable[str] = ()
) -> tuple[Edit, list[str]]:
    """Return the edit that puts copies beside the originals, fed by the same wires, and their ids.

    Raises:
        EditError: One of the nodes is not there.
    """
    fragment = copy(content, graph, ids, frames)
    left, top = _corner(_parsed(fragment))
    return paste(content, graph, fragment, (left + by[0], top + by[1]), keep_wires=True)


def _parsed(fragment: str) -> Content:
    try:
        data = strict_json.read(fragment.encode("utf-8", "replace"), lambda _: None)
        if not isinstance(data, dict) or data.get(MARK, "fragment") != "fragment":
            raise FileError("It is no fragment.")
        part = workflow.from_json(data)
    except FileError as error:
        raise EditError(
            "What was copied is no part of a workflow.", "Copy nodes of Latent Studio first."
        ) from error
    frames = {key: frame for key, frame in part.frames.items() if frame.graph == ROOT}
    notes = {key: note for key, note in part.notes.items() if note.graph == ROOT}
    return replace(part, frames=frames, notes=notes)


def _definitions(content: Content, nodes: Iterable[Node]) -> dict[str, Graph]:
    """The definitions that nodes name, and those that they name in turn."""
    found: dict[str, Graph] = {}
    ahead = [node.type for node in nodes]
    while ahead:
        name = ahead.pop()
        if name in content.graphs and name not in found and name != ROOT:
            found[name] = content.graphs[name]
            ahead += [node.type for node in found[name].nodes.values()]
    return found


def _carry_definitions(content: Content, part: Content) -> tuple[list[Edit], dict[str, str]]:
    """Return the edits that bring the fragment's definitions along, and what each is called here.

    One that is here already, and means the same down to the definitions within it, is not brought again; one
    of the same name and another meaning gets a new name.
    """
    carried = _definitions(part, part.root.nodes.values())
    here = {name for name in carried if name in content.graphs}
    other = {name for name in here if content.graphs[name] != carried[name]}
    while more := {name for name in here - other if not other.isdisjoint(_types(carried[name], {}))}:
        other |= more
    free = _FreeNames({**content.graphs, **carried})
    names = {name: free.take(name) for name in sorted(other)}
    edits: list[Edit] = []
    for name, graph in carried.items():
        if name in here and name not in other:
            continue
        nodes = graph.nodes.items()
        renamed = {key: replace(node, type=names.get(node.type, node.type)) for key, node in nodes}
        edits.append(PutDefinition(names.get(name, name), replace(graph, nodes=renamed)))
    return edits, names


def _types(graph: Graph, names: Mapping[str, str]) -> set[str]:
    return {names.get(node.type, node.type) for node in graph.nodes.values()}


def _outside_wires(shown: Graph, graph: str, outside: Json, renamed: Mapping[str, str]) -> list[Edit]:
    edits: list[Edit] = []
    ports = {port.name for port in shown.interface.inputs} if graph != ROOT else set[str]()
    for key, row in outside.items() if isinstance(outside, dict) else ():
        for name, written in row.items() if isinstance(row, dict) else ():
            source = writer.source_from_json(written)
            if source is None or key not in renamed or not name:
                continue
            if source.node in shown.nodes or (source.node == BOUNDARY and source.name in ports):
                edits.append(SetWire(graph, Socket(renamed[key], name), source))
    return edits


def _surroundings(
    content: Content, graph: str, part: Content, renamed: Mapping[str, str], by: Point
) -> list[Edit]:
    """The edits that bring frames and notes along."""
    edits: list[Edit] = []
    free = _FreeNames(content.frames)
    for frame in part.frames.values():
        key, rect = free.take(frame.id), _shifted(frame, by)
        nodes = tuple(renamed[node] for node in frame.nodes if node in renamed)
        edits.append(PutFrame(key, replace(frame, id=key, graph=graph, nodes=nodes, rect=rect)))
    free = _FreeNames(content.notes)
    for note in part.notes.values():
        key, rect = free.take(note.id), _shifted(note, by)
        edits.append(PutNote(key, replace(note, id=key, graph=graph, rect=rect)))
    return edits


def _shifted(item: Frame | Note, by: Point) -> tuple[float, float, float, float]:
    x, y, width, height = item.rect
    return (x + by[0], y + by[1], width, height)


def _corner(part: Content) -> Point:
    places = [node.pos for node in part.root.nodes.values()]
    places += [item.rect[:2] for item in (*part.frames.values(), *part.notes.values())]
    return min(x for x, _ in places), min(y for _, y in places)


class _FreeNames:
    """Hands out names that are not taken, in linear time for any number of them."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return `name` if it is free, else ``stem_2``, ``stem_3``, …"""
        found = name
        stem = re.sub(r"_\d+$", "", name) or name
        while found in self._taken:
            number = self._next.get(stem, 2)
            self._next[stem] = number + 1
            found = f"{stem}_{number}"
        self._taken.add(found)
        return found
