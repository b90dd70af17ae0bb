"""Fetching T5's vocabulary from the panel of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot
from safetensors.torch import save_file

from studio.errors import FileError
from studio.models.download import T5_VOCABULARY, t5_folder
from studio.settings import Settings
from ui.models.panel import ModelPanel
from ui.models.shelf import Shelf
from ui.models.vocabulary import Vocabulary

NAME = "encoder.block.0.layer.0.SelfAttention.q.weight"


@pytest.fixture
def panel(tmp_path: Path, qtbot: QtBot) -> Iterator[ModelPanel]:
    (tmp_path / "library").mkdir()
    save_file({NAME: torch.zeros(2, 2)}, tmp_path / "library/t5xxl_fp16.safetensors")
    shelf = Shelf(Settings(tmp_path / "settings.json"))
    panel = ModelPanel(shelf)
    qtbot.addWidget(panel)
    panel.show()
    with qtbot.waitSignal(shelf.busy_changed, check_params_cb=lambda busy: not busy):
        shelf.add_folder(tmp_path / "library")
    yield panel
    panel.close_panel()
    shelf.close()


def offered(panel: ModelPanel) -> list[str]:
    panel.folders.menu().aboutToShow.emit()
    return [action.text() for action in panel.folders.menu().actions() if "vocabulary" in action.text()]


def put(check: Callable[[], None]) -> None:
    t5_folder().mkdir(parents=True)
    (t5_folder() / T5_VOCABULARY[1]).write_bytes(b"x")


def refuse(check: Callable[[], None]) -> None:
    raise FileError("spiece.model could not be fetched: no way.", "Copy the file by hand.")


def with_fetch(panel: ModelPanel, fetch: Callable[[Callable[[], None]], None]) -> Vocabulary:
    panel.vocabulary = Vocabulary(fetch, panel)
    panel.vocabulary.ended.connect(panel._fetched)
    return panel.vocabulary


def test_it_is_offered_to_whoever_has_a_t5_until_it_is_there(panel: ModelPanel, qtbot: QtBot) -> None:
    vocabulary = with_fetch(panel, put)
    assert offered(panel) == ["Fetch T5's vocabulary from the hub (0.8 MB)"]
    with qtbot.waitSignal(vocabulary.ended) as told:
        panel.folders.menu().actions()[2].trigger()
    assert told.args == [""]
    assert offered(panel) == []


def test_it_is_not_offered_without_a_model_that_needs_it(tmp_path: Path, qtbot: QtBot) -> None:
    panel = ModelPanel(Shelf(Settings(tmp_path / "settings.json")))
    qtbot.addWidget(panel)
    assert offered(panel) == []


def test_why_it_could_not_be_fetched_is_told(panel: ModelPanel, qtbot: QtBot) -> None:
    vocabulary = with_fetch(panel, refuse)
    with qtbot.waitSignal(vocabulary.ended):
        vocabulary.fetch()
    box = panel.window().findChild(QMessageBox)
    assert box is not None
    assert "by hand" in box.text()
    box.close()
    assert offered(panel)
