"""Draws a node. Everything is painted; no widget lives in the scene but the one editor in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from PySide6.QtCore import QLineF, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPainterPath

from studio.errors import Problem
from studio.graph import Node
from studio.spec import KnobSpec
from studio.types import WireType
from ui.graph import ink
from ui.graph.face import Face, value_of, words
from ui.graph.fields import paint_field
from ui.graph.layout import GAP, HEADER, INSET, SOCKET_RADIUS, Layout, Part
from ui.graph.rounded import fill_rounded, fill_soft
from ui.graph.status import NOTHING, NodeStatus
from ui.theme import DARK, mixed

RADIUS = 7.0
SHADOW = QColor(0, 0, 0, 110)
HATCH = QBrush(QColor(255, 193, 69, 38), Qt.BrushStyle.BDiagPattern)
TEXT_SCALE = 0.55
"""Below this scale nothing but titles is legible, and nothing else is written."""

PLAIN = WireType("any", DARK.muted, "anything")


@dataclass
class Sight:
    """All that the picture of one node depends on.

    Attributes:
        node: As the document holds it.
        face: What it shows.
        layout: Where.
        wires: Wire types by name, for colours.
        status: What the last run said.
        problems: Why it cannot run as it is.
        fed: Its sockets at which wires end.
        used: Its sockets at which wires start.
        selected: It is among the selected.
        focused: The keyboard is at it.
        hover: The part under the mouse.
        wanted: While a wire is dragged: sockets where it may end.
        edited: The knob whose editor lies over its field.
        framed_off: A frame that is switched off holds it.
        blamed: Its sockets that a problem names.
    """

    node: Node
    face: Face
    layout: Layout
    wires: Mapping[str, WireType]
    status: NodeStatus = NOTHING
    problems: tuple[Problem, ...] = ()
    fed: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    selected: bool = False
    focused: bool = False
    hover: Part | None = None
    wanted: frozenset[Part] | None = None
    edited: str = ""
    framed_off: bool = False
    blamed: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def tint(self) -> str:
        """Colour of the header: the user's, or that of what the node gives, or of what it takes."""
        chosen = self.node.look.get("colour")
        if isinstance(chosen, str) and QColor.isValidColorName(chosen):
            return QColor(chosen).name()
        first = next((item.type for item in (*self.face.outputs, *self.face.inputs)), "")
        return self.wires.get(first, PLAIN).colour

    @property
    def muted(self) -> bool:
        """It takes no part in a run."""
        return self.framed_off or self.node.mode == "mute"

    def colour(self, wire_type: str) -> str:
        """Colour of a wire type."""
        return self.wires.get(wire_type, PLAIN).colour


def paint_node(painter: QPainter, sight: Sight, scale: float) -> None:
    """Draw a node with its corner at the origin; `scale` is how large it appears."""
    if sight.muted:
        painter.setOpacity(0.45)
    elif sight.node.mode == "bypass":
        painter.setOpacity(0.72)
    _body(painter, sight)
    _header(painter, sight)
    _ring(painter, sight)
    legible = scale >= TEXT_SCALE
    for knob in sight.face.knobs:
        paint_field(
            painter,
            knob,
            value_of(sight.node, knob),
            sight.layout.knobs[knob.name],
            wired=knob.name in sight.fed,
            hovered=sight.hover is not None and sight.hover == Part("knob", knob.name),
            drawn_anew=knob.name in _drawn_anew(sight.node),
            edited=knob.name == sight.edited,
            legible=legible,
        )
    if sight.layout.picture is not None:
        _picture(painter, sight, QRectF(*sight.layout.picture))
    if sight.node.mode == "bypass":
        _pass_through(painter, sight)
    _sockets(painter, sight, legible)
    painter.setOpacity(1.0)


def _drawn_anew(node: Node) -> tuple[str, ...]:
    names = node.look.get("new_each_run")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _body(painter: QPainter, sight: Sight) -> None:
    rect = QRectF(0, 0, sight.layout.width, sight.layout.height)
    painter.fillRect(QRectF(RADIUS, rect.bottom(), rect.width() - 2 * RADIUS, 3), SHADOW)
    if sight.face.subgraph:  # a second plate below: there is more inside
        plate = rect.adjusted(5, 12, -5, 5)
        fill_rounded(painter, plate, RADIUS, mixed(sight.tint, DARK.node, 0.45))
        painter.fillRect(QRectF(RADIUS, rect.bottom(), rect.width() - 2 * RADIUS, 1), ink.OUTLINE)
    fill_rounded(painter, rect, RADIUS, ink.NODE)
    if sight.face.missing:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(HATCH)
        painter.drawRoundedRect(rect, RADIUS, RADIUS)


