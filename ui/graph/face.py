"""What a node shows: its title, sockets and knobs, whatever is known of its type. No Qt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from studio.graph import Node
from studio.reading import Reading
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.types import ANY, Json
from ui.graph.layout import MAX_WIDTH, MIN_WIDTH, WIDTH, Layout, RowKind, node_layout

MOST_SHOWN = 200
"""Characters of a list or table: a pose has thousands, a field shows twenty."""


@dataclass(frozen=True)
class Face:
    """A node as it is drawn.

    Attributes:
        title: On its header.
        doc: Its tooltip.
        inputs: In order.
        outputs: In order.
        knobs: In order.
        missing: For a placeholder: why the node cannot be shown as what it is; else empty.
        subgraph: It is a definition of the document.
        shows: It has room for a picture before there is one.
    """

    title: str
    doc: str = ""
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    knobs: tuple[KnobSpec, ...] = ()
    missing: str = ""
    subgraph: bool = False
    shows: bool = False

    def knob(self, name: str) -> KnobSpec | None:
        """The knob of that name."""
        return next((knob for knob in self.knobs if knob.name == name), None)

    def type_of(self, socket: str, *, output: bool) -> str:
        """Wire type of an input, a knob or an output; ``any`` if it has no such socket."""
        if output:
            return next((item.type for item in self.outputs if item.name == socket), ANY)
        found = next((item.type for item in self.inputs if item.name == socket), None)
        if found is None:
            knob = self.knob(socket)
            found = knob.wire if knob else None
        return found or ANY

    def layout(self, width: float = WIDTH, picture_ratio: float = 0.0) -> Layout:
        """Where its parts lie."""
        return node_layout(
            tuple(item.name for item in self.inputs),
            tuple(item.name for item in self.outputs),
            tuple((knob.name, row_kind(knob)) for knob in self.knobs),
            width,
            picture_ratio,
        )


def row_kind(knob: KnobSpec) -> RowKind:
    """How much room a knob's field takes."""
    return "text" if knob.options.get("multiline") else "line"


def width_of(node: Node) -> float:
    """The width the user gave a node, within limits."""
    width = node.look.get("width")
    if isinstance(width, bool) or not isinstance(width, int | float):
        return WIDTH
    return min(MAX_WIDTH, max(MIN_WIDTH, float(width)))


def face_of(node: Node, reading: Reading, fed: Iterable[str] = (), used: Iterable[str] = ()) -> Face:
    """What `node` shows.

    Args:
        node: A node of the document that is read.
        reading: Document and catalogue.
        fed: Names of its sockets at which wires end; a placeholder shows them as inputs.
        used: Names of its sockets at which wires start.
    """
    if node.is_subgraph:
        face = _subgraph(node, reading)
    else:
        spec = reading.catalogue.specs.get(node.type)
        face = (
            _placeholder(node, spec) if spec is None or spec.version != node.version else _known(node, spec)
        )
    return _with_strays(face, fed, used)


def value_of(node: Node, knob: KnobSpec) -> Json:
    """The knob's value on this node."""
    return node.params.get(knob.name, knob.default)


def text_of(knob: KnobSpec, value: Json) -> str:
    """A knob's value as its field shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value, knob.options.get("step"))
    if isinstance(value, str):
        if knob.kind == "file":
            empty = "default" if knob.options.get("empty") else "choose…"
            return value.replace("\\", "/").rstrip("/").rpartition("/")[2] or empty
        return value if knob.options.get("multiline") else value.replace("\n", " ↵ ")
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False)[:MOST_SHOWN]


def _number(value: float, step: Json) -> str:
    """At least as many decimals as the step has, and no digit of the value lost that a person set."""
    shown = f"{value:.6g}" if abs(value) < 1e15 else f"{value:.4e}"
    if not isinstance(step, int | float) or isinstance(step, bool) or "e" in shown:
        return shown
    decimals = len(f"{step:g}".partition(".")[2])
    return f"{value:.{decimals}f}" if len(shown.partition(".")[2]) <= decimals else shown


def words(name: str) -> str:
    """A socket's or knob's name as a person reads it."""
    return name.replace("_", " ")


def _known(node: Node, spec: NodeSpec) -> Face:
    title = node.title or spec.title or words(spec.type.rpartition("/")[2]).capitalize()
    return Face(title, spec.doc, spec.inputs, spec.outputs, spec.knobs, shows=spec.shows and not spec.sink)


def _placeholder(node: Node, spec: NodeSpec | None) -> Face:
    if spec is None:
        package = node.type.partition("/")[0]
        missing = f"“{node.type}” is not installed here; its values and wires are kept (package “{package}”)."
    elif node.version > spec.version:
        missing = f"Written for version {node.version} of this node; version {spec.version} is installed."
    else:
        missing = f"Waiting for the engine to bring version {node.version} to {spec.version}."
    title = node.title or (spec.title if spec else "") or words(node.type.rpartition("/")[2]).capitalize()
    knobs = tuple(_guessed(name, value) for name, value in node.params.items())
    return Face(title, missing, knobs=knobs, missing=missing)


def _guessed(name: str, value: Json) -> KnobSpec:
    if isinstance(value, str):
        return KnobSpec(name, "text", value, {"multiline": True} if len(value) > 40 else {})
    return KnobSpec(name, "json", value)


def _subgraph(node: Node, reading: Reading) -> Face:
    spec = reading.spec(node)
    if spec is None:
        missing = f"This document has no definition named “{node.type}”."
        return replace(_placeholder(node, None), doc=missing, missing=missing)
    doc = "A graph of its own inside this node."
    return replace(_known(node, spec), doc=doc, subgraph=True)


def _with_strays(face: Face, fed: Iterable[str], used: Iterable[str]) -> Face:
    """Add sockets that wires end at but the type does not have, so that no wire hangs in the air."""
    known = {item.name for item in face.inputs} | {knob.name for knob in face.knobs}
    inputs = tuple(InputSpec(name, ANY) for name in dict.fromkeys(fed) if name not in known)
    given = {item.name for item in face.outputs}
    outputs = tuple(OutputSpec(name, ANY) for name in dict.fromkeys(used) if name not in given)
    if not inputs and not outputs:
        return face
    return replace(face, inputs=face.inputs + inputs, outputs=face.outputs + outputs)
