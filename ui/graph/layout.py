"""Where everything on a node lies: pure arithmetic in scene units, the node's top left corner at (0, 0)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

WIDTH = 236.0
MIN_WIDTH = 168.0
MAX_WIDTH = 720.0
HEADER = 32.0
ROW = 22.0
KNOB = 25.0
TEXT_KNOB = 92.0
GAP = 6.0
INSET = 10.0
SOCKET_RADIUS = 5.5
SOCKET_REACH = 11.0
GRIP = 14.0
MAX_PICTURE = 260.0

RowKind = Literal["line", "text"]
PartKind = Literal["header", "input", "output", "knob", "knob_socket", "picture", "grip", "body"]


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """True if the point lies in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + self.height / 2


class Part(NamedTuple):
    """What lies at a point of a node; `name` is that of the socket or knob."""

    kind: PartKind
    name: str = ""


class Layout(NamedTuple):
    """A node's rows and sockets.

    Attributes:
        width: Of the node.
        height: Of the node.
        inputs: Input → where its wire ends.
        outputs: Output → where its wire starts.
        knobs: Knob → its field.
        knob_sockets: Knob → where the wire that drives it ends.
        picture: Where the preview goes, if there is room for one.
    """

    width: float
    height: float
    inputs: dict[str, tuple[float, float]]
    outputs: dict[str, tuple[float, float]]
    knobs: dict[str, Box]
    knob_sockets: dict[str, tuple[float, float]]
    picture: Box | None

    def socket(self, name: str, *, output: bool) -> tuple[float, float]:
        """Where a wire at that socket ends; halfway down the side if there is no such socket."""
        if output:
            return self.outputs.get(name, (self.width, self.height / 2))
        return self.inputs.get(name) or self.knob_sockets.get(name) or (0.0, self.height / 2)

    def part_at(self, x: float, y: float) -> Part | None:
        """What lies at a point; sockets reach a little beyond what is drawn, and out of the node."""
        sockets: tuple[tuple[PartKind, dict[str, tuple[float, float]]], ...] = (
            ("input", self.inputs),
            ("output", self.outputs),
            ("knob_socket", self.knob_sockets),
        )
        for kind, places in sockets:
            for name, (sx, sy) in places.items():
                if abs(x - sx) <= SOCKET_REACH and abs(y - sy) <= SOCKET_REACH:
                    return Part(kind, name)
        if not Box(0, 0, self.width, self.height).holds(x, y):
            return None
        if y < HEADER:
            return Part("header")
        for name, box in self.knobs.items():
            if box.holds(x, y):
                return Part("knob", name)
        if x > self.width - GRIP and y > self.height - GRIP:
            return Part("grip")
        if self.picture is not None and self.picture.holds(x, y):
            return Part("picture")
        return Part("body")


@lru_cache(maxsize=4096)
def node_layout(
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    knobs: tuple[tuple[str, RowKind], ...],
    width: float = WIDTH,
    picture_ratio: float = 0.0,
) -> Layout:
    """Lay a node out: inputs left and outputs right share rows, then one field a knob, then the picture.

    Args:
        inputs: Names, top to bottom.
        outputs: Names, top to bottom.
        knobs: Names with the kind of field.
        width: Of the node.
        picture_ratio: Height of the picture by its width; 0 for none.
    """
    top = HEADER + GAP
    rows = max(len(inputs), len(outputs))
    left = {name: (0.0, top + ROW * (index + 0.5)) for index, name in enumerate(inputs)}
    right = {name: (width, top + ROW * (index + 0.5)) for index, name in enumerate(outputs)}
    y = top + ROW * rows + (GAP / 2 if rows and knobs else 0.0)
    fields: dict[str, Box] = {}
    for name, kind in knobs:
        height = TEXT_KNOB if kind == "text" else KNOB
        fields[name] = Box(INSET, y + 1.5, width - 2 * INSET, height - 3)
        y += height
    picture = None
    if picture_ratio > 0:
        inner = width - 2 * INSET
        picture = Box(INSET, y + GAP, inner, min(inner * picture_ratio, MAX_PICTURE * width / WIDTH))
        y += picture.height + GAP
    sockets = {name: (0.0, box.y + (KNOB - 3) / 2) for name, box in fields.items()}
    return Layout(width, y + GAP + 2, left, right, fields, sockets, picture)


def wire_points(
    start: tuple[float, float], end: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The two control points of the cubic from an output to an input: leaves right, arrives from the left."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    reach = max(abs(dx) * 0.5, min(abs(dy) * 0.35, 120.0), 24.0)
    if dx < 0:
        reach = min(max(reach, 60.0), 220.0)
    return (start[0] + reach, start[1]), (end[0] - reach, end[1])


def bounds_of(boxes: Sequence[Box]) -> Box | None:
    """The smallest box around all of them."""
    if not boxes:
        return None
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right = max(box.x + box.width for box in boxes)
    bottom = max(box.y + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)


def share(value: float, low: float, high: float) -> float:
    """How far `value` lies between `low` and `high`, 0–1."""
    if high <= low:
        return 0.0
    return min(1.0, max(0.0, (value - low) / (high - low)))
