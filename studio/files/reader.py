"""The object a workflow file holds, as a document: everything that can be read is, the rest is kept.

What is wrong becomes a `Problem` that names its node. Nothing raises: each value of the wrong shape stays in
the `extra` of what it belongs to, under its own name, and the writer puts it back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from studio.document import Content
from studio.errors import Problem
from studio.files import shapes
from studio.files.writer import RAW, UNREADABLE, UNTYPED, source_from_json
from studio.graph import BOUNDARY, ROOT, ExposedKnob, Frame, Graph, Interface, Node, Note, Port, Socket
from studio.types import Json

_Fields = dict[str, Any]
_Wires = dict[Socket, Socket]
_Check = Callable[[Json], Any]
_OBJECTS = ("graphs", "frames", "notes", "requires", "form", "canvas", "models", "extra")
_DOCUMENT: dict[str, _Check] = {
    "id": shapes.name,
    "title": shapes.text,
    **dict.fromkeys(_OBJECTS, shapes.object_),
}
_GRAPH: dict[str, _Check] = {
    "title": shapes.text,
    "interface": shapes.object_,
    "nodes": shapes.object_,
}
_NODE: dict[str, _Check] = {
    "type": shapes.type_name,
    "version": shapes.version,
    "title": shapes.text,
    "mode": shapes.mode,
    "params": shapes.object_,
    "wires": shapes.object_,
    "pos": shapes.point,
    "look": shapes.object_,
}
_INTERFACE: dict[str, _Check] = {
    "inputs": shapes.list_,
    "outputs": shapes.list_,
    "knobs": shapes.list_,
    "wires": shapes.object_,
}
_PLACE: dict[str, _Check] = {"graph": shapes.text, "rect": shapes.rect, "colour": shapes.text}
_FRAME: dict[str, _Check] = {**_PLACE, "title": shapes.text, "nodes": shapes.names, "on": shapes.flag}
_NOTE: dict[str, _Check] = {**_PLACE, "text": shapes.text}
MAX_PROBLEMS = 500


class Reader:
    """Reads one document, or a part of one, and collects its problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._untold = 0

    def notice(self, title: str, remedy: str = "", *, graph: str = ROOT, node: str = "") -> None:
        """Add a problem of the file; beyond the first 500 they are only counted."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem("file", title, remedy, graph, node))
        else:
            self._untold += 1

    def finish(self) -> list[Problem]:
        """Return the problems, and how many more there are."""
        more = [Problem("file", f"{self._untold:,} more problems are not listed.")] if self._untold else []
        return self.problems + more

    def content(self, data: dict[str, Json]) -> Content:
        """Return the document in `data`, an object of the current format."""
        known = {name: value for name, value in data.items() if name not in ("format", "app")}
        fields, unknown = self._fields(known, _DOCUMENT, "The document")
        graphs = self._entries(fields.pop("graphs", {}), unknown, "graphs", self.graph)
        if ROOT not in graphs:
            self.notice("The file holds no main graph; it opens empty.")
            graphs[ROOT] = Graph()
        fields["frames"] = self._entries(fields.pop("frames", {}), unknown, "frames", self.frame)
        fields["notes"] = self._entries(fields.pop("notes", {}), unknown, "notes", self.note)
        fields.setdefault("id", uuid.uuid4().hex)
        unknown.pop("id", None)  # nothing to go back to: a document has one identity
        return Content(graphs=graphs, unknown=unknown, **fields)

    def _entries(
        self,
        raw: dict[str, Json],
        kept: dict[str, Json],
        what: str,
        read: Callable[[str, dict[str, Json]], Any],
    ) -> dict[str, Any]:
        """Read a dict of records; entries that are none, or of an impossible name, go to ``kept[what]``."""
        found: dict[str, Any] = {}
        odd: dict[str, Json] = {}
        for name, value in raw.items():
            if not isinstance(value, dict):
                self.notice(f"“{name}” in “{what}” is {shapes.shown(value)}, not an object; it is left out.")
                odd[name] = value
            elif what == "graphs" and not _is_id(name) and name != ROOT:
                self.notice(f"“{name}” cannot be the name of a definition; it is left out.")
                odd[name] = value
            else:
                found[name] = read(name, value)
        if odd:
            kept[what] = odd
        return found

    def graph(self, name: str, raw: dict[str, Json]) -> Graph:
        """Return one graph; its wires are those that lead from one readable node to another."""
        where = f"Definition “{name}”" if name else "The main graph"
        fields, extra = self._fields(raw, _GRAPH, where, name)
        sources: dict[str, dict[str, Json]] = {}
        nodes: dict[str, Node] = {}
        odd: dict[str, Json] = {}
        for key, value in fields.get("nodes", {}).items():
            if not _is_id(key):
                self.notice(f"“{key}” cannot be the id of a node; the node is left out.", graph=name)
                odd[key] = value
            else:
                nodes[key], sources[key] = self.node(name, key, value)
        if odd:
            extra["nodes"] = odd
        interface, boundary = self._interface(fields.get("interface", {}), where, name)
        wires: _Wires = {}
        for key, named in sources.items():
            broken = self._wires(name, key, named, nodes, wires)
            if broken:
                nodes[key] = _with_extra_wires(nodes[key], broken)
        broken = self._wires(name, BOUNDARY, boundary, nodes, wires)
        if broken:
            interface = replace(interface, extra={**interface.extra, "wires": broken})
        return Graph(nodes, wires, interface, fields.get("title", ""), extra)

    def node(self, graph: str, key: str, raw: Json) -> tuple[Node, dict[str, Json]]:
        """Return one node, and what its wires say, not yet understood."""
        if not isinstance(raw, dict):
            self.notice(f"Node “{key}” is {shapes.shown(raw)}, not an object.", graph=graph, node=key)
            return Node(key, UNREADABLE, extra={RAW: raw}), {}
        fields, extra = self._fields(raw, _NODE, f"Node “{key}”", graph, key)
        if "type" not in fields:
            fields["type"] = UNTYPED
            if "type" not in extra:
                self.notice(f"Node “{key}” names no type.", graph=graph, node=key)
        wires = cast("dict[str, Json]", fields.pop("wires", {}))
        return Node(id=key, **fields, extra=extra), wires

    def _wires(
        self, graph: str, key: str, named: dict[str, Json], nodes: Mapping[str, Node], wires: _Wires
    ) -> dict[str, Json]:
        """Add the wires that end at `key` to `wires`; return those that lead nowhere, as written."""
        broken: dict[str, Json] = {}
        for name, written in named.items():
            source = source_from_json(written)
            at_boundary = source is not None and source.node == BOUNDARY and graph != ROOT
            if source is None or not name or (key == BOUNDARY and graph == ROOT):
                why = f"{shapes.shown(written)} is no end of a wire"
            elif at_boundary or source.node in nodes:
                wires[Socket(key, name)] = source
                continue
            else:
                why = f"there is no node “{source.node}”"
            broken[name] = written
            end = f"“{key}.{name}”" if key else f"Output “{name}” of the definition"
            self.notice(f"{end} is wired to nothing: {why}.", "Wire it anew.", graph=graph, node=key)
        return broken

    def _interface(self, raw: dict[str, Json], where: str, graph: str) -> tuple[Interface, dict[str, Json]]:
        fields, extra = self._fields(raw, _INTERFACE, f"{where}, what it shows", graph)
        wires = cast("dict[str, Json]", fields.pop("wires", {}))
        read: dict[str, Any] = {}
        for what, items in fields.items():
            record = shapes.exposed_knob if what == "knobs" else shapes.port
            found: dict[str, Port | ExposedKnob] = {}
            odd: list[Json] = []
            for item in cast("list[Json]", items):
                made = record(item)
                if made is None or made.name in found:
                    self.notice(f"{where} shows something in “{what}” that cannot be read.", graph=graph)
                    odd.append(item)
                else:
                    found[made.name] = made
            read[what] = tuple(found.values())
            if odd:
                extra[what] = odd
        return Interface(**read, extra=extra), wires

    def frame(self, key: str, raw: dict[str, Json]) -> Frame:
        """Return one frame."""
        fields, extra = self._fields(raw, _FRAME, f"Frame “{key}”")
        return Frame(id=key, **fields, extra=extra)

    def note(self, key: str, raw: dict[str, Json]) -> Note:
        """Return one note."""
        fields, extra = self._fields(raw, _NOTE, f"Note “{key}”")
        return Note(id=key, **fields, extra=extra)

    def _fields(
        self,
        raw: dict[str, Json],
        checks: Mapping[str, _Check],
        where: str,
        graph: str = ROOT,
        node: str = "",
    ) -> tuple[_Fields, dict[str, Json]]:
        """Split a record into fields of the right shape, and everything else."""
        fields: _Fields = {}
        extra: dict[str, Json] = {}
        for name, value in raw.items():
            check = checks.get(name)
            if check is None:
                extra[name] = value
                continue
            try:
                fields[name] = check(value)
            except shapes.WrongShapeError as wrong:
                extra[name] = value
                what = f"{where}: “{name}” is {shapes.shown(value)}, not {wrong}."
                self.notice(what, graph=graph, node=node)
        return fields, extra


def _with_extra_wires(node: Node, broken: dict[str, Json]) -> Node:
    return replace(node, extra={**node.extra, "wires": broken})


def _is_id(name: str) -> bool:
    return bool(name) and not set("/.") & set(name)
