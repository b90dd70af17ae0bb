from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from studio.catalogue import Catalogue
from studio.files import workflow
from studio.paths import assets_dir
from studio.registry import discover
from ui.graph.layout import HEADER, KNOB, Box, Part, bounds_of, node_layout, share, wire_points
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.undo import Editing

TEMPLATES = assets_dir() / "templates"


def sampler():
    return node_layout(("model", "latent"), ("latent",), (("steps", "line"), ("words", "text")))


def test_the_golden_geometry_of_a_node() -> None:
    layout = sampler()
    assert (layout.width, layout.height) == (236.0, 210.0)
    assert layout.inputs == {"model": (0.0, 49.0), "latent": (0.0, 71.0)}
    assert layout.outputs == {"latent": (236.0, 49.0)}
    assert layout.knobs == {"steps": Box(10.0, 86.5, 216.0, 22.0), "words": Box(10.0, 111.5, 216.0, 89.0)}
    assert layout.knob_sockets == {"steps": (0.0, 97.5), "words": (0.0, 122.5)}
    assert layout.picture is None


def test_a_picture_makes_the_node_taller_and_keeps_its_shape_up_to_a_limit() -> None:
    wide = node_layout(("image",), (), (), picture_ratio=0.5)
    assert wide.picture is not None
    assert wide.picture.height == wide.picture.width * 0.5
    tall = node_layout(("image",), (), (), picture_ratio=9.0)
    assert tall.picture is not None
    assert tall.picture.height == 260.0
    assert tall.height > wide.height


def test_every_point_of_a_node_belongs_to_the_part_drawn_there() -> None:
    layout = sampler()
    assert layout.part_at(120, 10) == Part("header")
    assert layout.part_at(-6, 50) == Part("input", "model")
    assert layout.part_at(240, 45) == Part("output", "latent")
    assert layout.part_at(120, 95) == Part("knob", "steps")
    assert layout.part_at(2, 98) == Part("knob_socket", "steps")
    assert layout.part_at(120, 60) == Part("body")
    assert layout.part_at(232, 206) == Part("grip")
    assert layout.part_at(120, 211) is None


def test_a_wire_at_an_unknown_socket_ends_halfway_down_its_side() -> None:
    layout = sampler()
    assert layout.socket("nothing", output=False) == (0.0, layout.height / 2)
    assert layout.socket("nothing", output=True) == (layout.width, layout.height / 2)
    assert layout.socket("steps", output=False) == layout.knob_sockets["steps"]


def test_an_empty_node_still_has_its_header() -> None:
    assert node_layout((), (), ()).height > HEADER
    assert node_layout((), (), (("a", "line"),)).height - node_layout((), (), ()).height == KNOB


def test_wires_leave_to_the_right_and_arrive_from_the_left() -> None:
    for start, end in (((0, 0), (300, 40)), ((300, 0), (0, 200)), ((0, 0), (0, 0))):
        first, second = wire_points(start, end)
        assert first[0] > start[0]
        assert second[0] < end[0]
        assert (first[1], second[1]) == (start[1], end[1])


def test_bounds_and_shares() -> None:
    assert bounds_of([]) is None
    assert bounds_of([Box(0, 0, 10, 10), Box(-5, 20, 1, 2)]) == Box(-5, 0, 15, 22)
    assert share(5, 0, 10) == 0.5
    assert share(50, 0, 10) == 1.0
    assert share(5, 3, 3) == 0.0


@cache
def _catalogue() -> Catalogue:
    return discover().catalogue()


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.json")), ids=lambda path: path.relative_to(TEMPLATES).as_posix()
)
def test_no_node_of_a_template_lies_on_another(path: Path, qapp: QApplication) -> None:
    content = workflow.load(path).content
    status = GraphStatus()
    status.set_catalogue(_catalogue())
    scene = GraphScene(Editing(content), status)
    boxes = {name: scene.nodes_box([name]).adjusted(2, 2, -2, -2) for name in scene.nodes}
    lying = [pair for pair in combinations(boxes, 2) if boxes[pair[0]].intersects(boxes[pair[1]])]
    scene.close()
    assert not lying
