"""The object a workflow file holds, as a document: everything that can be read is, the rest is kept.

What is wrong becomes a `Problem` that names its node. Nothing raises: each value of the wrong shape stays in
the `extra` of what it belongs to, under its own name, and the writer puts it back.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from studio.document import Content
from studio.errors import Problem
from studio.files.writer import RAW, UNREADABLE, UNTYPED, source_from_json
from studio.graph import BOUNDARY, MODES, ROOT, ExposedKnob, Frame, Graph, Interface, Node, Note, Port, Socket
from studio.types import Json

_Fields = dict[str, Any]
_Wires = dict[Socket, Socket]


class _WrongShapeError(Exception):
    """A value that is not what its name promises; says what it should be."""


class Reader:
    """Reads one document, or a part of one, and collects its problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def notice(self, title: str, remedy: str = "", *, graph: str = ROOT, node: str = "") -> None:
        """Add a problem of the file."""
        self.problems.append(Problem("file", title, remedy, graph, node))

    def content(self, data: dict[str, Json]) -> Content:
        """Return the document in `data`, an object of the current format."""
        known = {name: value for name, value in data.items() if name not in ("format", "app")}
        shapes = {"id": _name, "title": _text, "graphs": _object, "frames": _object, "notes": _object}
        shapes |= dict.fromkeys(("requires", "form", "canvas", "models", "extra"), _object)
        fields, unknown = self._fields(known, shapes, "The document")
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
                self.notice(f"“{name}” in “{what}” is {_shown(value)}, not an object; it is left out.")
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
        shapes = {"title": _text, "interface": _object, "nodes": _object}
        fields, extra = self._fields(raw, shapes, where, name)
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
            self.notice(f"Node “{key}” is {_shown(raw)}, not an object.", graph=graph, node=key)
            return Node(key, UNREADABLE, extra={RAW: raw}), {}
        shapes = {"type": _type, "version": _version, "params": _object, "pos": _point, "title": _text}
        shapes |= {"mode": _mode, "look": _object, "wires": _object}
        fields, extra = self._fields(raw, shapes, f"Node “{key}”", graph, key)
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
                why = f"{_shown(written)} is no end of a wire"
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
        shapes = {"inputs": _list, "outputs": _list, "knobs": _list, "wires": _object}
        fields, extra = self._fields(raw, shapes, f"{where}, what it shows", graph)
        wires = cast("dict[str, Json]", fields.pop("wires", {}))
        read: dict[str, Any] = {}
        for what, items in fields.items():
            record = _exposed if what == "knobs" else _port
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
        shapes = {
            "graph": _text,
            "title": _text,
            "rect": _rect,
            "nodes": _names,
            "colour": _text,
            "on": _flag,
        }
        fields, extra = self._fields(raw, shapes, f"Frame “{key}”")
        return Frame(id=key, **fields, extra=extra)

    def note(self, key: str, raw: dict[str, Json]) -> Note:
        """Return one note."""
        shapes = {"graph": _text, "text": _text, "rect": _rect, "colour": _text}
        fields, extra = self._fields(raw, shapes, f"Note “{key}”")
        return Note(id=key, **fields, extra=extra)

    def _fields(
        self,
        raw: dict[str, Json],
        shapes: Mapping[str, Callable[[Json], Any]],
        where: str,
        graph: str = ROOT,
        node: str = "",
    ) -> tuple[_Fields, dict[str, Json]]:
        """Split a record into fields of the right shape, and everything else."""
        fields: _Fields = {}
        extra: dict[str, Json] = {}
        for name, value in raw.items():
            shape = shapes.get(name)
            if shape is None:
                extra[name] = value
                continue
            try:
                fields[name] = shape(value)
            except _WrongShapeError as wrong:
                extra[name] = value
                self.notice(f"{where}: “{name}” is {_shown(value)}, not {wrong}.", graph=graph, node=node)
        return fields, extra


def _with_extra_wires(node: Node, broken: dict[str, Json]) -> Node:
    return replace(node, extra={**node.extra, "wires": broken})


def _is_id(name: str) -> bool:
    return bool(name) and not set("/.") & set(name)


def _port(raw: Json) -> Port | None:
    if not isinstance(raw, dict):
        return None
    name, kind = raw.get("name"), raw.get("type")
    many, optional = raw.get("many", False), raw.get("optional", False)
    if not isinstance(name, str) or not name or not isinstance(kind, str):
        return None
    if not isinstance(many, bool) or not isinstance(optional, bool):
        return None
    known = ("name", "type", "many", "optional")
    extra = {key: value for key, value in raw.items() if key not in known}
    return Port(name, kind, many, optional, extra)


def _exposed(raw: Json) -> ExposedKnob | None:
    if not isinstance(raw, dict):
        return None
    name, node, knob = raw.get("name"), raw.get("node"), raw.get("knob")
    if not isinstance(name, str) or not name or not isinstance(node, str) or not isinstance(knob, str):
        return None
    extra = {key: value for key, value in raw.items() if key not in ("name", "node", "knob")}
    return ExposedKnob(name, node, knob, extra)


def _shown(value: Json) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _WrongShapeError("an object")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise _WrongShapeError("a list")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise _WrongShapeError("text")
    return value


def _name(value: Json) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongShapeError("a name")
    return value


def _type(value: Json) -> str:
    # "?" is no package: it marks what this reader could not read.
    if not isinstance(value, str) or not value or value.startswith("?/"):
        raise _WrongShapeError("the name of a type")
    return value


def _version(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _WrongShapeError("a whole number from 1")
    return value


def _flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise _WrongShapeError("yes or no")
    return value


def _mode(value: Json) -> str:
    if value not in MODES:
        raise _WrongShapeError("on, bypass or mute")
    return value


def _names(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _WrongShapeError("a list of names")
    return tuple(cast("list[str]", value))


def _finite(value: Json, count: int) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise _WrongShapeError(f"{count} numbers")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int | float) or not math.isfinite(item):
            raise _WrongShapeError(f"{count} numbers")
    return tuple(float(item) for item in cast("list[float]", value))


def _point(value: Json) -> tuple[float, ...]:
    return _finite(value, 2)


def _rect(value: Json) -> tuple[float, ...]:
    return _finite(value, 4)
