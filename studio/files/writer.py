"""A document as the object a workflow file holds: keys in fixed order, nodes by id, wires at their consumer.

Whatever the reader could not understand lies in `extra` under its own name. It is written back in place of
the field for as long as that field still has the value the reader gave it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import cache

from studio.document import Content
from studio.files.migrations import FORMAT
from studio.graph import BOUNDARY, ROOT, ExposedKnob, Frame, Graph, Interface, Node, Note, Port, Socket
from studio.types import Json

UNREADABLE = "?/unreadable"
"""Type of a node whose entry in the file is no object; the entry is kept whole in its extra."""
UNTYPED = "?/untyped"
"""Type of a node whose entry names no type."""
RAW = ""
"""Key of `extra` under which the entry of an unreadable node is kept."""
_EMPTY: Json = {"nodes": {}}
_OBJECTS = ("requires", "frames", "notes", "form", "canvas", "models", "extra")


@cache
def writer_name() -> dict[str, Json]:
    """Who writes: the `app` of every file."""
    try:
        version = importlib.metadata.version("latent-studio")
    except importlib.metadata.PackageNotFoundError:  # run from a bare checkout
        version = "0"
    return {"name": "Latent Studio", "version": version}


def to_json(content: Content) -> dict[str, Json]:
    """Return `content` in the form of a workflow file of the current format."""
    graphs: dict[str, Json] = {
        name: graph_to_json(content.graphs[name], name) for name in sorted(content.graphs)
    }
    frames: dict[str, Json] = {name: frame_to_json(content.frames[name]) for name in sorted(content.frames)}
    notes: dict[str, Json] = {name: note_to_json(content.notes[name]) for name in sorted(content.notes)}
    known: dict[str, Json] = {
        "format": FORMAT,
        "app": dict(writer_name()),
        "id": content.id,
        "title": content.title,
        "requires": dict(content.requires),
        "graphs": graphs,
        "frames": frames,
        "notes": notes,
        "form": dict(content.form),
        "canvas": dict(content.canvas),
        "models": dict(content.models),
        "extra": dict(content.extra),
    }
    empty: dict[str, Json] = {name: {} for name in _OBJECTS}
    return _with_kept(known, content.unknown, title="", graphs={ROOT: _EMPTY}, **empty)


def graph_to_json(graph: Graph, name: str) -> dict[str, Json]:
    """Return one graph; `name` tells the root, whose empty interface is left out."""
    wires: dict[str, dict[str, Json]] = {}
    for target, source in graph.wires.items():
        wires.setdefault(target.node, {})[target.name] = source_to_json(source)
    nodes = {key: node_to_json(graph.nodes[key], wires.get(key, {})) for key in sorted(graph.nodes)}
    boundary = wires.get(BOUNDARY, {})
    known: dict[str, Json] = {"title": graph.title} if graph.title else {}
    if name != ROOT or boundary or graph.interface != Interface():
        known["interface"] = _interface_to_json(graph.interface, boundary)
    known["nodes"] = nodes
    return _with_kept(known, graph.extra, nodes={}, interface={"inputs": [], "outputs": [], "knobs": []})


def source_to_json(source: Socket) -> str:
    """``node.output``; ``.name`` for an input of the definition itself."""
    return f"{source.node}.{source.name}"


def node_to_json(node: Node, wires: Mapping[str, Json]) -> Json:
    """Return one node with the wires that end at it, by the name of its input."""
    if node.type == UNREADABLE and RAW in node.extra:
        return node.extra[RAW]
    known: dict[str, Json] = {} if node.type == UNTYPED else {"type": node.type}
    known["version"] = node.version
    if node.title:
        known["title"] = node.title
    if node.mode != "on":
        known["mode"] = node.mode
    known["params"] = dict(node.params)
    if wires:
        known["wires"] = {name: wires[name] for name in sorted(wires)}
    known["pos"] = _numbers(node.pos)
    if node.look:
        known["look"] = dict(node.look)
    return _with_kept(known, node.extra, version=1, params={}, pos=[0, 0])


def frame_to_json(frame: Frame) -> dict[str, Json]:
    """Return one frame."""
    known: dict[str, Json] = {
        "graph": frame.graph,
        "title": frame.title,
        "rect": _numbers(frame.rect),
        "nodes": list(frame.nodes),
        "colour": frame.colour,
        "on": frame.on,
    }
    return _with_kept(
        known, frame.extra, graph=ROOT, title="", rect=[0, 0, 0, 0], nodes=[], colour="", on=True
    )


def note_to_json(note: Note) -> dict[str, Json]:
    """Return one note."""
    known: dict[str, Json] = {
        "graph": note.graph,
        "text": note.text,
        "rect": _numbers(note.rect),
        "colour": note.colour,
    }
    return _with_kept(known, note.extra, graph=ROOT, text="", rect=[0, 0, 0, 0], colour="")


def _interface_to_json(interface: Interface, wires: Mapping[str, Json]) -> dict[str, Json]:
    known: dict[str, Json] = {
        "inputs": [_port_to_json(port) for port in interface.inputs],
        "outputs": [_port_to_json(port) for port in interface.outputs],
        "knobs": [_exposed_to_json(knob) for knob in interface.knobs],
    }
    if wires:
        known["wires"] = {name: wires[name] for name in sorted(wires)}
    return _with_kept(known, interface.extra, inputs=[], outputs=[], knobs=[])


def _port_to_json(port: Port) -> dict[str, Json]:
    known: dict[str, Json] = {"name": port.name, "type": port.type}
    if port.many:
        known["many"] = True
    if port.optional:
        known["optional"] = True
    return _with_kept(known, port.extra)


def _exposed_to_json(knob: ExposedKnob) -> dict[str, Json]:
    return _with_kept({"name": knob.name, "node": knob.node, "knob": knob.knob}, knob.extra)


def _with_kept(known: dict[str, Json], kept: Mapping[str, Json], **fresh: Json) -> dict[str, Json]:
    """Add what the reader kept: unknown keys at the end, unreadable fields while they are still `fresh`.

    Collections of which single entries were unreadable are joined; what can be read wins, save for the
    empty graph that stands in for one that cannot.
    """
    for name in sorted(kept):
        value, ours = kept[name], known.get(name)
        if name not in known or (name in fresh and ours == fresh[name]):
            known[name] = value
        elif isinstance(ours, dict) and isinstance(value, dict):
            joined = {
                **value,
                **{key: item for key, item in ours.items() if item != _EMPTY or key not in value},
            }
            known[name] = {key: joined[key] for key in sorted(joined)}
        elif isinstance(ours, list) and isinstance(value, list) and name in ("inputs", "outputs", "knobs"):
            known[name] = [*ours, *value]
    return known


def _numbers(values: tuple[float, ...]) -> list[Json]:
    """Whole coordinates without a decimal point, as people write them."""
    return [int(value) if value == int(value) and abs(value) < 2**53 else value for value in values]


def source_from_json(text: Json) -> Socket | None:
    """The inverse of `source_to_json`; None for anything else."""
    if not isinstance(text, str) or "." not in text:
        return None
    node, name = text.split(".", 1)
    return Socket(node, name) if name else None
