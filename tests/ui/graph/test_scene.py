from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from studio import gestures
from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import (
    Batch,
    MoveNodes,
    PutDefinition,
    PutFrame,
    PutNode,
    PutNote,
    SetInterface,
    SetKnob,
    SetNodeField,
    SetWire,
)
from studio.errors import Problem
from studio.graph import ExposedKnob, Frame, Graph, Interface, Node, Port, Socket
from tests.ui.graph.conftest import CATALOGUE, Desk, node
from ui.graph import hits
from ui.graph.layout import Part
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.undo import Editing


def assert_projects(scene: GraphScene) -> None:
    """The scene shows what a scene made afresh would show."""
    fresh = GraphScene(scene.editing, scene.status, scene.name)
    assert scene.nodes.keys() == fresh.nodes.keys() == scene.graph.nodes.keys()
    assert scene.wires.keys() == fresh.wires.keys() == scene.graph.wires.keys()
    for key, item in scene.nodes.items():
        other = fresh.nodes[key]
        assert item.sight == replace(other.sight, selected=item.sight.selected)
        assert item.pos() == other.pos()
        assert item.far == other.far
    for key, item in scene.wires.items():
        other = fresh.wires[key]
        assert (item.source, item.line, item.colour, item.dim) == (
            other.source,
            other.line,
            other.colour,
            other.dim,
        )
    assert {key: item.frame for key, item in scene.frames.items()} == {
        key: item.frame for key, item in fresh.frames.items()
    }
    assert scene.notes.keys() == fresh.notes.keys()
    assert len(scene.items()) == len(fresh.items()), "an item was left behind"
    assert scene.wiring.sources == fresh.wiring.sources
    fresh.deleteLater()


def test_the_scene_follows_every_kind_of_edit_and_its_undo(desk: Desk) -> None:
    edits = [
        PutNode("", "more", node("more", "mix", 900)),
        SetWire("", Socket("more", "a"), Socket("mix", "image")),
        SetWire("", Socket("mix", "b"), Socket("soften", "image")),
        SetKnob("", "soften", "radius", 50),
        MoveNodes("", {"soften": (10.0, 20.0), "mix": (400.0, 80.0)}),
        SetNodeField("", "soften", "mode", "mute"),
        SetNodeField("", "soften", "look", {"width": 400}),
        SetNodeField("", "mix", "title", "Together"),
        PutFrame("frame", Frame("frame", rect=(0, 0, 10, 10), nodes=("mix",), on=False)),
        PutNote("note", None),
        gestures.remove(desk.editing.content, "", ["source"]),
        PutNode("", "odd", Node("odd", "absent/thing", params={"depth": 3})),
        Batch((SetWire("", Socket("odd", "in"), Socket("mask", "mask")), SetKnob("", "odd", "depth", 4))),
        PutDefinition("sub", Graph({"n": node("n", "number")}, title="Inner")),
        PutNode("", "sub_1", Node("sub_1", "sub")),
        SetInterface("sub", Interface((), (Port("int", "int"),), (ExposedKnob("value", "n", "value"),))),
        SetKnob("sub", "n", "value", 12),
    ]
    for edit in edits:
        desk.editing.apply(edit, type(edit).__name__)
        assert_projects(desk.scene)
    while desk.editing.stack.canUndo():
        desk.editing.stack.undo()
        assert_projects(desk.scene)
    while desk.editing.stack.canRedo():
        desk.editing.stack.redo()
    assert_projects(desk.scene)


def test_an_item_stays_the_same_object_while_its_node_changes(desk: Desk) -> None:
    item = desk.scene.nodes["soften"]
    desk.editing.apply(SetKnob("", "soften", "radius", 9), "x")
    desk.editing.apply(MoveNodes("", {"soften": (1.0, 2.0)}), "x")
    assert desk.scene.nodes["soften"] is item
    assert item.sight.node.params["radius"] == 9


def test_a_placeholder_keeps_its_values_and_shows_sockets_for_its_wires(desk: Desk) -> None:
    desk.editing.apply(PutNode("", "odd", Node("odd", "absent/thing", params={"depth": 3, "on": True})), "x")
    desk.editing.apply(SetWire("", Socket("odd", "picture"), Socket("source", "image")), "x")
    desk.editing.apply(SetWire("", Socket("mix", "b"), Socket("odd", "result")), "x")
    face = desk.scene.nodes["odd"].sight.face
    assert "absent" in face.missing
    assert [item.name for item in face.inputs] == ["picture"]
    assert [item.name for item in face.outputs] == ["result"]
    assert [knob.name for knob in face.knobs] == ["depth", "on"]


def test_a_newer_and_an_older_node_are_placeholders_that_say_why(desk: Desk) -> None:
    desk.editing.apply(PutNode("", "new", replace(node("new", "mix"), version=7)), "x")
    assert "version 7" in desk.scene.nodes["new"].sight.face.missing
    desk.editing.apply(PutNode("", "old", replace(node("old", "mix"), version=0)), "x")
    assert "engine" in desk.scene.nodes["old"].sight.face.missing


def test_a_catalogue_that_comes_late_turns_placeholders_into_nodes(desk: Desk) -> None:
    desk.status.set_catalogue(Catalogue())
    assert desk.scene.nodes["soften"].sight.face.missing
    desk.status.set_catalogue(CATALOGUE)
    assert not desk.scene.nodes["soften"].sight.face.missing
    assert_projects(desk.scene)


