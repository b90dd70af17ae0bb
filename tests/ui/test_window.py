from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from studio.edits import MoveNodes, SetKnob, SetNodeField
from studio.files import png, workflow
from studio.gestures import remove
from studio.worker.protocol import EngineState
from tests.studio.models.test_catalogue import lora
from tests.ui.conftest import OpenWindow, close, content, page_of
from ui.inspector.numbers import NumberEditor
from ui.problems import Trouble
from ui.window import Window


def run(window: Window, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        window.actions_.run.trigger()


def test_run_shows_states_times_and_the_picture(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(content("constant", "slow", "write"))
    window.runs.output_dir = tmp_path
    page = page_of(window)
    with qtbot.waitSignal(window.follower.previewed, timeout=20_000):
        window.actions_.run.trigger()
    assert window.picture.previewing
    assert not window.picture.save_button.isEnabled()
    qtbot.waitUntil(lambda: not window.runs.sent, timeout=20_000)
    assert page.status.node("slow").state == "ran"
    assert page.status.node("slow").seconds > 0
    qtbot.waitUntil(lambda: not window.picture.full.isNull(), timeout=10_000)
    assert (window.picture.full.width(), window.picture.full.height()) == (6, 4)
    assert [shot.path for shot in window.strip.shots()] == [tmp_path / "toy.bin"]
    assert "is done" in window.bar.sentence.text()
    assert not window.picture.previewing


def test_second_run_finds_everything_stored_and_adds_no_second_thumbnail(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(content("constant", "slow", "write"))
    window.runs.output_dir = tmp_path
    run(window, qtbot)
    run(window, qtbot)
    assert page_of(window).status.node("slow").state == "cached"
    assert window.strip.count() == 1


def test_node_shows_its_stored_picture_again_when_a_value_goes_back(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(content("constant", "slow", "write"))
    window.runs.output_dir = tmp_path
    page = page_of(window)

    def shown() -> QImage:
        qtbot.waitUntil(lambda: not any(shot.thumb.isNull() for shot in window.strip.shots()), timeout=10_000)
        picture = page.status.node("slow").picture
        assert picture is not None
        return picture

    run(window, qtbot)
    first = shown()
    page.editing.apply(SetKnob("", "constant", "value", 90), "Change value")
    run(window, qtbot)
    assert shown() != first
    page.editing.stack.undo()
    run(window, qtbot)
    qtbot.waitUntil(lambda: page.status.node("slow").picture == first, timeout=5_000)
    assert page.status.node("write").picture is None


def test_node_of_several_pictures_shows_its_first(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "part", constant_value=90))
    page = page_of(window)
    run(window, qtbot)
    qtbot.waitUntil(lambda: page.status.node("part").picture is not None, timeout=10_000)
    qtbot.wait(100)
    picture = page.status.node("part").picture
    assert picture is not None
    assert picture.pixelColor(0, 0).red() == 90
    assert [shot.output for shot in window.strip.shots()] == ["image"]


def test_picture_that_others_are_made_of_is_no_result(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("found", "lighter"))
    page = page_of(window)
    run(window, qtbot)
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        window.actions_.live.trigger()
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        page.editing.apply(SetKnob("", "lighter", "by", 0.25), "Change by")
    assert [shot.node for shot in window.strip.shots()] == ["lighter", "lighter"]
    qtbot.waitUntil(lambda: page.status.node("found").picture is not None, timeout=10_000)
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        page.levels.run_to_requested.emit("found")
    assert window.strip.shots()[0].node == "found"


def test_failure_is_no_longer_listed_when_the_node_is_gone(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "refuse"))
    run(window, qtbot)
    assert len(window.problems.troubles) == 1
    page_of(window).editing.apply(remove(page_of(window).content, "", ["refuse"]), "Delete")
    qtbot.waitUntil(lambda: window.problems.troubles == (), timeout=5_000)
    page_of(window).editing.stack.undo()
    qtbot.waitUntil(lambda: len(window.problems.troubles) == 1, timeout=5_000)


def test_problem_that_stopped_a_run_is_listed_once(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", constant_value=500))
    qtbot.waitUntil(lambda: len(window.problems.troubles) == 1, timeout=5_000)
    run(window, qtbot)
    assert [trouble.failed for trouble in window.problems.troubles] == [True]


def test_cancel_ends_the_run_and_says_so(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "slow", slow_steps=10_000, slow_step_s=0.01))
    with qtbot.waitSignal(window.follower.previewed, timeout=20_000):
        window.actions_.run.trigger()
    assert window.actions_.cancel.isEnabled()
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        window.actions_.cancel.trigger()
    assert page_of(window).status.node("slow").state == "cancelled"
    assert "cancelled" in window.bar.sentence.text()
    assert not window.actions_.cancel.isEnabled()


def test_failure_is_listed_and_a_click_leads_to_the_node(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "refuse"))
    run(window, qtbot)
    page = page_of(window)
    assert page.status.node("refuse").state == "failed"
    expected = Trouble("1 is not to my taste.", "Try another number.", "refuse", "", "number", failed=True)
    assert window.problems.troubles == (expected,)
    assert page.scene.selected == []
    window.problems.list.itemClicked.emit(window.problems.list.item(0))
    assert page.scene.selected == ["refuse"]
    assert window.bar.problems.text() == "1 problem"


def test_problem_is_listed_before_any_run_and_goes_when_it_is_mended(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = open_window(content("constant", constant_value=500))
    qtbot.waitUntil(lambda: len(window.problems.troubles) == 1, timeout=5_000)
    assert [(item.address, item.socket) for item in window.problems.troubles] == [("constant", "value")]
    page_of(window).editing.apply(SetKnob("", "constant", "value", 5), "Change value")
    qtbot.waitUntil(lambda: window.problems.troubles == (), timeout=5_000)
    assert window.bar.problems.text() == "No problems"


def test_run_to_here_runs_no_more_than_that(open_window: OpenWindow, qtbot: QtBot, tmp_path: Path) -> None:
    window = open_window(content("constant", "slow", "write"))
    window.runs.output_dir = tmp_path
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        page_of(window).levels.run_to_requested.emit("slow")
    assert page_of(window).status.node("slow").state == "ran"
    assert not (tmp_path / "toy.bin").exists()


def test_change_runs_again_without_writing_files(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(content("constant", "slow", "write"))
    window.runs.output_dir = tmp_path
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        window.actions_.live.trigger()
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        page_of(window).editing.apply(SetKnob("", "constant", "value", 9), "Change value")
    assert page_of(window).status.node("slow").state == "ran"
    assert not (tmp_path / "toy.bin").exists()
    page_of(window).editing.apply(MoveNodes("", {"slow": (5.0, 5.0)}), "Move")
    qtbot.wait(300)
    assert not window.runs.sent
    assert not window.runs.waiting


def test_death_of_the_engine_is_told_with_a_way_back(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant"))
    window.engine._arrived.emit(EngineState("stopped", "The engine stopped unexpectedly. It stays down."))
    qtbot.waitUntil(lambda: window.engine.state.state == "stopped", timeout=5_000)
    assert window.bar.sentence.text() == "The engine stopped unexpectedly. It stays down."
    assert window.bar.remedy.text() == "Restart engine"
    window.bar.remedy.click()
    qtbot.waitUntil(lambda: window.engine.state.state == "ready", timeout=10_000)
    assert window.bar.remedy.isHidden()


def test_new_seeds_are_drawn_for_each_run_and_can_be_kept(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "show"))
    page = page_of(window)
    page.editing.apply(SetNodeField("", "constant", "look", {"new_each_run": ["value"]}), "Draw anew")
    # A drawn number is far over the toy's limit of 100, which only the engine's own check would tell.
    run(window, qtbot)
    draws = [run.draws for run in window.queue._over]
    assert set(draws[0]) == {"constant"}
    assert page.content.root.nodes["constant"].params["value"] == 1


def test_several_runs_are_queued_and_can_all_be_cancelled(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "slow", slow_steps=10_000))
    window.count.setValue(3)
    window.actions_.run.trigger()
    assert (len(window.runs.sent), len(window.runs.waiting)) == (1, 2)
    assert window.queue.words.text() == "2 waiting"
    window.queue.cancel_all_button.click()
    qtbot.waitUntil(lambda: not window.runs.sent, timeout=20_000)
    assert window.runs.waiting == []


def test_saved_file_opens_again_with_the_same_graph(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(content("constant", "show"))
    page = page_of(window)
    page.editing.apply(SetKnob("", "constant", "value", 42), "Change value")
    assert page.unsaved
    page.path = tmp_path / "mine.json"
    window.actions_.save.trigger()
    assert not page.unsaved
    assert window.documents.recent == [tmp_path / "mine.json"]
    window.documents.close_page(page)
    again = window.documents.open(tmp_path / "mine.json")
    assert again is not None
    assert again.content.root.nodes["constant"].params["value"] == 42
    assert window.documents.open(tmp_path / "mine.json") is again


def test_picture_of_ours_dropped_on_the_window_opens_its_graph(
    open_window: OpenWindow, tmp_path: Path
) -> None:
    window = open_window()
    before = window.documents.count()
    made = workflow.to_json(content("constant", "show", constant_value=77))
    png.save(tmp_path / "shot.png", np.zeros((4, 4, 3), np.uint8), made)
    drop(window, tmp_path / "shot.png")
    assert window.documents.count() == before + 1
    page = page_of(window)
    assert page.content.root.nodes["constant"].params["value"] == 77
    assert page.path is None


def test_foreign_picture_dropped_on_the_window_is_refused_with_a_sentence(
    open_window: OpenWindow, tmp_path: Path
) -> None:
    window = open_window()
    before = window.documents.count()
    png.save(tmp_path / "shot.png", np.zeros((4, 4, 3), np.uint8))
    drop(window, tmp_path / "shot.png")
    assert window.documents.count() == before
    assert "carries no workflow" in window.bar.sentence.text()


def drop(window: Window, file: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)


def test_next_start_brings_back_documents_saved_and_unsaved(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window()
    for page in window.documents.pages():
        window.documents._remove(page)
    workflow.save(content("constant"), tmp_path / "kept.json")
    window.documents.open(tmp_path / "kept.json")
    page = window.documents.add(content("constant", "show"))
    page.editing.apply(SetKnob("", "constant", "value", 13), "Change value")
    changed = window.documents.open(tmp_path / "kept.json")
    assert changed is not None
    changed.editing.apply(SetKnob("", "constant", "value", 14), "Change value")
    window.setWindowTitle("first")
    close(window)

    again = open_window()
    pages = again.documents.pages()
    assert [page.path for page in pages] == [tmp_path / "kept.json", None]
    assert [page.content.root.nodes["constant"].params["value"] for page in pages] == [14, 13]
    assert [page.unsaved for page in pages] == [True, True]
    assert again.documents.currentIndex() == 0
    assert workflow.load(tmp_path / "kept.json").content.root.nodes["constant"].params["value"] == 1


def test_first_start_opens_the_starter_workflow(open_window: OpenWindow) -> None:
    page = page_of(open_window())
    assert {"load_checkpoint", "k_sampler", "save_image"} <= page.content.root.nodes.keys()
    assert page.path is None
    assert not page.unsaved


def test_closing_a_tab_with_changes_asks_and_cancel_keeps_it(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant"))
    page = page_of(window)
    page.editing.apply(SetKnob("", "constant", "value", 2), "Change value")
    answer(window, qtbot, QMessageBox.StandardButton.Cancel)
    assert page in window.documents.pages()
    answer(window, qtbot, QMessageBox.StandardButton.Discard)
    assert page not in window.documents.pages()


def answer(window: Window, qtbot: QtBot, button: QMessageBox.StandardButton) -> None:
    window.actions_.close.trigger()
    box = window.findChildren(QMessageBox)[-1]
    qtbot.waitUntil(box.isVisible, timeout=5_000)
    pressed = box.button(button)
    assert pressed is not None
    pressed.click()
    qtbot.waitUntil(lambda: not window.findChildren(QMessageBox), timeout=5_000)


def test_undo_names_what_it_takes_back(open_window: OpenWindow) -> None:
    window = open_window(content("constant"))
    page_of(window).editing.apply(SetKnob("", "constant", "value", 2), "Change value")
    assert window.actions_.undo.text() == "Undo Change value"
    window.actions_.undo.trigger()
    assert page_of(window).content.root.nodes["constant"].params["value"] == 1
    assert not window.actions_.undo.isEnabled()


def test_results_survive_undo(open_window: OpenWindow, qtbot: QtBot, tmp_path: Path) -> None:
    window = open_window(content("constant", "slow", "write"))
    window.runs.output_dir = tmp_path
    page_of(window).editing.apply(SetKnob("", "constant", "value", 200), "Change value")
    page_of(window).editing.apply(SetKnob("", "constant", "value", 20), "Change value")
    run(window, qtbot)
    qtbot.waitUntil(lambda: not window.picture.full.isNull(), timeout=10_000)
    window.actions_.undo.trigger()
    assert not window.picture.full.isNull()
    assert window.strip.count() == 1


def test_picture_can_be_saved_with_its_graph(open_window: OpenWindow, qtbot: QtBot, tmp_path: Path) -> None:
    window = open_window(content("constant", "slow", constant_value=50))
    page = page_of(window)
    with qtbot.waitSignal(window.follower.finished, timeout=20_000):
        window.running.run(("slow",))
    qtbot.waitUntil(lambda: not window.picture.full.isNull(), timeout=10_000)
    with qtbot.waitSignal(window.gallery.said, timeout=10_000):
        window.gallery.save(window.strip.shots()[0], tmp_path / "out.png")
    kept = workflow.load(tmp_path / "out.png").content
    assert kept.root.nodes == page.content.root.nodes


@pytest.mark.parametrize("size", [(900, 600), (1440, 900)])
def test_window_is_usable_at_this_size(open_window: OpenWindow, size: tuple[int, int]) -> None:
    window = open_window(content("constant"))
    window.resize(*size)
    assert (window.width(), window.height()) == size
    assert page_of(window).view.width() >= size[0] // 3
    QTest.qWait(50)
    parts = [part for part in window.bar.findChildren(QWidget) if part.isVisible()]
    assert max(part.mapTo(window, part.rect().topRight()).x() for part in parts) <= size[0]


def test_typing_in_the_inspector_keeps_the_field_that_is_typed_in(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = open_window(content("constant", "show"))
    page = page_of(window)
    page.scene.select(["constant"])
    editor = window.inspector.rows["value"].editor
    assert isinstance(editor, NumberEditor)
    QTest.mouseClick(editor.field, Qt.MouseButton.LeftButton)
    QTest.keyClicks(editor.field, "33")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert window.inspector.rows["value"].editor is editor
    assert page.content.root.nodes["constant"].params["value"] == 33
    assert page.editing.stack.count() == 1
    assert window.windowTitle().endswith("• — Latent Studio")


def test_drop_on_the_graph_reaches_the_window(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    before = window.documents.count()
    made = workflow.to_json(content("constant", "show", constant_value=78))
    png.save(tmp_path / "shot.png", np.zeros((4, 4, 3), np.uint8), made)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "shot.png"))])
    viewport = page_of(window).view.viewport()
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(viewport, QDragEnterEvent(QPoint(50, 50), copy, data, left, none))
    QApplication.sendEvent(viewport, QDropEvent(QPointF(50, 50), copy, data, left, none))
    assert window.documents.count() == before + 1


def test_key_leads_from_panel_to_panel_and_round(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "show"))
    window.activateWindow()
    view = page_of(window).view
    page_of(window).scene.select(["constant"])
    view.setFocus()
    qtbot.waitUntil(view.hasFocus)
    visited: list[QWidget | None] = []
    for _ in range(4):
        window.actions_.next_panel.trigger()
        visited.append(window.focusWidget())
    assert visited[0] is window.picture.view
    assert window.inspector.isAncestorOf(visited[1])
    assert visited[2] is window.strip
    assert visited[3] is view


def test_a_model_may_be_dropped_on_the_graph_and_nowhere_else(
    open_window: OpenWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(content("constant", "show"))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(lora(tmp_path / "anna.safetensors")))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    port = page_of(window).view.viewport()
    on = port.mapTo(window, port.rect().center())
    accepted: list[bool] = []
    for at in (on, QPoint(10, 10)):
        event = QDragMoveEvent(at, copy, data, left, none)
        window.dragMoveEvent(event)
        accepted.append(event.isAccepted())
    assert accepted == [True, False]
    window.dropEvent(QDropEvent(QPointF(on), copy, data, left, none))
    qtbot.waitUntil(lambda: "No installed node loads" in window.bar.sentence.toolTip())


def test_templates_are_listed_by_what_they_call_themselves(open_window: OpenWindow) -> None:
    menu = next(one for one in open_window().findChildren(QMenu) if one.title() == "New from template")
    menu.aboutToShow.emit()
    inside = next(action.menu() for action in menu.actions() if action.text() == "Inside")
    assert isinstance(inside, QMenu)
    assert "Where a word looks" in [action.text() for action in inside.actions()]
