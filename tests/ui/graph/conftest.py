"""A small graph of made-up nodes, and a view of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import shiboken6
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.catalogue import Catalogue
from studio.document import Content
from studio.graph import Frame, Graph, Node, Note, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.types import CORE_WIRES, WireType
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.graph.view import GraphView
from ui.undo import Editing

CLOUD = WireType("toy/cloud", "#ff8800", "float32 [N]")
SPECS = (
    NodeSpec("toy/source", 1, "Source", "Making", "Makes an image.", (), (), (OutputSpec("image", "image"),)),
    NodeSpec(
        "toy/soften",
        1,
        "Soften",
        "Filtering",
        "Smears an image.",
        (InputSpec("image", "image", doc="What to smear."),),
        (
            KnobSpec("radius", "int", 5, {"min": 0, "max": 100}, "How far."),
            KnobSpec("amount", "float", 0.5, {"min": 0.0, "max": 1.0, "step": 0.01}),
            KnobSpec("wrap", "bool", False),
            KnobSpec("edge", "choice", "mirror", {"choices": ["mirror", "repeat"]}),
            KnobSpec("seed", "seed", 7, {"min": 0, "max": 2**64 - 1}),
            KnobSpec("words", "text", "soft", {"multiline": True}),
            KnobSpec("label", "text", "one"),
        ),
        (OutputSpec("image", "image"),),
        synonyms=("blur", "gaussian"),
    ),
    NodeSpec(
        "toy/mix",
        1,
        "Mix",
        "Filtering",
        "Two images into one.",
        (InputSpec("a", "image"), InputSpec("b", "image"), InputSpec("mask", "mask", optional=True)),
        (),
        (OutputSpec("image", "image"),),
    ),
    NodeSpec("toy/mask", 1, "Mask", "Making", "Makes a mask.", (), (), (OutputSpec("mask", "mask"),)),
    NodeSpec(
        "toy/pass",
        1,
        "Reroute",
        "Wires",
        "",
        (InputSpec("value", "any"),),
        (),
        (OutputSpec("value", "any"),),
        passes=True,
    ),
    NodeSpec(
        "toy/number",
        1,
        "Number",
        "Making",
        "",
        (),
        (KnobSpec("value", "int", 1),),
        (OutputSpec("int", "int"),),
    ),
    NodeSpec("toy/show", 1, "Show", "Looking", "", (InputSpec("image", "image"),), (), (), shows=True),
)
CATALOGUE = Catalogue({spec.type: spec for spec in SPECS}, {wire.name: wire for wire in (*CORE_WIRES, CLOUD)})


def node(key: str, kind: str, x: float = 0, y: float = 0, **params: object) -> Node:
    spec = CATALOGUE.specs.get(f"toy/{kind}")
    return Node(key, f"toy/{kind}", 1, {**(spec.defaults if spec else {}), **params}, (x, y))


def chain() -> Content:
    """source → soften → mix, and a mask that feeds nothing."""
    nodes = [
        node("source", "source"),
        node("soften", "soften", 300),
        node("mix", "mix", 620),
        node("mask", "mask", 300, 420),
    ]
    wires = {
        Socket("soften", "image"): Socket("source", "image"),
        Socket("mix", "a"): Socket("soften", "image"),
    }
    frame = Frame("frame", title="Around", rect=(280, -60, 280, 380), nodes=("soften",))
    note = Note("note", text="Look **here**.", rect=(0, 300, 200, 90))
    return Content(
        graphs={"": Graph({one.id: one for one in nodes}, wires)},
        frames={"frame": frame},
        notes={"note": note},
    )


@dataclass
class Desk:
    """A view with everything behind it, and hands to work it."""

    editing: Editing
    status: GraphStatus
    scene: GraphScene
    view: GraphView

    @property
    def graph(self) -> Graph:
        return self.editing.content.root

    @property
    def history(self) -> list[str]:
        stack = self.editing.stack
        return [stack.text(index) for index in range(stack.index())]

    def socket(self, key: str, name: str, *, output: bool = False) -> QPoint:
        return self.at(self.scene.nodes[key].socket_pos(name, output=output))

    def header(self, key: str) -> QPoint:
        box = self.scene.nodes[key].box()
        return self.at(QPointF(box.x + box.width / 2, box.y + 12))

    def field(self, key: str, knob: str) -> QPoint:
        return self.at(self.scene.nodes[key].field_rect(knob).center())

    def at(self, pos: QPointF) -> QPoint:
        return self.view.mapFromScene(pos)

    def press(self, at: QPoint, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mousePress(self.view.viewport(), Qt.MouseButton.LeftButton, keys, at)

    def release(self, at: QPoint, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mouseRelease(self.view.viewport(), Qt.MouseButton.LeftButton, keys, at)

    def click(self, at: QPoint, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mouseClick(self.view.viewport(), Qt.MouseButton.LeftButton, keys, at)

    def carry(self, start: QPoint, end: QPoint, steps: int = 5) -> None:
        """Press and move, without letting go."""
        self.press(start)
        for step in range(1, steps + 1):
            QTest.mouseMove(self.view.viewport(), start + (end - start) * step / steps)

    def drag(self, start: QPoint, end: QPoint, steps: int = 5) -> None:
        self.carry(start, end, steps)
        self.release(end)

    def key(self, key: Qt.Key, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.view, key, keys)


@pytest.fixture(autouse=True)
def scenes_closed() -> Iterator[None]:
    """Close scenes as the window does, before their last reference goes."""
    yield
    for thing in shiboken6.getAllValidWrappers():
        if isinstance(thing, GraphScene):
            thing.close()


@pytest.fixture
def make_desk(qtbot: QtBot) -> Callable[[Content], Desk]:
    def make(content: Content) -> Desk:
        editing, status = Editing(content), GraphStatus()
        status.set_catalogue(CATALOGUE)
        scene = GraphScene(editing, status)
        view = GraphView(scene)
        view.resize(1200, 800)
        qtbot.addWidget(view)
        view.show()
        view.activateWindow()
        view.setFocus()
        view.centerOn(430, 200)
        return Desk(editing, status, scene, view)

    return make


@pytest.fixture
def desk(make_desk: Callable[[Content], Desk]) -> Desk:
    return make_desk(chain())