def _header(painter: QPainter, sight: Sight) -> None:
    width = sight.layout.width
    head = QRectF(0, 0, width, HEADER)
    fill_rounded(painter, head, RADIUS, mixed(sight.tint, DARK.node, 0.26), below=False)
    _progress(painter, sight)
    right = width - INSET
    tag = _tag(sight)
    if tag:
        right = _pill(painter, tag[0], tag[1], right)
    if sight.problems:
        right = _warning_sign(painter, right)
    time = _time(sight.status)
    if time:
        text, size = ink.fitted(time, "small", 90)
        painter.setFont(ink.role_font("small"))
        painter.setPen(ink.TEXT)
        right -= size.width()
        painter.drawStaticText(QPointF(right, (HEADER - size.height()) / 2), text)
        right -= 6
    text, size = ink.fitted(sight.face.title, "title", right - INSET - 4)
    painter.setFont(ink.role_font("title"))
    painter.setPen(ink.TEXT)
    painter.drawStaticText(QPointF(INSET + 2, (HEADER - size.height()) / 2 - 0.5), text)
    if sight.muted:
        painter.drawLine(QLineF(INSET + 2, HEADER / 2, INSET + 2 + size.width(), HEADER / 2))


def _progress(painter: QPainter, sight: Sight) -> None:
    """The bar along the header's foot: how the node stands in the run."""
    state = sight.status.state
    width = sight.layout.width
    bar = QRectF(0, HEADER - 3, width, 3)
    if state is None:
        painter.fillRect(bar, mixed(sight.tint, DARK.node, 0.75))
        return
    painter.fillRect(bar, ink.KNOB)
    if state == "running" and sight.status.total:
        bar.setWidth(width * min(1.0, sight.status.done / sight.status.total))
    painter.fillRect(bar, ink.STATES[state])


def _time(status: NodeStatus) -> str:
    if status.state == "running":
        return f"{status.done} / {status.total}" if status.total else "…"
    if status.state == "ran":
        return f"{status.seconds * 1000:.0f} ms" if status.seconds < 1 else f"{status.seconds:.1f} s"
    return status.state if status.state in ("cached", "blocked", "failed", "skipped", "cancelled") else ""


def _tag(sight: Sight) -> tuple[str, QColor] | None:
    if sight.face.missing:
        return "MISSING", ink.WARNING
    if sight.muted:
        return "MUTED", ink.MUTED
    if sight.node.mode == "bypass":
        return "BYPASS", ink.BYPASS
    return None


def _pill(painter: QPainter, word: str, colour: QColor, right: float) -> float:
    text, size = ink.fitted(word, "small", 90)
    rect = QRectF(
        right - size.width() - 12, (HEADER - size.height()) / 2 - 2, size.width() + 12, size.height() + 3
    )
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(rect, rect.height() / 2, rect.height() / 2)
    painter.setFont(ink.role_font("small"))
    painter.setPen(ink.OUTLINE)
    painter.drawStaticText(rect.topLeft() + QPointF(6, 1.5), text)
    return rect.left() - 6


def _warning_sign(painter: QPainter, right: float) -> float:
    left, top = right - 15, (HEADER - 14) / 2 - 0.5
    path = QPainterPath(QPointF(left + 7.5, top))
    path.lineTo(left + 15, top + 13)
    path.lineTo(left, top + 13)
    path.closeSubpath()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink.WARNING)
    painter.drawPath(path)
    painter.setPen(ink.pen(DARK.outline, 1.8))
    painter.drawLine(QLineF(left + 7.5, top + 5, left + 7.5, top + 8))
    painter.drawPoint(QPointF(left + 7.5, top + 10.8))
    return left - 6


def _sockets(painter: QPainter, sight: Sight, legible: bool) -> None:
    layout, face = sight.layout, sight.face
    room = layout.width / (2 if face.outputs and face.inputs else 1) - 2 * INSET
    painter.setFont(ink.role_font("label"))
    for item in face.inputs:
        x, y = layout.inputs[item.name]
        fed = item.name in sight.fed
        _socket(painter, sight, Part("input", item.name), x, y, item.type, fed, item.many)
        if legible:
            text, size = ink.fitted(words(item.name), "label", room)
            painter.setPen(ink.MUTED if item.optional and not fed else ink.TEXT)
            painter.drawStaticText(QPointF(INSET + 2, y - size.height() / 2), text)
    for item in face.outputs:
        x, y = layout.outputs[item.name]
        _socket(
            painter, sight, Part("output", item.name), x, y, item.type, item.name in sight.used, item.many
        )
        if legible:
            text, size = ink.fitted(words(item.name), "label", room)
            painter.setPen(ink.TEXT)
            painter.drawStaticText(QPointF(x - INSET - 2 - size.width(), y - size.height() / 2), text)
    for knob in face.knobs:
        _knob_socket(painter, sight, knob)


