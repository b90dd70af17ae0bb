"""A long list of choices, narrowed by typing."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from studio.spec import KnobSpec
from ui.inspector.choices import Narrowing
from ui.inspector.words import ChoiceEditor

NAMES = (*(f"solver_{number}" for number in range(30)), "dpmpp_2m", "dpmpp_2m_sde", "euler", "cfg_euler")


@pytest.fixture
def editor(qtbot: QtBot) -> ChoiceEditor:
    made = ChoiceEditor(KnobSpec("solver", "choice", "dpmpp_2m"), "dpmpp_2m", NAMES)
    qtbot.addWidget(made)
    made.show()
    return made


def opened(editor: ChoiceEditor) -> Narrowing:
    editor.field.showPopup()
    assert editor.field.popup is not None
    return editor.field.popup


def listed(popup: Narrowing) -> list[str]:
    return [popup.list.item(row).text() for row in range(popup.list.count())]


def test_typing_narrows_and_return_takes_the_first(editor: ChoiceEditor, qtbot: QtBot) -> None:
    popup = opened(editor)
    assert popup.list.currentItem().text() == "dpmpp_2m", "the choice as it is"
    qtbot.keyClicks(popup.query, "euler")
    assert listed(popup) == ["euler", "cfg_euler"], "what begins so stands first"
    with qtbot.waitSignal(editor.committed) as told:
        qtbot.keyClick(popup.query, Qt.Key.Key_Return)
    assert told.args == ["euler"]
    assert editor.field.popup is None


def test_words_are_found_in_any_order_and_arrows_go_on(editor: ChoiceEditor, qtbot: QtBot) -> None:
    popup = opened(editor)
    qtbot.keyClicks(popup.query, "2m dpm")
    qtbot.keyClick(popup.query, Qt.Key.Key_Down)
    with qtbot.waitSignal(editor.committed) as told:
        qtbot.keyClick(popup.query, Qt.Key.Key_Return)
    assert told.args == ["dpmpp_2m_sde"]


def test_a_click_takes_a_choice_and_escape_leaves_it(editor: ChoiceEditor, qtbot: QtBot) -> None:
    qtbot.keyClick(opened(editor).query, Qt.Key.Key_Escape)
    assert editor.value == "dpmpp_2m"
    popup = opened(editor)
    popup.list.scrollToTop()
    at = popup.list.visualItemRect(popup.list.item(0)).center()
    qtbot.mouseClick(popup.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert editor.value == "solver_0"


def test_the_list_stays_on_the_screen(editor: ChoiceEditor) -> None:
    screen = editor.screen().availableGeometry()
    editor.move(screen.right() - 60, screen.bottom() - 30)
    popup = opened(editor)
    assert screen.contains(popup.geometry())
    assert popup.height() < 460


def test_a_short_list_is_the_plain_one(qtbot: QtBot) -> None:
    editor = ChoiceEditor(KnobSpec("edge", "choice", "a"), "a", ("a", "b"))
    qtbot.addWidget(editor)
    editor.show()
    editor.field.showPopup()
    assert editor.field.popup is None
    editor.field.hidePopup()


def test_a_list_closed_from_outside_is_forgotten(editor: ChoiceEditor) -> None:
    opened(editor).close()
    assert editor.field.popup is None
    assert opened(editor).isVisible()
    editor.field.hidePopup()
