import subprocess
import sys

import pytest
from PySide6.QtWidgets import QApplication

from studio.document import Content
from studio.edits import MoveNodes, PutNode, SetKnob, SetNodeField
from studio.errors import EditError
from studio.graph import Graph, Node
from ui.undo import Editing


@pytest.fixture
def editing(qapp: QApplication) -> Editing:
    nodes = {key: Node(key, "toy/thing", params={"size": 1}) for key in ("a", "b")}
    return Editing(Content(graphs={"": Graph(nodes)}))


def texts(editing: Editing) -> list[str]:
    return [editing.stack.text(index) for index in range(editing.stack.count())]


def test_an_edit_is_one_named_entry_that_goes_back_and_forth(editing: Editing) -> None:
    before = editing.content
    editing.apply(SetKnob("", "a", "size", 2), "Change size")
    after = editing.content

    editing.stack.undo()
    assert editing.content == before
    editing.stack.redo()
    assert editing.content == after
    assert texts(editing) == ["Change size"]


def test_a_gesture_merges_and_undoes_to_before_it(editing: Editing) -> None:
    before = editing.content
    for value in range(31):
        editing.apply(SetKnob("", "a", "size", value), "Change size", "drag 1")
    assert texts(editing) == ["Change size"]

    editing.stack.undo()
    assert editing.content == before
    editing.stack.redo()
    assert editing.content.root.nodes["a"].params == {"size": 30}


def test_two_gestures_are_two_entries(editing: Editing) -> None:
    editing.apply(SetKnob("", "a", "size", 2), "Change size", "drag 1")
    editing.apply(SetKnob("", "a", "size", 3), "Change size", "drag 2")
    assert editing.stack.count() == 2


def test_different_edits_of_one_gesture_are_all_undone_and_all_redone(editing: Editing) -> None:
    before = editing.content
    editing.apply(MoveNodes("", {"a": (5, 5)}), "Move", "g")
    editing.apply(SetKnob("", "b", "size", 9), "Move", "g")
    editing.apply(MoveNodes("", {"b": (7, 7)}), "Move", "g")
    after = editing.content
    assert editing.stack.count() == 1

    editing.stack.undo()
    assert editing.content == before
    editing.stack.redo()
    assert editing.content == after


def test_an_edit_that_does_not_fit_raises_and_leaves_no_entry(editing: Editing) -> None:
    before = editing.content
    with pytest.raises(EditError):
        editing.apply(SetNodeField("", "nobody", "title", "x"), "Rename")
    assert editing.content is before
    assert editing.stack.count() == 0


def test_watchers_hear_of_edit_undo_and_redo(editing: Editing) -> None:
    heard: list[object] = []
    editing.changed.connect(lambda edit, before, after: heard.append((type(edit), before is not after)))
    editing.apply(PutNode("", "c", Node("c", "toy/thing")), "Add")
    editing.stack.undo()
    editing.stack.redo()
    assert heard == [(PutNode, True)] * 3


def test_a_gesture_taken_back_cannot_be_redone(editing: Editing) -> None:
    editing.apply(SetKnob("", "a", "size", 2), "Change size")
    middle = editing.content
    editing.apply(SetKnob("", "a", "size", 3), "Drag", "g")
    editing.take_back("g")
    assert editing.content == middle
    assert texts(editing) == ["Change size"]

    editing.take_back("g")
    assert editing.content == middle, "an entry of another gesture stays"


def test_a_document_in_a_cycle_is_collected_without_harm() -> None:
    """In a process of its own: what this guards against ends the interpreter."""
    script = """
import gc
from PySide6.QtWidgets import QApplication
from studio.edits import PutNode, SetKnob
from studio.graph import Node
from ui.undo import Editing

app = QApplication([])
for _ in range(50):
    editing = Editing()
    for name in ("a", "b", "c"):
        editing.apply(PutNode("", name, Node(name, "toy/node")), "Add")
    editing.apply(SetKnob("", "a", "k", 1), "Turn", "gesture")
    editing.apply(SetKnob("", "a", "k", 2), "Turn", "gesture")
    editing.stack.undo()
    editing.cycle = [editing, editing.stack.command(0)]
    del editing
    gc.collect()
print("alive")
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "alive\n", ran.stderr
