from pathlib import Path

import ui
from tests.ui.graph.conftest import Desk

PAGE = Path(ui.__file__).parents[1] / "docs" / "editor.md"


def test_every_key_of_the_graph_is_in_the_manual(desk: Desk) -> None:
    manual = PAGE.read_text(encoding="utf-8")
    for action in desk.view.actions():
        for key in action.shortcuts():
            assert key.toString() in manual, f"{action.text()}: {key.toString()}"


def test_no_key_does_two_things(desk: Desk) -> None:
    keys = [key.toString() for action in desk.view.actions() for key in action.shortcuts()]
    assert len(keys) == len(set(keys)) > 20
