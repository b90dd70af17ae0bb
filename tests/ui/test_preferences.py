"""Preferences keep what a person says models may take."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from studio.settings import Settings
from tests.ui.conftest import OpenWindow
from ui.preferences import Preferences


def test_memory_for_models_is_automatic_until_it_is_said(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window()
    window.actions_.preferences.trigger()
    dialog = window.findChild(Preferences)
    assert dialog is not None
    assert (dialog.card.text(), dialog.weights.text()) == ("automatic", "automatic")
    dialog.card.clear()
    qtbot.keyClicks(dialog.card, "6.5")
    dialog.card.editingFinished.emit()
    assert Settings().get("device_memory_gb", 0.0) == 6.5
    assert Settings().get("weights_ram_gb", 0.0) == 0.0
    dialog.close()
