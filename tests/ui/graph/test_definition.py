"""The graph inside a definition, with its own sockets at its sides."""

import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from studio.document import Content
from studio.edits import MoveNodes, SetInterface, SetWire
from studio.graph import BOUNDARY, Graph, Interface, Node, Port, Socket
from tests.ui.graph.conftest import CATALOGUE, Desk, node
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.graph.view import GraphView
from ui.undo import Editing

INSIDE = Interface((Port("picture", "image"), Port("where", "mask")), (Port("result", "image"),))


@pytest.fixture
def inside(qtbot: QtBot) -> Desk:
    nodes = {"soften": node("soften", "soften"), "mix": node("mix", "mix", 320)}
    wires = {
        Socket("soften", "image"): Socket(BOUNDARY, "picture"),
        Socket(BOUNDARY, "result"): Socket("mix", "image"),
    }
    definition = Graph(nodes, wires, INSIDE, "Inner")
    root = Graph({"inner": Node("inner", "inner_graph")})
    editing, status = Editing(Content(graphs={"": root, "inner_graph": definition})), GraphStatus()
    status.set_catalogue(CATALOGUE)
    scene = GraphScene(editing, status, "inner_graph", "inner/")
    view = GraphView(scene)
    qtbot.addWidget(view)
    view.resize(1300, 700)
    view.show()
    view.centerOn(280, 150)
    return Desk(editing, status, scene, view)


def side(desk: Desk, name: str, *, output: bool) -> QPointF:
    item = desk.scene.end(Socket(BOUNDARY, name), output=output)
    assert item is not None
    return item.socket_pos(name, output=output)


def wires(desk: Desk) -> dict[Socket, Socket]:
    return dict(desk.editing.content.graphs["inner_graph"].wires)


def test_its_inputs_stand_at_the_left_and_its_outputs_at_the_right(inside: Desk) -> None:
    line = inside.scene.wires[Socket("soften", "image")].line
    assert line.p1() == side(inside, "picture", output=True)
    assert line.p1().x() < inside.scene.nodes["soften"].box().x
    assert side(inside, "result", output=False).x() > inside.scene.nodes["mix"].box().x
    assert inside.scene.wires[Socket(BOUNDARY, "result")].isVisible()
    assert inside.view.grab()


def test_they_stay_beside_what_is_moved(inside: Desk) -> None:
    inside.editing.apply(MoveNodes("inner_graph", {"soften": (-400.0, 0.0)}), "x")
    assert side(inside, "picture", output=True).x() < -400
    line = inside.scene.wires[Socket("soften", "image")].line
    assert line.p1() == side(inside, "picture", output=True)


def test_an_input_of_the_definition_is_wired_by_hand(inside: Desk) -> None:
    start = inside.at(side(inside, "where", output=True))
    inside.drag(start, inside.socket("mix", "mask"))
    assert wires(inside)[Socket("mix", "mask")] == Socket(BOUNDARY, "where")
    inside.drag(
        inside.socket("soften", "image", output=True), inside.at(side(inside, "result", output=False))
    )
    assert wires(inside)[Socket(BOUNDARY, "result")] == Socket("soften", "image")
    assert inside.history == ["Connect mask of Mix", "Connect result of Outputs"]


def test_a_wire_of_the_wrong_type_is_refused_there_too(inside: Desk) -> None:
    refusals: list[str] = []
    inside.view.refused.connect(refusals.append)
    inside.drag(inside.at(side(inside, "where", output=True)), inside.socket("mix", "b"))
    assert len(refusals) == 1
    assert inside.history == []


def test_the_sides_are_no_nodes(inside: Desk) -> None:
    inside.view.select_all()
    assert set(inside.scene.selected) == {"soften", "mix"}
    item = inside.scene.end(Socket(BOUNDARY, "where"), output=True)
    assert item is not None
    header = inside.at(QPointF(item.pos().x() + 60, item.pos().y() + 12))
    inside.drag(header, header)
    inside.click(header)
    assert inside.history == []
    inside.view.zoom_by(0.2)
    assert inside.view.grab()


def test_a_changed_interface_shows_at_once(inside: Desk) -> None:
    wider = Interface((*INSIDE.inputs, Port("more", "int")), ())
    inside.editing.apply(SetInterface("inner_graph", wider), "x")
    item = inside.scene.end(Socket(BOUNDARY, "more"), output=True)
    assert item is not None
    assert [port.name for port in item.sight.face.outputs] == ["picture", "where", "more"]
    stray = inside.scene.end(Socket(BOUNDARY, "result"), output=False)
    assert stray is not None
    assert [port.name for port in stray.sight.face.inputs] == ["result"], "a wire still ends there"
    inside.editing.apply(SetWire("inner_graph", Socket(BOUNDARY, "result"), None), "x")
    assert not stray.sight.face.inputs
