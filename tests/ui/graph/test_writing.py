from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from studio.graph import Socket
from tests.ui.graph.conftest import Desk
from ui.graph.menus import context_menu

Key = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier


def pick(desk: Desk, pos: QPointF, text: str) -> None:
    menu = context_menu(desk.view, pos)
    next(action for action in menu.actions() if action.text() == text).trigger()
    menu.deleteLater()


def write(desk: Desk, text: str, end: Key = Key.Key_Return, keys: Qt.KeyboardModifier | None = None) -> None:
    sheet = desk.view.writing.sheet
    assert sheet is not None
    QTest.keyClicks(sheet, text)
    QTest.keyClick(sheet, end, keys or Qt.KeyboardModifier.NoModifier)
    assert desk.view.writing.sheet is None


def test_a_node_is_renamed_by_key_and_keeps_its_title_on_escape(desk: Desk) -> None:
    desk.click(desk.header("soften"))
    desk.key(Key.Key_F2)
    write(desk, "Fog")
    assert desk.scene.nodes["soften"].sight.face.title == "Fog"
    desk.key(Key.Key_F2)
    write(desk, "Rain", Key.Key_Escape)
    assert desk.graph.nodes["soften"].title == "Fog"
    desk.key(Key.Key_F2)
    write(desk, "")
    assert desk.history == ["Rename to Fog"], "text left as it was is no change"


def test_a_frame_is_renamed_by_double_click(desk: Desk) -> None:
    QTest.mouseDClick(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=desk.at(QPointF(400, -45)))
    write(desk, "Filters")
    assert desk.editing.content.frames["frame"].title == "Filters"


def test_a_note_is_written_in_place(desk: Desk) -> None:
    QTest.mouseDClick(desk.view.viewport(), Qt.MouseButton.LeftButton, pos=desk.at(QPointF(100, 350)))
    write(desk, "More. ", Key.Key_Return, CTRL)
    assert desk.editing.content.notes["note"].text == "More. Look **here**."


def test_a_note_is_added_from_the_menu_and_deleted(desk: Desk) -> None:
    pick(desk, QPointF(-150, 600), "Add note")
    write(desk, "mind the gap", Key.Key_Return, CTRL)
    note = desk.editing.content.notes["note_1"]
    assert (note.text, note.rect[:2]) == ("mind the gap", (-150, 600))
    pick(desk, QPointF(-100, 650), "Delete note")
    assert "note_1" not in desk.scene.notes


def test_a_frame_turned_off_mutes_its_nodes(desk: Desk) -> None:
    pick(desk, QPointF(400, -45), "Turn off the nodes in it")
    assert desk.scene.nodes["soften"].sight.muted
    assert desk.scene.wires[Socket("mix", "a")].dim
    pick(desk, QPointF(400, -45), "Turn on the nodes in it")
    assert not desk.scene.nodes["soften"].sight.muted
    pick(desk, QPointF(400, -45), "Remove frame")
    assert not desk.scene.frames
    assert "soften" in desk.graph.nodes


def test_a_wire_is_taken_away_from_its_menu(desk: Desk) -> None:
    pick(desk, desk.scene.wires[Socket("mix", "a")].line.center(), "Disconnect a")
    assert Socket("mix", "a") not in desk.graph.wires
    assert desk.history == ["Disconnect a"]


def test_the_menu_of_a_node_selects_it(desk: Desk) -> None:
    menu = context_menu(desk.view, desk.scene.nodes["mix"].sceneBoundingRect().center())
    assert isinstance(menu, QMenu)
    assert desk.scene.selected == ["mix"]
    menu.deleteLater()
