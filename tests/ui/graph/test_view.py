import gc
from collections.abc import Callable

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from studio.document import Content
from studio.edits import MoveNodes, PutNode, SetNodeField, SetWire
from studio.graph import Graph, Socket
from tests.ui.graph.conftest import Desk, chain, node
from ui.graph.view import GraphView

Key = Qt.Key
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
MakeDesk = Callable[[Content], Desk]


# Wires


def test_a_wire_is_drawn_from_an_output_to_an_input(desk: Desk) -> None:
    desk.drag(desk.socket("mask", "mask", output=True), desk.socket("mix", "mask"))
    assert desk.graph.wires[Socket("mix", "mask")] == Socket("mask", "mask")
    assert desk.history == ["Connect mask of Mix"]


def test_a_wire_is_drawn_backwards_from_an_input_to_an_output(desk: Desk) -> None:
    desk.drag(desk.socket("mix", "b"), desk.socket("source", "image", output=True))
    assert desk.graph.wires[Socket("mix", "b")] == Socket("source", "image")


def test_a_refused_wire_says_why_and_changes_nothing(desk: Desk) -> None:
    refusals: list[str] = []
    desk.view.refused.connect(refusals.append)
    desk.carry(desk.socket("mask", "mask", output=True), desk.socket("mix", "b"))
    assert desk.view.hint.isVisible()
    assert "image" in desk.view.hint.text()
    desk.release(desk.socket("mix", "b"))
    assert refusals == [desk.view.hint.text()]
    assert not desk.view.hint.isVisible()
    assert desk.history == []


def test_a_wire_that_would_close_a_circle_is_refused(desk: Desk) -> None:
    refusals: list[str] = []
    desk.view.refused.connect(refusals.append)
    desk.drag(desk.socket("mix", "image", output=True), desk.socket("soften", "image"))
    assert len(refusals) == 1
    assert desk.history == []


def test_sockets_that_fit_are_pointed_out_while_a_wire_is_drawn(desk: Desk) -> None:
    end = desk.socket("mask", "mask", output=True) + QPoint(40, 10)
    desk.carry(desk.socket("mask", "mask", output=True), end)
    desk.view.grab()
    wanted = {key: item.sight.wanted for key, item in desk.scene.nodes.items()}
    assert {part.name for part in wanted["mix"] or ()} == {"mask"}
    assert wanted["soften"] == frozenset()
    desk.key(Key.Key_Escape)
    desk.view.grab()
    assert desk.scene.nodes["mix"].sight.wanted is None
    desk.release(end)
    assert not desk.view.palette_box.isVisible()


def test_the_end_of_a_wire_is_picked_up_and_put_elsewhere_or_nowhere(desk: Desk) -> None:
    desk.drag(desk.socket("mix", "a"), desk.socket("mix", "b"))
    assert Socket("mix", "a") not in desk.graph.wires
    assert desk.graph.wires[Socket("mix", "b")] == Socket("soften", "image")
    assert len(desk.history) == 1

    desk.drag(desk.socket("mix", "b"), desk.socket("mix", "b") + QPoint(-30, 300))
    assert Socket("mix", "b") not in desk.graph.wires
    assert not desk.view.palette_box.isVisible()
    desk.editing.stack.undo()
    assert Socket("mix", "b") in desk.scene.wires


def test_a_wire_dropped_on_a_body_finds_the_free_input_that_fits(desk: Desk) -> None:
    desk.drag(desk.socket("source", "image", output=True), desk.header("mix"))
    assert desk.graph.wires[Socket("mix", "b")] == Socket("source", "image")


def test_a_wire_drives_a_knob(desk: Desk) -> None:
    desk.editing.apply(PutNode("", "number", node("number", "number", 0, 200)), "x")
    desk.drag(desk.socket("number", "int", output=True), desk.field("soften", "radius"))
    assert desk.graph.wires[Socket("soften", "radius")] == Socket("number", "int")
    desk.click(desk.field("soften", "radius"))
    assert desk.view.live.editor is None, "a driven knob is not edited"


