import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import PutNode, SetKnob, SetWire
from studio.graph import Graph, Node, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from ui.inspector.numbers import NumberEditor
from ui.inspector.panel import Inspector
from ui.inspector.words import ParagraphEditor
from ui.undo import Editing

SAMPLER = NodeSpec(
    "core/sampler",
    title="Sampler",
    doc="Denoise a latent.",
    inputs=(InputSpec("latent", "latent"),),
    knobs=(
        KnobSpec("seed", "seed", 0),
        KnobSpec("steps", "int", 20, {"min": 1, "max": 150}),
        KnobSpec("prompt", "text", "", {"multiline": True}),
    ),
    outputs=(OutputSpec("latent", "latent"),),
)
NUMBER = NodeSpec("core/number", outputs=(OutputSpec("value", "int"),))
CATALOGUE = Catalogue({SAMPLER.type: SAMPLER, NUMBER.type: NUMBER})


@pytest.fixture
def editing(qtbot: QtBot) -> Editing:
    nodes = {
        "sampler": Node("sampler", "core/sampler", params=SAMPLER.defaults),
        "number": Node("number", "core/number"),
        "alien": Node("alien", "acme/warp", params={"power": 3}),
    }
    return Editing(Content(graphs={"": Graph(nodes)}))


def shown(qtbot: QtBot, editing: Editing, node: str = "sampler") -> Inspector:
    panel = Inspector()
    qtbot.addWidget(panel)
    panel.resize(320, 500)
    panel.show_node(editing, "", node, CATALOGUE, {})
    panel.show()
    return panel


def number_field(panel: Inspector) -> NumberEditor:
    editor = panel.rows["steps"].editor
    assert isinstance(editor, NumberEditor)
    return editor


def test_typing_a_number_is_one_named_undo_entry(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    field = number_field(panel).field
    QTest.mouseClick(field, Qt.MouseButton.LeftButton)
    QTest.keyClicks(field, "125")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert editing.content.root.nodes["sampler"].params["steps"] == 125
    assert (editing.stack.count(), editing.stack.undoText()) == (1, "Change steps of Sampler")
    editing.stack.undo()
    assert editing.content.root.nodes["sampler"].params["steps"] == 20
    assert field.text() == "20"


def test_two_gestures_are_two_undo_entries(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    editor = number_field(panel)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up):
        QTest.keyClick(editor.field, key)
    assert editing.content.root.nodes["sampler"].params["steps"] == 22
    assert editing.stack.count() == 2


def test_typing_a_prompt_is_one_undo_entry(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    editor = panel.rows["prompt"].editor
    assert isinstance(editor, ParagraphEditor)
    panel.activateWindow()
    editor.field.setFocus()
    qtbot.waitUntil(editor.field.hasFocus)
    QTest.keyClicks(editor.field, "a red fox")
    editor.field.clearFocus()
    assert editing.content.root.nodes["sampler"].params["prompt"] == "a red fox"
    assert editing.stack.count() == 1


def test_knob_changed_elsewhere_is_shown(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    editing.apply(SetKnob("", "sampler", "steps", 33), "Change steps")
    assert number_field(panel).field.text() == "33"


def test_wired_knob_cannot_be_edited_and_leads_to_its_source(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    editing.apply(SetWire("", Socket("sampler", "steps"), Socket("number", "value")), "Connect")
    row = panel.rows["steps"]
    assert not row.editor.isEnabled()
    with qtbot.waitSignal(panel.jump_wanted) as jump:
        row.wired.click()
    assert jump.args == ["number"]


def test_lock_draws_a_seed_anew_each_run_and_the_drawn_one_can_be_kept(
    qtbot: QtBot, editing: Editing
) -> None:
    panel = shown(qtbot, editing)
    row = panel.rows["seed"]
    row.lock.click()
    assert editing.content.root.nodes["sampler"].look == {"new_each_run": ["seed"]}
    panel.set_drawn({"seed": 4711})
    assert row.drawn_words.text() == "The last run used 4711"
    assert not row.drawn.isHidden()
    row.keep.click()
    kept = editing.content.root.nodes["sampler"]
    assert (kept.params["seed"], kept.look) == (4711, {})
    assert editing.stack.undoText() == "Keep seed 4711"
    editing.stack.undo()
    assert editing.content.root.nodes["sampler"].params["seed"] == 0


def test_node_of_an_absent_package_says_so_and_keeps_its_values(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing, "alien")
    assert panel.rows == {}
    told = "".join(label.text() for label in panel.widget().findChildren(type(panel.status)))
    assert "“acme/warp” is not installed" in told


def test_title_and_mode_are_edits(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    panel.title.setText("Second pass")
    panel.title.editingFinished.emit()
    panel.mode.activated.emit(2)
    node = editing.content.root.nodes["sampler"]
    assert (node.title, node.mode) == ("Second pass", "mute")
    assert [editing.stack.text(index) for index in range(2)] == ["Rename node", "Mute"]


def test_panel_is_empty_once_its_node_is_gone(qtbot: QtBot, editing: Editing) -> None:
    panel = shown(qtbot, editing)
    editing.apply(PutNode("", "sampler", None), "Delete")
    assert panel.rows == {}
    editing.apply(SetKnob("", "alien", "power", 4), "Change power")