def test_a_wire_through_a_reroute_has_the_colour_of_what_it_carries(desk: Desk) -> None:
    desk.editing.apply(PutNode("", "dot", node("dot", "pass", 500, 300)), "x")
    desk.editing.apply(SetWire("", Socket("mix", "mask"), Socket("dot", "value")), "x")
    before = desk.scene.wires[Socket("mix", "mask")].colour
    desk.editing.apply(SetWire("", Socket("dot", "value"), Socket("mask", "mask")), "x")
    after = desk.scene.wires[Socket("mix", "mask")].colour
    assert before != after == CATALOGUE.wires["mask"].colour


def test_status_reaches_the_node_it_names_and_a_picture_makes_room(desk: Desk) -> None:
    item = desk.scene.nodes["soften"]
    height, line = item.sight.layout.height, desk.scene.wires[Socket("soften", "image")].line
    desk.status.set_state("soften", "running")
    desk.status.set_progress("soften", 3, 20, QImage(40, 30, QImage.Format.Format_RGB32))
    assert (item.sight.status.done, item.sight.status.total) == (3, 20)
    assert item.sight.layout.height > height
    desk.status.set_state("soften", "ran", 1.5, "radius 5 → 9")
    assert item.sight.status.total == 0
    assert item.sight.status.picture is not None
    desk.status.clear_run()
    assert item.sight.status.state is None
    assert desk.scene.wires[Socket("soften", "image")].line == line
    desk.status.set_state("elsewhere", "failed")


def test_problems_mark_their_node_and_socket(desk: Desk) -> None:
    desk.status.set_problems([Problem("missing_wire", "“b” needs a wire.", node="mix", socket="b")])
    assert desk.scene.nodes["mix"].sight.blamed == {"b"}
    desk.status.set_problems([])
    assert desk.scene.nodes["mix"].sight.problems == ()


def test_a_definition_is_shown_with_addresses_of_its_own(desk: Desk) -> None:
    inner = Graph({"n": node("n", "number")}, {Socket("", "out"): Socket("n", "int")})
    desk.editing.apply(PutDefinition("sub", inner), "x")
    scene = GraphScene(desk.editing, desk.status, "sub", "sub_1/")
    desk.status.set_state("sub_1/n", "cached")
    assert scene.nodes["n"].sight.status.state == "cached"
    desk.editing.apply(PutDefinition("sub", None), "x")
    assert not scene.nodes
    assert not scene.wires


def test_selection_forgets_what_is_gone(desk: Desk) -> None:
    heard: list[list[str]] = []
    desk.scene.selection_changed.connect(heard.append)
    desk.scene.select(["source", "mix", "nobody"])
    desk.editing.apply(gestures.remove(desk.editing.content, "", ["mix"]), "x")
    assert heard == [["source", "mix"], ["source"]]


def test_sockets_are_found_before_the_body_of_a_node_below(desk: Desk) -> None:
    pos = desk.scene.nodes["soften"].socket_pos("image", output=True)
    hit = hits.part_at(desk.scene, pos)
    assert hit is not None
    assert (hit[0].id, hit[1]) == ("soften", Part("output", "image"))
    assert hits.part_at(desk.scene, QPointF(-500, -500)) is None


def test_wires_are_found_along_their_curve(desk: Desk) -> None:
    line = desk.scene.wires[Socket("soften", "image")].line
    wire = hits.wire_at(desk.scene, line.center())
    assert wire is not None
    assert wire.target == Socket("soften", "image")
    assert hits.wire_at(desk.scene, line.center() + QPointF(0, 60)) is None
    assert hits.nodes_in(desk.scene, QRectF(-10, -10, 20, 20)) == ["source"]


def test_moving_a_node_asks_for_the_repaint_of_its_surroundings_only(
    make_desk: Callable[[Content], Desk],
) -> None:
    places = [(row, column) for row in range(6) for column in range(6)]
    nodes = [node(f"n{row}_{column}", "mix", 300 * column, 200 * row) for row, column in places]
    desk = make_desk(Content(graphs={"": Graph({one.id: one for one in nodes})}))
    regions: list[QRectF] = []
    desk.scene.update()
    desk.scene.changed.connect(regions.extend)
    desk.view.grab()
    regions.clear()
    desk.editing.apply(MoveNodes("", {"n2_2": (620.0, 410.0)}), "x")
    QApplication.processEvents()
    assert regions
    for region in regions:
        assert QRectF(500, 300, 500, 400).contains(region)


def test_colours_and_text_out_of_files_are_taken_as_data(desk: Desk) -> None:
    evil = "<img src='file:///etc/passwd'><b>" + "x" * 5000
    desk.editing.apply(PutFrame("f", Frame("f", title=evil, rect=(0, 0, 50, 50), colour="nonsense")), "x")
    desk.editing.apply(SetNodeField("", "soften", "title", evil), "x")
    desk.editing.apply(SetKnob("", "soften", "radius", {"a": [1, None]}), "x")
    desk.editing.apply(SetKnob("", "soften", "wrap", "maybe"), "x")
    desk.editing.apply(SetNodeField("", "soften", "look", {"width": "wide", "new_each_run": 3}), "x")
    assert not desk.view.grab().isNull()


def test_a_scene_of_an_empty_document_is_empty(desk: Desk) -> None:
    scene = GraphScene(Editing(), GraphStatus())
    assert scene.nodes_box().isNull()


def test_a_node_that_has_grown_is_found_where_it_has_grown(desk: Desk) -> None:
    box = desk.scene.nodes["soften"].box()
    below = QPointF(box.x + box.width / 2, box.y + box.height + 60)
    assert hits.part_at(desk.scene, below) is None
    desk.view.grab()
    desk.status.set_picture("soften", QImage(64, 64, QImage.Format.Format_RGB32))
    hit = hits.part_at(desk.scene, below)
    assert hit is not None
    assert (hit[0].id, hit[1].kind) == ("soften", "picture")