def _knob_socket(painter: QPainter, sight: Sight, knob: KnobSpec) -> None:
    """A knob's socket shows once it is wired, or a wire or the mouse comes near."""
    part = Part("knob_socket", knob.name)
    fed = knob.name in sight.fed
    near = sight.hover is not None and sight.hover.name == knob.name
    wanted = sight.wanted is not None and part in sight.wanted
    if knob.wire is not None and (fed or near or wanted):
        x, y = sight.layout.knob_sockets[knob.name]
        _socket(painter, sight, part, x, y, knob.wire, fed, False)


def _socket(
    painter: QPainter, sight: Sight, part: Part, x: float, y: float, wire_type: str, filled: bool, many: bool
) -> None:
    colour = QColor(sight.colour(wire_type))
    radius = SOCKET_RADIUS
    if sight.wanted is not None:
        if part in sight.wanted:
            halo = QColor(colour)
            halo.setAlpha(70)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(halo)
            painter.drawEllipse(QPointF(x, y), radius + 6, radius + 6)
        else:
            colour = mixed(colour.name(), DARK.node, 0.3)
    if sight.hover == part:
        radius += 1.5
    painter.setPen(ink.pen(DARK.outline, 5.0))
    painter.setBrush(colour)
    painter.drawEllipse(QPointF(x, y), radius - 1, radius - 1)
    painter.setPen(ink.pen(DARK.warning if part.name in sight.blamed else colour.name(), 1.8))
    painter.setBrush(colour if filled else ink.KNOB)
    if many:  # a list, taken or given as a whole, has corners
        painter.drawRect(QRectF(x - radius + 1.4, y - radius + 1.4, 2 * radius - 2.8, 2 * radius - 2.8))
    else:
        painter.drawEllipse(QPointF(x, y), radius - 1, radius - 1)


def _picture(painter: QPainter, sight: Sight, place: QRectF) -> None:
    picture = sight.status.picture
    fill_soft(painter, place, ink.KNOB)
    if picture is None or picture.isNull():
        text, size = ink.fitted("Run to see the picture", "label", place.width() - 8)
        painter.setPen(ink.MUTED)
        painter.setFont(ink.role_font("label"))
        painter.drawStaticText(place.center() - QPointF(size.width() / 2, size.height() / 2), text)
        return
    painter.drawImage(_fitting(picture, place), picture)


def _fitting(picture: QImage, place: QRectF) -> QRectF:
    size = QSizeF(picture.size()).scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
    corner = place.center() - QPointF(size.width() / 2, size.height() / 2)
    return QRectF(corner, size)


def _pass_through(painter: QPainter, sight: Sight) -> None:
    """Dashes from each output back to the input that a bypass passes on."""
    for item in sight.face.outputs:
        fitting = [one for one in sight.face.inputs if one.type == item.type]
        given = next((one for one in fitting if one.name == item.name), fitting[0] if fitting else None)
        if given is None:
            continue
        start, end = sight.layout.inputs[given.name], sight.layout.outputs[item.name]
        path = QPainterPath(QPointF(*start))
        middle = sight.layout.width / 2
        path.cubicTo(middle, start[1], middle, end[1], *end)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(ink.pen(DARK.bypass, 1.6, True))
        painter.drawPath(path)


def _ring(painter: QPainter, sight: Sight) -> None:
    """The outline: failure, run, selection, in this order of urgency; focus lies around them."""
    width, colour, dashed = 1.2, DARK.outline, False
    if sight.status.state == "failed":
        width, colour = 2.4, DARK.bad
    elif sight.selected:
        width, colour = 2.2, DARK.text
    elif sight.status.state == "running":
        width, colour = 2.2, DARK.running
    elif sight.face.missing or sight.problems:
        width, colour, dashed = 1.6, DARK.warning, bool(sight.face.missing)
    elif sight.node.mode == "bypass":
        width, colour, dashed = 1.6, DARK.bypass, True
    rect = QRectF(0, 0, sight.layout.width, sight.layout.height)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(ink.pen(colour, width, dashed))
    painter.drawRoundedRect(rect, RADIUS, RADIUS)
    if sight.selected and colour == DARK.bad:
        painter.setPen(ink.pen(DARK.text, 1.4))
        painter.drawRoundedRect(rect.adjusted(2.5, 2.5, -2.5, -2.5), RADIUS - 2, RADIUS - 2)
    if sight.focused:
        painter.setPen(ink.pen(DARK.focus, 1.6))
        painter.drawRoundedRect(rect.adjusted(-4, -4, 4, 4), RADIUS + 3, RADIUS + 3)
    if sight.hover is not None and sight.hover.kind == "grip":
        corner = rect.bottomRight()
        painter.setPen(ink.pen(DARK.muted, 1.5))
        for step in (4.0, 8.0):
            painter.drawLine(corner - QPointF(step + GAP / 2, 3), corner - QPointF(3, step + GAP / 2))