def test_a_wire_dropped_on_nothing_opens_the_palette_of_what_fits_and_connects(desk: Desk) -> None:
    desk.drag(desk.socket("mask", "mask", output=True), desk.at(QPointF(620, 420)))
    palette = desk.view.palette_box
    assert palette.isVisible()
    assert set(palette.types()) == {"toy/mix", "toy/pass"}
    QTest.keyClicks(palette.query, "mix")
    QTest.keyClick(palette.query, Key.Key_Return)
    assert desk.graph.wires[Socket("mix_2", "mask")] == Socket("mask", "mask")
    assert desk.history == ["Add Mix"]
    desk.editing.stack.undo()
    assert "mix_2" not in desk.scene.nodes


def test_a_click_on_a_wired_socket_leaves_the_wire(desk: Desk) -> None:
    desk.click(desk.socket("mix", "a"))
    assert Socket("mix", "a") in desk.graph.wires
    assert desk.history == []


# Moving and selecting


def test_a_drag_of_many_steps_is_one_undo_entry(desk: Desk) -> None:
    before = desk.editing.content
    desk.drag(desk.header("mask"), desk.header("mask") + QPoint(80, 60), steps=12)
    assert desk.graph.nodes["mask"].pos == (380, 480)
    assert desk.history == ["Move Mask"]
    desk.editing.stack.undo()
    assert desk.editing.content == before
    assert desk.scene.nodes["mask"].pos() == QPointF(300, 420)


def test_a_drag_moves_all_that_is_selected_and_escape_takes_it_back(desk: Desk) -> None:
    before = desk.editing.content
    desk.scene.select(["source", "mix"])
    desk.carry(desk.header("source"), desk.header("source") + QPoint(-50, 10))
    assert desk.graph.nodes["mix"].pos == (570, 10)
    desk.key(Key.Key_Escape)
    assert desk.editing.content == before
    assert desk.editing.stack.count() == 0
    desk.release(desk.header("source"))


def test_wires_follow_a_moved_node(desk: Desk) -> None:
    desk.editing.apply(MoveNodes("", {"soften": (350.0, 90.0)}), "x")
    wire = desk.scene.wires[Socket("soften", "image")]
    assert wire.line.p2() == desk.scene.nodes["soften"].socket_pos("image", output=False)


def test_a_free_node_let_go_on_a_wire_is_put_into_it(desk: Desk) -> None:
    desk.editing.apply(PutNode("", "free", node("free", "pass", 0, 250)), "x")
    start = desk.header("free")
    desk.drag(start, desk.at(desk.scene.wires[Socket("mix", "a")].line.center()))
    assert desk.graph.wires[Socket("mix", "a")] == Socket("free", "value")
    assert desk.graph.wires[Socket("free", "value")] == Socket("soften", "image")
    desk.editing.stack.undo()
    assert desk.graph.nodes["free"].pos == (0, 250)
    assert desk.graph.wires[Socket("mix", "a")] == Socket("soften", "image")


def test_clicks_select_shift_adds_and_ctrl_toggles(desk: Desk) -> None:
    desk.click(desk.header("source"))
    assert desk.scene.selected == ["source"]
    desk.click(desk.header("mix"), SHIFT)
    assert desk.scene.selected == ["source", "mix"]
    desk.click(desk.header("source"), CTRL)
    assert desk.scene.selected == ["mix"]
    desk.click(desk.at(QPointF(0, 700)))
    assert desk.scene.selected == []


def test_the_marquee_selects_what_it_touches(desk: Desk) -> None:
    desk.drag(desk.at(QPointF(-40, -80)), desk.at(QPointF(320, 60)))
    assert set(desk.scene.selected) == {"source", "soften"}
    assert desk.history == []


def test_a_frame_takes_its_nodes_along(desk: Desk) -> None:
    start = desk.at(QPointF(350, -45))
    desk.drag(start, start + QPoint(30, 20))
    assert desk.editing.content.frames["frame"].rect[:2] == (310, -40)
    assert desk.graph.nodes["soften"].pos == (330, 20)
    assert desk.history == ["Move frame"]


# Commands


