import pytest
from pytestqt.qtbot import QtBot

from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import PutDefinition, PutNode
from studio.graph import Graph, Node
from studio.spec import NodeSpec
from ui.graph.status import GraphStatus
from ui.levels import Levels
from ui.undo import Editing

PLAIN = NodeSpec("core/plain")


@pytest.fixture
def levels(qtbot: QtBot) -> Levels:
    inner = Graph({"leaf": Node("leaf", "core/plain")})
    outer = Graph({"deep": Node("deep", "inner")}, title="Outer things")
    root = Graph({"use": Node("use", "outer"), "plain": Node("plain", "core/plain")})
    editing = Editing(Content(graphs={"": root, "outer": outer, "inner": inner}))
    status = GraphStatus()
    status.set_catalogue(Catalogue({PLAIN.type: PLAIN}))
    made = Levels(editing, status)
    editing.setParent(made)
    status.setParent(made)
    qtbot.addWidget(made)
    made.resize(500, 400)
    made.show()
    return made


def where(levels: Levels) -> tuple[str, str]:
    return levels.scene.name, levels.scene.prefix


def test_stepping_into_a_definition_and_out(levels: Levels) -> None:
    levels.enter("use")
    assert where(levels) == ("outer", "use/")
    levels.enter("use/deep")
    assert where(levels) == ("inner", "use/deep/")
    levels.leave()
    assert where(levels) == ("outer", "use/")
    levels.leave_to(0)
    assert where(levels) == ("", "")


def test_plain_node_cannot_be_stepped_into(levels: Levels) -> None:
    levels.enter("plain")
    assert where(levels) == ("", "")


def test_jump_leads_to_a_node_by_address_and_by_definition(levels: Levels) -> None:
    levels.jump("", "use/deep/leaf")
    assert where(levels) == ("inner", "use/deep/")
    assert levels.scene.selected == ["leaf"]
    levels.jump("", "plain")
    assert where(levels) == ("", "")
    levels.jump("inner", "leaf")
    assert where(levels) == ("inner", "use/deep/")
    assert levels.scene.selected == ["leaf"]


def test_definition_that_goes_takes_its_level_along(levels: Levels) -> None:
    levels.jump("inner", "leaf")
    levels._editing.apply(PutNode("outer", "deep", None), "Delete")
    levels._editing.apply(PutDefinition("inner", None), "Delete definition")
    assert where(levels) == ("outer", "use/")
