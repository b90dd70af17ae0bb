"""The panel of models, driven as a person drives it."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QImage, QImageReader
from pytestqt.qtbot import QtBot

from studio.settings import Settings
from tests.studio.models.test_catalogue import lora
from ui.models.listing import ENTRY
from ui.models.panel import ModelPanel
from ui.models.pictures import _decoded
from ui.models.shelf import Shelf

PNG = (struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0), zlib.compress(bytes(100)), b"")
"""Contents of the chunks of a picture of absurd size."""


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.fixture
def shelf(tmp_path: Path, qtbot: QtBot) -> Shelf:
    words = {"modelspec.title": "Anna of the hills", "modelspec.trigger_phrase": "anna, red hair"}
    lora(tmp_path / "library/anna.safetensors", metadata=words)
    lora(tmp_path / "library/deep/ben.safetensors", width=2048)
    cut = lora(tmp_path / "library/cut.safetensors")
    cut.write_bytes(cut.read_bytes()[:-50])
    picture = QImage(64, 32, QImage.Format.Format_RGB32)
    picture.fill(0xFF2080C0)
    picture.save(str(tmp_path / "library/anna.preview.png"))
    return Shelf(Settings(tmp_path / "settings.json"))


@pytest.fixture
def panel(shelf: Shelf, tmp_path: Path, qtbot: QtBot) -> Iterator[ModelPanel]:
    panel = ModelPanel(shelf)
    qtbot.addWidget(panel)
    panel.resize(900, 260)
    panel.show()
    with qtbot.waitSignal(shelf.busy_changed, check_params_cb=lambda busy: not busy):
        shelf.add_folder(tmp_path / "library")
    yield panel
    panel.close_panel()
    shelf.close()


def names(panel: ModelPanel) -> list[str]:
    model = panel.listing
    return [model.index(row, 0).data(ENTRY).name for row in range(model.rowCount())]


def test_without_folders_the_panel_says_how_to_begin(tmp_path: Path, qtbot: QtBot) -> None:
    panel = ModelPanel(Shelf(Settings(tmp_path / "settings.json")))
    qtbot.addWidget(panel)
    panel.show()
    assert panel.words.isVisible()
    assert "nothing is moved" in panel.words.text()
    assert panel.add.isVisible()


def test_the_models_of_a_folder_are_listed_and_remembered(panel: ModelPanel, tmp_path: Path) -> None:
    assert names(panel) == ["anna.safetensors", "cut.safetensors", "deep/ben.safetensors"]
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept["model_folders"] == [str(tmp_path / "library")]


def test_typing_narrows_the_list_by_name_family_and_words(panel: ModelPanel, qtbot: QtBot) -> None:
    for typed, expected in (("red hair", ["anna.safetensors"]), ("sdxl", ["deep/ben.safetensors"])):
        panel.query.clear()
        qtbot.keyClicks(panel.query, typed)
        assert names(panel) == expected
    qtbot.keyClicks(panel.query, " nobody")
    assert "No model" in panel.words.text()
    assert panel.words.isVisible()


def test_types_that_are_there_can_be_chosen(panel: ModelPanel) -> None:
    titles = [panel.kind.itemText(row) for row in range(panel.kind.count())]
    assert titles == ["All types", "LoRA", "Not understood"]
    panel.kind.setCurrentIndex(2)
    assert names(panel) == ["cut.safetensors"]


def test_a_model_tells_its_title_and_words(panel: ModelPanel) -> None:
    panel.list.setCurrentIndex(panel.listing.index(0, 0))
    assert "Anna of the hills" in panel.details.words.text()
    assert "anna, red hair" in panel.details.words.text()
    assert panel.details.use.isEnabled()


def test_a_broken_file_tells_why_and_cannot_be_used(panel: ModelPanel) -> None:
    panel.list.setCurrentIndex(panel.listing.index(1, 0))
    assert "cut short" in panel.details.words.text()
    assert not panel.details.use.isEnabled()


def test_a_double_click_asks_for_the_model_in_the_graph(panel: ModelPanel, qtbot: QtBot) -> None:
    index = panel.listing.index(2, 0)
    at = panel.list.visualRect(index).center()
    with qtbot.waitSignal(panel.use_wanted) as asked:
        qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
        qtbot.mouseDClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert asked.args is not None
    assert asked.args[0].name == "deep/ben.safetensors"


def test_a_forgotten_folder_leaves_the_list_and_stays_on_the_disk(
    panel: ModelPanel, shelf: Shelf, tmp_path: Path, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(shelf.busy_changed, check_params_cb=lambda busy: not busy):
        shelf.forget_folder(tmp_path / "library")
    assert names(panel) == []
    assert (tmp_path / "library/anna.safetensors").exists()


def test_digests_appear_when_they_are_known(panel: ModelPanel, shelf: Shelf, qtbot: QtBot) -> None:
    panel.list.setCurrentIndex(panel.listing.index(0, 0))
    qtbot.waitUntil(lambda: all(entry.digests for entry in shelf.entries() if not entry.problem))
    found = shelf.entries()[0].digests
    assert found is not None
    qtbot.waitUntil(lambda: found.autov2 in panel.details.words.text())
    panel.details.words.linkActivated.emit("digest")
    assert QGuiApplication.clipboard().text() == found.sha256


def test_a_model_of_long_names_never_widens_the_panel(
    panel: ModelPanel, shelf: Shelf, tmp_path: Path, qtbot: QtBot
) -> None:
    deep = tmp_path / "library" / ("deep" * 20) / ("x" * 100)
    lora(deep / f"{'long' * 30}.safetensors")
    with qtbot.waitSignal(shelf.busy_changed, check_params_cb=lambda busy: not busy):
        shelf.look()
    panel.resize(560, 150)
    row = next(row for row in range(4) if "long" in panel.listing.index(row, 0).data(ENTRY).path.name)
    panel.list.setCurrentIndex(panel.listing.index(row, 0))
    assert panel.width() == 560
    assert not panel.list.horizontalScrollBar().isVisible()
    assert panel.details.use.isVisible()
    assert panel.details.width() >= 200


def test_a_picture_beside_a_model_appears_once_it_is_read(panel: ModelPanel, qtbot: QtBot) -> None:
    anna, _, ben = (panel.listing.index(row, 0).data(ENTRY) for row in range(3))
    qtbot.waitUntil(lambda: panel.pictures.of(anna) is not None)
    shown = panel.pictures.of(anna)
    assert shown is not None
    assert shown.width() == 2 * shown.height(), "its shape is kept"
    assert panel.pictures.of(ben) is None
    panel.list.setCurrentIndex(panel.listing.index(0, 0))
    qtbot.waitUntil(panel.details.picture.isVisible)


def test_a_picture_of_absurd_size_is_not_decoded(panel: ModelPanel) -> None:
    ben = panel.listing.index(2, 0).data(ENTRY)
    beside = ben.path.with_name("ben.preview.png")
    beside.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (b"IHDR", b"IDAT", b"IEND"), PNG)))
    assert QImageReader(str(beside)).size() == QSize(30_000, 30_000)
    assert _decoded(ben, 64) is None


def test_the_words_of_a_model_are_copied_by_a_link(panel: ModelPanel) -> None:
    panel.list.setCurrentIndex(panel.listing.index(0, 0))
    assert 'href="words"' in panel.details.words.text()
    panel.details.words.linkActivated.emit("words")
    assert QGuiApplication.clipboard().text() == "anna, red hair"