def test_delete_and_undo_restore_node_and_wires(desk: Desk) -> None:
    before = desk.editing.content
    desk.click(desk.header("soften"))
    desk.key(Key.Key_Delete)
    assert "soften" not in desk.graph.nodes
    assert not desk.scene.wires
    assert desk.history == ["Delete Soften"]
    desk.editing.stack.undo()
    assert desk.editing.content == before
    assert set(desk.scene.wires) == set(before.root.wires)


def test_copy_and_paste_between_two_scenes(desk: Desk, make_desk: MakeDesk) -> None:
    desk.scene.select(["source", "soften"])
    desk.key(Key.Key_C, CTRL)
    assert '"fragment"' in QGuiApplication.clipboard().text()
    other = make_desk(Content())
    other.view.paste()
    assert set(other.graph.nodes) == {"source", "soften"}
    assert other.graph.wires == {Socket("soften", "image"): Socket("source", "image")}
    assert set(other.scene.selected) == {"source", "soften"}
    other.view.paste()
    assert len(other.graph.nodes) == 4


def test_pasting_anything_else_is_refused_with_a_sentence(desk: Desk) -> None:
    refusals: list[str] = []
    desk.view.refused.connect(refusals.append)
    QGuiApplication.clipboard().setText("import os; os.remove('x')")
    desk.view.paste()
    assert len(refusals) == 1
    assert desk.history == []


def test_cut_duplicate_bypass_and_mute_by_keys(desk: Desk) -> None:
    desk.click(desk.header("mix"))
    desk.key(Key.Key_D, CTRL)
    assert desk.graph.wires[Socket("mix_2", "a")] == Socket("soften", "image")
    assert desk.scene.selected == ["mix_2"]
    desk.key(Key.Key_B, CTRL)
    assert desk.graph.nodes["mix_2"].mode == "bypass"
    desk.key(Key.Key_M, CTRL)
    assert desk.graph.nodes["mix_2"].mode == "mute"
    desk.key(Key.Key_M, CTRL)
    assert desk.graph.nodes["mix_2"].mode == "on"
    desk.key(Key.Key_X, CTRL)
    assert "mix_2" not in desk.graph.nodes
    assert desk.history == ["Duplicate Mix", "Bypass Mix", "Mute Mix", "Turn on Mix", "Delete Mix"]


def test_actions_of_a_selection_are_off_without_one(desk: Desk) -> None:
    actions = desk.view.graph_actions
    assert not actions.delete.isEnabled()
    desk.key(Key.Key_A, CTRL)
    assert len(desk.scene.selected) == 4
    assert actions.delete.isEnabled()
    requested: list[str] = []
    desk.view.run_to_requested.connect(requested.append)
    desk.scene.select(["mix"])
    actions.run_to.trigger()
    assert requested == ["mix"]


# Palette


def test_the_palette_opens_by_tab_filters_and_adds_at_the_mouse(desk: Desk) -> None:
    at = desk.at(QPointF(100, 500))
    QTest.mouseMove(desk.view.viewport(), at)
    desk.key(Key.Key_Tab)
    palette = desk.view.palette_box
    assert palette.isVisible()
    QTest.keyClicks(palette.query, "gauss")
    assert palette.types() == ["toy/soften"]
    QTest.keyClick(palette.query, Key.Key_Return)
    assert not palette.isVisible()
    assert desk.graph.nodes["soften_2"].pos == (100, 500)
    assert desk.scene.selected == ["soften_2"]
    assert desk.view.hasFocus()


