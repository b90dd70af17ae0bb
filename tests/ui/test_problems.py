"""The list of problems, and what a click in it can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from studio.api import Context, Image, NodeError, node
from studio.document import Content
from studio.errors import FileError
from studio.graph import Graph, Node
from studio.models import download
from studio.registry import Registry
from tests import toys
from tests.ui.conftest import OpenWindow, page_of
from ui.problems import OFFERS, ProblemList, Trouble
from ui.window import Window

T5 = Trouble("The vocabulary of T5 is missing.", "Fetch it.", "t5", failed=True, action="t5_vocabulary")


@node("speechless", category="Toys", shows=True)
def speechless(ctx: Context) -> Image:
    """Fail for want of a vocabulary."""
    raise NodeError("The vocabulary of T5 is missing.", "Fetch it.", action="t5_vocabulary")


def registry() -> Registry:
    made = toys.registry()
    made.add_node("toys", speechless)
    return made


def rows(window: Window) -> list[str]:
    found = window.problems.list
    return [found.item(row).text() for row in range(found.count())]


def click(window: Window, qtbot: QtBot, row: int) -> None:
    found = window.problems.list
    at = found.visualItemRect(found.item(row)).center()
    qtbot.mouseClick(found.viewport(), Qt.MouseButton.LeftButton, pos=at)


@pytest.fixture
def failed(open_window: OpenWindow, qtbot: QtBot) -> Window:
    graph = Graph({"t5": Node("t5", "toys/speechless")}, {})
    window = open_window(Content(id="d", graphs={"": graph}), registry=registry())
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        window.actions_.run.trigger()
    return window


def test_a_failure_offers_the_fetching_that_remedies_it_and_is_gone_after_it(
    failed: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(repository: str, name: str, target: Path, check: Callable[[], None]) -> Path:
        asked.append(f"{repository}/{name}")
        return target

    monkeypatch.setattr(download, "fetch", fetch)
    assert rows(failed)[1] == OFFERS["t5_vocabulary"]
    click(failed, qtbot, 0)
    assert not asked, "nothing is fetched without that click"
    with qtbot.waitSignal(failed.panels.models.vocabulary.ended, timeout=10_000):
        click(failed, qtbot, 1)
    assert asked == ["google/t5-v1_1-xxl/spiece.model"]
    assert "Run again" in failed.bar.sentence.text()
    assert rows(failed) == []
    assert page_of(failed).failures == []


def test_a_fetching_that_fails_says_why_and_is_still_offered(
    failed: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise FileError("There is no way to the hub.", "Copy the file by hand.")

    monkeypatch.setattr(download, "fetch", refuse)
    with qtbot.waitSignal(failed.panels.models.vocabulary.ended, timeout=10_000):
        click(failed, qtbot, 1)
    assert "no way to the hub" in failed.bar.sentence.toolTip()
    assert rows(failed)[1] == OFFERS["t5_vocabulary"]


def test_the_node_that_failed_offers_it_in_the_inspector(
    failed: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "fetch", lambda *_: Path("there"))
    page_of(failed).scene.select(["t5"])
    assert "The vocabulary of T5 is missing. Fetch it." in failed.inspector.status.text()
    assert OFFERS["t5_vocabulary"] in failed.inspector.status.text()
    with qtbot.waitSignal(failed.panels.models.vocabulary.ended, timeout=10_000):
        failed.inspector.status.linkActivated.emit("t5_vocabulary")
    assert OFFERS["t5_vocabulary"] not in failed.inspector.status.text()


def test_going_from_problem_to_problem_passes_over_what_is_offered(qtbot: QtBot) -> None:
    shown = ProblemList()
    qtbot.addWidget(shown)
    shown.show_troubles([T5, Trouble("It broke.", "", "b", failed=True)], [])
    wanted: list[object] = []
    shown.jump_wanted.connect(lambda trouble: wanted.append(trouble.address))
    shown.action_wanted.connect(wanted.append)
    for _ in range(3):
        shown.next()
    assert wanted == ["t5", "b", "t5"]
