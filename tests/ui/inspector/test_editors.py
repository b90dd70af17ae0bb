import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from studio.catalogue import Catalogue
from studio.spec import MAX_SEED, KnobSpec
from studio.types import Json
from ui.inspector.arithmetic import evaluate
from ui.inspector.editor import Editor
from ui.inspector.editors import make_editor
from ui.inspector.numbers import NumberEditor
from ui.inspector.paths import PathEditor
from ui.inspector.seed import SeedEditor
from ui.inspector.words import ChoiceEditor, JsonEditor, ParagraphEditor, SwitchEditor

CATALOGUE = Catalogue(choices={"solver": ("euler", "ddim")})


class Heard:
    """What an editor says."""

    def __init__(self, editor: Editor) -> None:
        self.previewed: list[Json] = []
        self.committed: list[Json] = []
        editor.previewed.connect(self.previewed.append)
        editor.committed.connect(self.committed.append)


def opened(qtbot: QtBot, kind: str, value: Json, **options: Json) -> Editor:
    editor = make_editor(KnobSpec("knob", kind, value, options), value, CATALOGUE)
    qtbot.addWidget(editor)
    editor.resize(200, 30)
    editor.show()
    return editor


def drag(field: QLineEdit, by: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    start = field.rect().center()
    QTest.mousePress(field, Qt.MouseButton.LeftButton, keys, start)
    for share in range(1, 6):
        QTest.mouseMove(field, start + QPoint(by * share // 5, 0))
    QTest.mouseRelease(field, Qt.MouseButton.LeftButton, keys, start + QPoint(by, 0))


def test_drag_of_a_number_previews_on_the_way_and_commits_once(qtbot: QtBot) -> None:
    editor = opened(qtbot, "int", 20, min=1, max=150)
    assert isinstance(editor, NumberEditor)
    heard = Heard(editor)
    drag(editor.field, 40)
    assert len(heard.previewed) > 1
    assert heard.committed == [heard.previewed[-1]]
    assert 25 <= int(str(editor.value)) <= 31


def test_drag_stops_at_the_limits(qtbot: QtBot) -> None:
    editor = opened(qtbot, "int", 148, min=1, max=150)
    assert isinstance(editor, NumberEditor)
    drag(editor.field, 90)
    assert editor.value == 150


def test_click_opens_a_number_for_typing_and_return_commits(qtbot: QtBot) -> None:
    editor = opened(qtbot, "float", 7.0, min=0, max=30, step=0.1)
    assert isinstance(editor, NumberEditor)
    heard = Heard(editor)
    QTest.mouseClick(editor.field, Qt.MouseButton.LeftButton)
    QTest.keyClicks(editor.field, "7.31")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert heard.committed == [7.31]
    assert editor.field.text() == "7.31"
    assert isinstance(editor.value, float)


def test_arithmetic_on_the_value_is_understood(qtbot: QtBot) -> None:
    editor = opened(qtbot, "int", 512, min=8, max=4096)
    assert isinstance(editor, NumberEditor)
    heard = Heard(editor)
    QTest.mouseClick(editor.field, Qt.MouseButton.LeftButton)
    QTest.keyClicks(editor.field, "*2")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert heard.committed == [1024]


def test_nonsense_typed_into_a_number_leaves_the_value(qtbot: QtBot) -> None:
    editor = opened(qtbot, "int", 512)
    assert isinstance(editor, NumberEditor)
    heard = Heard(editor)
    QTest.mouseClick(editor.field, Qt.MouseButton.LeftButton)
    QTest.keyClicks(editor.field, "many")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert heard.committed == []
    assert editor.field.text() == "512"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("3", 3),
        ("1,5", 1.5),
        ("-2", -2),
        ("+1", 11),
        ("/4", 2.5),
        ("(2+3)*4", 20),
        ("", None),
        ("1/0", None),
        ("9**9**9", None),
        ("__import__('os')", None),
        ("True", None),
        ("(" * 70, None),
    ],
)
def test_arithmetic(text: str, result: float | None) -> None:
    assert evaluate(text, 10) == result


def test_seed_takes_every_unsigned_64_bit_number_and_no_larger(qtbot: QtBot) -> None:
    editor = opened(qtbot, "seed", 0)
    assert isinstance(editor, SeedEditor)
    heard = Heard(editor)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, str(MAX_SEED))
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert heard.committed == [MAX_SEED]
    editor.field.selectAll()
    QTest.keyClicks(editor.field, "99999999999999999999")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert editor.value == MAX_SEED
    assert editor.field.text() == str(MAX_SEED)


def test_die_draws_another_seed_in_one_step(qtbot: QtBot) -> None:
    editor = opened(qtbot, "seed", 7)
    assert isinstance(editor, SeedEditor)
    heard = Heard(editor)
    editor.die.click()
    assert heard.committed == heard.previewed
    assert len(heard.committed) == 1
    assert editor.field.text() == str(editor.value)


def test_typing_into_a_prompt_commits_when_it_is_left(qtbot: QtBot) -> None:
    editor = opened(qtbot, "text", "a fox", multiline=True)
    assert isinstance(editor, ParagraphEditor)
    heard = Heard(editor)
    editor.activateWindow()
    editor.field.setFocus()
    qtbot.waitUntil(editor.field.hasFocus)
    QTest.keyClick(editor.field, Qt.Key.Key_End, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(editor.field, " in snow")
    assert heard.previewed[-1] == "a fox in snow"
    assert heard.committed == []
    editor.field.clearFocus()
    assert heard.committed == ["a fox in snow"]


def test_value_from_elsewhere_is_shown_and_not_told_back(qtbot: QtBot) -> None:
    editor = opened(qtbot, "text", "a fox", multiline=True)
    assert isinstance(editor, ParagraphEditor)
    heard = Heard(editor)
    editor.set_value("a heart")
    assert editor.field.toPlainText() == "a heart"
    assert heard.previewed == []


def test_choice_lists_what_is_registered(qtbot: QtBot) -> None:
    editor = opened(qtbot, "choice", "euler", extension="solver")
    assert isinstance(editor, ChoiceEditor)
    heard = Heard(editor)
    assert [editor.field.itemText(index) for index in range(editor.field.count())] == ["euler", "ddim"]
    editor.field.activated.emit(1)
    assert heard.committed == ["ddim"]


def test_choice_that_is_not_installed_is_kept_and_marked(qtbot: QtBot) -> None:
    editor = opened(qtbot, "choice", "heun", extension="solver")
    assert isinstance(editor, ChoiceEditor)
    assert editor.field.currentText() == "heun (not installed)"
    assert editor.value == "heun"


def test_switch(qtbot: QtBot) -> None:
    editor = opened(qtbot, "bool", False)
    assert isinstance(editor, SwitchEditor)
    heard = Heard(editor)
    editor.field.click()
    assert heard.committed == [True]


def test_dropped_file_becomes_the_path(qtbot: QtBot) -> None:
    editor = opened(qtbot, "file", "", content="image")
    assert isinstance(editor, PathEditor)
    heard = Heard(editor)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/tmp/picture.png")])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    editor.field.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, none))
    assert heard.committed == ["/tmp/picture.png"]
    assert editor.field.text() == "/tmp/picture.png"


def test_kind_that_nobody_knows_is_edited_as_json(qtbot: QtBot) -> None:
    editor = opened(qtbot, "acme_curve", {"a": 1})
    assert isinstance(editor, JsonEditor)
    heard = Heard(editor)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, '{"a": 2')
    assert editor.field.property("wrong")
    QTest.keyClicks(editor.field, "}")
    assert not editor.field.property("wrong")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert heard.committed == [{"a": 2}]