def test_the_palette_opens_by_double_click_and_escape_closes_it(desk: Desk) -> None:
    at = desk.at(QPointF(0, 600))
    QTest.mouseDClick(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert desk.view.palette_box.isVisible()
    QTest.keyClick(desk.view.palette_box.query, Key.Key_Escape)
    assert not desk.view.palette_box.isVisible()
    assert desk.history == []
    desk.key(Key.Key_A, SHIFT)
    assert desk.view.palette_box.isVisible()


# Knobs


def test_a_number_is_turned_by_dragging_its_field_in_one_entry(desk: Desk) -> None:
    desk.drag(desk.field("soften", "radius"), desk.field("soften", "radius") + QPoint(43, 0), steps=8)
    value = desk.graph.nodes["soften"].params["radius"]
    assert isinstance(value, int)
    assert 20 <= value <= 26, "43 of 216 px turn a fifth of its range"
    assert desk.history == ["Change radius of Soften"]


def test_turning_stops_at_the_limits_and_keeps_to_notches(desk: Desk) -> None:
    desk.drag(desk.field("soften", "amount"), desk.field("soften", "amount") + QPoint(400, 0))
    assert desk.graph.nodes["soften"].params["amount"] == 1.0
    desk.drag(desk.field("soften", "amount"), desk.field("soften", "amount") - QPoint(37, 0))
    value = desk.graph.nodes["soften"].params["amount"]
    assert isinstance(value, float)
    assert round(value, 2) == value


def test_a_number_is_typed_after_a_click(desk: Desk) -> None:
    desk.click(desk.field("soften", "radius"))
    editor = desk.view.live.editor
    assert editor is not None
    QTest.keyClicks(QApplication.focusWidget(), "42")
    assert desk.graph.nodes["soften"].params["radius"] == 42
    QTest.keyClick(QApplication.focusWidget(), Key.Key_Return)
    QApplication.processEvents()
    assert desk.view.live.editor is None
    assert desk.history == ["Change radius of Soften"]
    assert desk.view.hasFocus()


def test_escape_takes_back_what_was_typed(desk: Desk) -> None:
    before = desk.editing.content
    desk.click(desk.field("soften", "words"))
    QTest.keyClicks(QApplication.focusWidget(), "very ")
    assert desk.graph.nodes["soften"].params["words"] == "very soft"
    QTest.keyClick(QApplication.focusWidget(), Key.Key_Escape)
    assert desk.editing.content == before
    assert desk.editing.stack.count() == 0
    assert desk.view.live.editor is None


def test_a_switch_turns_at_a_click(desk: Desk) -> None:
    desk.click(desk.field("soften", "wrap"))
    assert desk.graph.nodes["soften"].params["wrap"] is True
    assert desk.history == ["Change wrap of Soften"]


def test_the_die_draws_a_seed_anew_each_run(desk: Desk) -> None:
    field = desk.scene.nodes["soften"].field_rect("seed")
    desk.click(desk.at(QPointF(field.right() - 12, field.center().y())))
    assert desk.graph.nodes["soften"].look["new_each_run"] == ["seed"]
    desk.click(desk.at(QPointF(field.right() - 12, field.center().y())))
    assert desk.graph.nodes["soften"].look["new_each_run"] == []


def test_a_choice_opens_its_list_and_is_one_entry(desk: Desk) -> None:
    desk.click(desk.field("soften", "edge"))
    popup = QApplication.activePopupWidget()
    assert popup is not None
    QTest.keyClick(QApplication.focusWidget(), Key.Key_Down)
    QTest.keyClick(QApplication.focusWidget(), Key.Key_Return)
    QApplication.processEvents()
    assert desk.graph.nodes["soften"].params["edge"] == "repeat"
    assert desk.history == ["Change edge of Soften"]
    assert desk.view.live.editor is None


def test_one_editor_at_a_time_and_none_on_a_node_that_is_gone(desk: Desk) -> None:
    desk.click(desk.field("soften", "label"))
    first = desk.view.live.editor
    desk.click(desk.field("soften", "radius"))
    assert desk.view.live.editor is not first
    desk.scene.select(["soften"])
    desk.view.delete_selection()
    assert desk.view.live.editor is None


def test_undo_while_an_editor_is_open_shows_in_it(desk: Desk) -> None:
    desk.editing.apply(SetNodeField("", "soften", "title", "Fog"), "x")
    desk.click(desk.field("soften", "label"))
    QTest.keyClicks(QApplication.focusWidget(), "!")
    editor = desk.view.live.editor
    desk.editing.stack.undo()
    assert editor is not None
    assert editor.value == "one"


def test_a_node_is_made_wider_at_its_corner(desk: Desk) -> None:
    box = desk.scene.nodes["mask"].box()
    corner = desk.at(QPointF(box.x + box.width - 4, box.y + box.height - 4))
    desk.drag(corner, corner + QPoint(64, 0))
    assert desk.graph.nodes["mask"].look["width"] == 300
    assert desk.scene.nodes["mask"].sight.layout.width == 300
    assert desk.history == ["Resize Mask"]


# Looking and walking


def wheel(desk: Desk, at: QPoint, notches: int) -> None:
    event = QWheelEvent(
        QPointF(at),
        QPointF(desk.view.viewport().mapToGlobal(at)),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(desk.view.viewport(), event)


def test_the_wheel_zooms_at_the_mouse_within_limits(desk: Desk) -> None:
    at = QPoint(200, 300)
    before = desk.view.mapToScene(at)
    wheel(desk, at, 3)
    assert desk.view.zoom > 1.5
    assert (desk.view.mapToScene(at) - before).manhattanLength() < 3
    wheel(desk, at, 200)
    assert desk.view.zoom == pytest.approx(3.0)
    wheel(desk, at, -200)
    assert desk.view.zoom == pytest.approx(0.06)
    assert (desk.view.mapToScene(at) - before).manhattanLength() < 3 / 0.06


def test_the_middle_button_and_space_pan(desk: Desk) -> None:
    viewport, middle, left = desk.view.viewport(), Qt.MouseButton.MiddleButton, Qt.MouseButton.LeftButton
    before = desk.view.mapToScene(QPoint(0, 0))
    QTest.mousePress(viewport, middle, pos=QPoint(300, 300))
    QTest.mouseMove(viewport, QPoint(350, 330))
    QTest.mouseRelease(viewport, middle, pos=QPoint(350, 330))
    assert desk.view.mapToScene(QPoint(0, 0)) == before - QPointF(50, 30)
    QTest.keyPress(desk.view, Key.Key_Space)
    QTest.mousePress(viewport, left, pos=desk.header("source"))
    QTest.mouseMove(viewport, desk.header("source") + QPoint(20, 0))
    QTest.mouseRelease(viewport, left, pos=QPoint(0, 0))
    QTest.keyRelease(desk.view, Key.Key_Space)
    assert desk.history == []
    assert desk.scene.selected == []


def test_frame_all_and_frame_selection_bring_nodes_into_view(desk: Desk) -> None:
    desk.editing.apply(MoveNodes("", {"mask": (9000.0, 7000.0)}), "x")
    desk.key(Key.Key_Home)
    shown = desk.view.mapToScene(desk.view.viewport().rect()).boundingRect()
    assert shown.contains(desk.scene.nodes_box())
    assert desk.view.far
    desk.scene.select(["mask"])
    desk.key(Key.Key_F)
    assert desk.view.zoom == pytest.approx(1.0)
    shown = desk.view.mapToScene(desk.view.viewport().rect()).boundingRect()
    assert shown.contains(desk.scene.nodes_box(["mask"]))
    desk.view.zoom_by(0.5)
    desk.key(Key.Key_0, CTRL)
    assert desk.view.zoom == pytest.approx(1.0)


def test_arrow_keys_walk_along_wires_and_between_neighbours(desk: Desk) -> None:
    desk.click(desk.header("source"))
    desk.key(Key.Key_Right)
    assert desk.scene.focused == "soften"
    desk.key(Key.Key_Right)
    assert desk.scene.focused == "mix"
    desk.key(Key.Key_Left)
    desk.key(Key.Key_Down)
    assert desk.scene.focused == "mask"
    assert desk.scene.selected == ["mask"]
    desk.key(Key.Key_Up)
    desk.key(Key.Key_Return)
    assert desk.view.live.editor is not None, "Enter edits the first knob"


def test_from_afar_all_is_drawn_in_one_layer_and_nodes_still_move(desk: Desk) -> None:
    desk.view.zoom_by(0.2)
    desk.scene.select(["mix"])
    picture = desk.view.grab().toImage()
    body = desk.scene.nodes["soften"].far[0]
    assert picture.pixelColor(desk.at(body.center())).name() != picture.pixelColor(0, 0).name()
    desk.drag(desk.header("mask"), desk.header("mask") + QPoint(20, 10))
    assert desk.history == ["Move Mask"]
    desk.drag(
        desk.socket("source", "image", output=True),
        desk.socket("source", "image", output=True) + QPoint(0, 60),
    )
    assert desk.history == ["Move Mask", "Move Source"], "sockets are too small to wire from afar"


def test_an_empty_graph_says_how_to_begin(make_desk: MakeDesk) -> None:
    desk = make_desk(Content())
    empty = desk.view.grab().toImage()
    desk.editing.apply(PutNode("", "far", node("far", "mask", 90_000, 90_000)), "x")
    assert desk.view.grab().toImage() != empty


def test_double_click_on_a_header_activates_the_node(desk: Desk) -> None:
    activated: list[str] = []
    desk.view.node_activated.connect(activated.append)
    QTest.mouseDClick(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=desk.header("mix"))
    assert activated == ["mix"]


def test_a_view_of_a_thousand_nodes_finds_wires_without_a_scan(make_desk: MakeDesk) -> None:
    nodes = [node(f"n{index}", "pass", 260.0 * (index % 40), 120.0 * (index // 40)) for index in range(1000)]
    wires = {Socket(f"n{i}", "value"): Socket(f"n{i - 1}", "value") for i in range(1, 1000)}
    desk = make_desk(Content(graphs={"": Graph({one.id: one for one in nodes}, wires)}))
    assert desk.scene.wiring.touching("n500") == {Socket("n500", "value"), Socket("n501", "value")}
    desk.editing.apply(SetWire("", Socket("n500", "value"), None), "x")
    assert desk.scene.wiring.touching("n500") == {Socket("n501", "value")}


def test_views_come_and_go_and_leave_nothing(make_desk: MakeDesk) -> None:
    for _ in range(5):
        desk = make_desk(chain())
        desk.click(desk.field("soften", "label"))
        desk.carry(desk.socket("mask", "mask", output=True), desk.header("mix"))
        desk.view.grab()
        desk.scene.setParent(desk.view)
        desk.view.close()
        desk.view.deleteLater()
        del desk
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        gc.collect()
    assert not [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, GraphView)]


def test_the_context_menu_offers_what_can_be_done_there(desk: Desk) -> None:
    for at, wanted in ((desk.header("mix"), "Bypass"), (desk.at(QPointF(0, 700)), "Add node…")):
        event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, desk.view.viewport().mapToGlobal(at))
        QApplication.sendEvent(desk.view.viewport(), event)
        menu = desk.view.findChildren(QMenu)[-1]
        assert wanted in [action.text() for action in menu.actions()]
        menu.close()
    assert desk.scene.selected == ["mix"]


def test_files_dropped_on_the_graph_are_left_to_the_window(desk: Desk) -> None:
    assert not desk.view.acceptDrops()
    assert not desk.view.viewport().acceptDrops()


@pytest.mark.parametrize("what", ["node", "wire", "knob"])
def test_undo_in_the_middle_of_a_drag_ends_the_drag(desk: Desk, what: str) -> None:
    desk.editing.apply(PutNode("", "new", node("new", "soften", 0, 300)), "Add")
    start = {
        "node": desk.header("new"),
        "wire": desk.socket("new", "image", output=True),
        "knob": desk.field("new", "radius"),
    }[what]
    desk.carry(start, start + QPoint(60, 0))
    while desk.editing.stack.canUndo():
        desk.editing.stack.undo()
    before = desk.editing.content
    QTest.mouseMove(desk.view.viewport(), start + QPoint(90, 0))
    desk.release(start + QPoint(90, 0))
    assert desk.editing.content == before
    assert "new" not in desk.scene.nodes
    assert not desk.view.palette_box.isVisible()
    assert len(desk.scene.items()) == len(desk.scene.nodes) + len(desk.scene.wires) + 2


def test_a_double_click_on_a_wire_puts_a_reroute_into_it(desk: Desk) -> None:
    at = desk.at(desk.scene.wires[Socket("mix", "a")].line.center())
    QTest.mouseDClick(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert desk.graph.wires[Socket("mix", "a")] == Socket("pass", "value")
    assert desk.graph.wires[Socket("pass", "value")] == Socket("soften", "image")
    assert desk.history == ["Add Reroute"]


def test_a_frame_is_drawn_around_the_selection_and_taken_away(desk: Desk) -> None:
    desk.scene.select(["source", "soften"])
    desk.key(Key.Key_G, CTRL)
    frame = desk.editing.content.frames["frame_1"]
    assert set(frame.nodes) == {"source", "soften"}
    assert QRectF(*frame.rect).contains(desk.scene.nodes_box(["source", "soften"]))
    desk.scene.select(["source"])
    desk.key(Key.Key_G, CTRL | SHIFT)
    assert "frame_1" not in desk.editing.content.frames
    assert desk.history == ["Add frame", "Remove frame"]


def test_alt_drag_moves_a_copy(desk: Desk) -> None:
    start, alt = desk.header("mix"), Qt.KeyboardModifier.AltModifier
    desk.press(start, alt)
    desk.view.hands.move(start + QPoint(70, 90), alt)
    desk.release(start + QPoint(70, 90), alt)
    assert desk.graph.nodes["mix"].pos == (620, 0)
    assert desk.graph.nodes["mix_2"].pos == (690, 90)
    assert desk.graph.wires[Socket("mix_2", "a")] == Socket("soften", "image")


def test_pasting_with_wires_feeds_the_copies_alike(desk: Desk) -> None:
    desk.scene.select(["mix"])
    desk.view.copy()
    desk.view.paste()
    assert Socket("mix_2", "a") not in desk.graph.wires
    desk.view.paste_wired()
    assert desk.graph.wires[Socket("mix_3", "a")] == Socket("soften", "image")


def test_ctrl_on_a_number_turns_it_coarsely_and_shift_finely(desk: Desk) -> None:
    for keys, low, high in ((SHIFT, 5, 7), (CTRL, 60, 100)):
        start = desk.field("soften", "radius")
        desk.press(start, keys)
        for step in (5, 10, 15, 20):
            desk.view.hands.move(start + QPoint(step, 0), keys)
        desk.release(start + QPoint(20, 0), keys)
        assert low <= int(str(desk.graph.nodes["soften"].params["radius"])) <= high
    desk.click(desk.field("soften", "radius"), CTRL)
    assert desk.scene.selected == []
    assert desk.view.live.editor is None


def test_the_view_goes_along_with_a_drag_to_its_edge(desk: Desk) -> None:
    corner = desk.view.mapToScene(QPoint(0, 0))
    desk.carry(desk.header("mask"), QPoint(desk.view.viewport().width() + 40, 300))
    assert desk.view.mapToScene(QPoint(0, 0)).x() > corner.x()
    desk.release(QPoint(desk.view.viewport().width() + 40, 300))
    assert desk.history == ["Move Mask"]


def test_two_fingers_pan_and_with_ctrl_zoom(desk: Desk) -> None:
    def scroll(keys: Qt.KeyboardModifier) -> None:
        at = QPointF(300, 300)
        event = QWheelEvent(
            at,
            at,
            QPoint(0, -30),
            QPoint(0, -60),
            Qt.MouseButton.NoButton,
            keys,
            Qt.ScrollPhase.ScrollUpdate,
            False,
        )
        QApplication.sendEvent(desk.view.viewport(), event)

    before = desk.view.mapToScene(QPoint(0, 0))
    scroll(Qt.KeyboardModifier.NoModifier)
    assert desk.view.mapToScene(QPoint(0, 0)) == before + QPointF(0, 30)
    assert desk.view.zoom == 1.0
    scroll(CTRL)
    assert desk.view.zoom < 1.0


def test_a_wire_picked_up_and_put_back_is_seen_again(desk: Desk) -> None:
    wire = desk.scene.wires[Socket("mix", "a")]
    start = desk.socket("mix", "a")
    desk.carry(start, start + QPoint(-60, 40))
    assert not wire.isVisible()
    desk.key(Key.Key_Escape)
    assert wire.isVisible()
    desk.release(start)
    desk.carry(start, start + QPoint(-60, 40))
    QTest.mouseMove(desk.view.viewport(), start)
    desk.release(start)
    assert wire.isVisible()
    assert desk.history == []
