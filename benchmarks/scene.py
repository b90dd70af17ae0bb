"""Repaint and drag of the graph view at 100, 1,000 and 5,000 nodes and several zooms, offscreen."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import itertools
import math

from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication

from benchmarks.measure import Row, repeated
from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import MoveNodes
from studio.graph import Graph, Node, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.types import CORE_WIRES
from ui import theme
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.graph.view import GraphView
from ui.undo import Editing

COUNTS = (100, 1000, 5000)
ZOOMS = (1.0, 0.5, 0.2)
SIZE = (1920, 1080)
RUNS = 15
REPAINT_AIM_MS = 33
DRAG_AIM_MS = {100: 16, 1000: 16, 5000: 33}
SPEC = NodeSpec(
    "bench/filter",
    title="Filter",
    category="Benchmark",
    inputs=(InputSpec("image", "image"), InputSpec("mask", "mask", optional=True)),
    knobs=(
        KnobSpec("radius", "float", 0.4, {"min": 0.0, "max": 1.0, "step": 0.01}),
        KnobSpec("steps", "int", 20, {"min": 1, "max": 150}),
        KnobSpec("seed", "seed", 123456789),
        KnobSpec("edge", "choice", "mirror", {"choices": ["mirror", "repeat"]}),
        KnobSpec("wrap", "bool", True),
    ),
    outputs=(OutputSpec("image", "image"),),
)


def run(full: bool) -> list[Row]:
    """One row a size and zoom, for a repaint of the whole view and for one step of a drag."""
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    theme.apply(application)
    rows: list[Row] = []
    for count in COUNTS:
        view = _view(count)
        for zoom in ZOOMS:
            view.zoom_by(zoom / view.zoom)
            rows += _rows(view, count, f"zoom {zoom:g}")
        view.frame_all()
        rows += _rows(view, count, "all in view")
        view.close()
        view.deleteLater()
        application.processEvents()
    return rows


def _view(count: int) -> GraphView:
    """A grid of nodes, each wired to the one before it and to one a row above."""
    columns = math.ceil(math.sqrt(count))
    nodes = {
        f"n{index}": Node(
            f"n{index}",
            SPEC.type,
            1,
            SPEC.defaults,
            (300.0 * (index % columns), 260.0 * (index // columns)),
        )
        for index in range(count)
    }
    wires = {Socket(f"n{i}", "image"): Socket(f"n{i - 1}", "image") for i in range(1, count)}
    for index in range(columns, count):
        wires[Socket(f"n{index}", "mask")] = Socket(f"n{index - columns}", "image")
    status = GraphStatus()
    status.set_catalogue(Catalogue({SPEC.type: SPEC}, {wire.name: wire for wire in CORE_WIRES}))
    scene = GraphScene(Editing(Content(graphs={"": Graph(nodes, wires)})), status)
    view = GraphView(scene)
    scene.setParent(view)
    view.resize(*SIZE)
    view.show()
    view.centerOn(scene.nodes_box().center())
    QApplication.processEvents()  # until the window is exposed, a repaint paints nothing
    return view


def _rows(view: GraphView, count: int, where: str) -> list[Row]:
    viewport = view.viewport()
    middle = view.mapToScene(viewport.rect().center())
    scene = view.graph_scene
    moved = min(scene.nodes, key=lambda key: _distance(scene.nodes[key].box(), middle))
    x, y = scene.nodes[moved].sight.node.pos
    steps = itertools.count()

    def repaint() -> None:
        viewport.repaint()

    def drag() -> None:
        step = next(steps) % 40
        edit = MoveNodes("", {moved: (x + step, y + step)})
        scene.editing.apply(edit, "Move", "drag")
        QApplication.processEvents()

    what = f"{count:,} nodes, {where}"
    painted = repeated(repaint, RUNS).scaled(1000)
    dragged = repeated(drag, RUNS).scaled(1000)
    return [
        Row("scene", f"repaint, {what}", painted, "ms", aim=f"ours <= {REPAINT_AIM_MS}"),
        Row("scene", f"drag step, {what}", dragged, "ms", aim=f"ours <= {DRAG_AIM_MS[count]}"),
    ]


def _distance(box: tuple[float, float, float, float], pos: QPointF) -> float:
    return abs(box[0] - pos.x()) + abs(box[1] - pos.y())
