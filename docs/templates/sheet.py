"""A sheet that a template is drawn on: nodes in columns, notes above them, wires by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio import gestures
from studio.document import Content
from studio.files import pretty
from studio.files.writer import to_json
from studio.graph import ROOT, Frame, Graph, Node, Note, Socket
from studio.paths import assets_dir
from studio.registry import discover
from studio.spec import NodeSpec
from studio.types import Json
from ui.graph.layout import MAX_PICTURE, WIDTH, node_layout

FOLDER = assets_dir() / "templates"
COLUMN = WIDTH + 90
GAP = 34
NOTE_WIDTH = 420
BAR = 44
PAD = 22
_SPECS = {name.partition("/")[2]: function.spec for name, function in discover().nodes.items()}


@dataclass(frozen=True)
class Made:
    """A node on the sheet; its attributes are its outputs."""

    id: str
    spec: NodeSpec

    def __getattr__(self, name: str) -> Socket:
        if name.startswith("_") or self.spec.output(name) is None:
            raise AttributeError(f"{self.spec.type} has no output {name!r}")
        return Socket(self.id, name)

    def of(self, wire: str) -> Socket:
        """Its first output of a type."""
        found = next((output for output in self.spec.outputs if output.type == wire), None)
        if found is None:
            raise ValueError(f"{self.spec.type} gives no {wire}")
        return Socket(self.id, found.name)


@dataclass
class Sheet:
    """Where nodes are put, column by column, each below the one before.

    Attributes:
        path: Of the file, without its ending, below the folder of templates.
        title: Of the document.
    """

    path: str
    title: str
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    wires: dict[Socket, Socket] = field(default_factory=dict[Socket, Socket])
    notes: dict[str, Note] = field(default_factory=dict[str, Note])
    frames: dict[str, Frame] = field(default_factory=dict[str, Frame])
    _x: float = 0.0
    _y: float = 0.0

    def column(self, y: float = 0.0) -> None:
        """Go on in the next column, `y` below the top."""
        if self.nodes:
            self._x += COLUMN
        self._y = y

    def skip(self, y: float) -> None:
        """Leave room below the last node."""
        self._y += y

    def add(self, kind: str, title: str = "", **given: Any) -> Made:
        """Put a node; sockets given are wired, all else are values of knobs."""
        spec = _SPECS[kind]
        name = self._free(gestures.stem(kind))
        params: dict[str, Json] = {knob.name: knob.default for knob in spec.knobs}
        for at, value in given.items():
            if isinstance(value, Made):
                item, knob = spec.input(at), spec.knob(at)
                value = value.of(item.type if item else (knob.wire if knob else None) or "any")
            if isinstance(value, Socket):
                self.wires[Socket(name, at)] = value
            elif at in params:
                params[at] = value
            else:
                raise ValueError(f"{kind} has no knob or input {at!r}")
        self.nodes[name] = Node(name, spec.type, spec.version, params, (self._x, self._y), title)
        self._y += _height(spec) + GAP
        return Made(name, spec)

    def note(self, text: str, height: float = 110) -> None:
        """Write above everything, from the left, one beside the other."""
        x = len(self.notes) * (NOTE_WIDTH + 30.0)
        name = f"note_{len(self.notes) + 1}"
        self.notes[name] = Note(name, ROOT, text, (x, -height - 2 * BAR, NOTE_WIDTH, height))

    def frame(self, title: str, *held: Made) -> None:
        """Draw a frame around nodes."""
        at = [self.nodes[made.id].pos for made in held]
        low = [y + _height(made.spec) for (_, y), made in zip(at, held, strict=True)]
        left, top = min(x for x, _ in at) - PAD, min(y for _, y in at) - BAR
        right, bottom = max(x for x, _ in at) + WIDTH + PAD, max(low) + PAD
        name = f"frame_{len(self.frames) + 1}"
        ids = tuple(made.id for made in held)
        self.frames[name] = Frame(name, ROOT, title, (left, top, right - left, bottom - top), ids)

    def content(self) -> Content:
        """The document."""
        return Content(
            id=f"template_{Path(self.path).name}",
            title=self.title,
            graphs={ROOT: Graph(self.nodes, self.wires)},
            frames=self.frames,
            notes=self.notes,
            requires={"core": "0.1.0"},
        )

    def file(self) -> Path:
        """Where it goes."""
        return FOLDER / f"{self.path}.json"

    def data(self) -> bytes:
        """What goes there."""
        return pretty.dumps(to_json(self.content()))

    def _free(self, stem: str) -> str:
        number, name = 1, stem
        while name in self.nodes:
            number += 1
            name = f"{stem}_{number}"
        return name


Draw = Callable[[Sheet], None]
_DRAWN: list[tuple[str, str, Draw]] = []


def template(path: str, title: str) -> Callable[[Draw], Draw]:
    """Declare a function that draws a template."""

    def declare(draw: Draw) -> Draw:
        _DRAWN.append((path, title, draw))
        return draw

    return declare


def sheets() -> list[Sheet]:
    """All templates that were declared."""
    made: list[Sheet] = []
    for path, title, draw in _DRAWN:
        sheet = Sheet(path, title)
        draw(sheet)
        made.append(sheet)
    return made


def _height(spec: NodeSpec) -> float:
    knobs = tuple((knob.name, "text" if knob.options.get("multiline") else "line") for knob in spec.knobs)
    inputs = tuple(item.name for item in spec.inputs)
    outputs = tuple(item.name for item in spec.outputs)
    room = MAX_PICTURE if spec.shows or any(item.type == "image" for item in spec.outputs) else 0.0
    return node_layout(inputs, outputs, knobs).height + room  # pyright: ignore[reportArgumentType]
