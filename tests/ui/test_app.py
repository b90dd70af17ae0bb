import subprocess
import sys
from pathlib import Path

import pytest

from ui import app, display

HEAVY = ("torch", "diffusers", "transformers", "scipy", "nodes")


def loaded_by(code: str) -> set[str]:
    """Names of the packages that are loaded once `code` has run in a fresh interpreter."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(told.stdout.splitlines()[-1].split())


def test_window_is_imported_without_torch_and_without_nodes() -> None:
    assert not loaded_by("import ui.window, ui.app") & set(HEAVY)


def test_sub_commands_do_without_qt() -> None:
    assert "PySide6" not in loaded_by("from ui.app import main\nmain(['cache', 'info'])")


def test_missing_library_is_named_with_the_way_to_install_it() -> None:
    told = display.library_sentence(["libxcb-cursor.so.0"])
    assert told.endswith(
        "misses the system library libxcb-cursor.so.0; install with: sudo apt install libxcb-cursor0"
    )


def test_machine_without_a_display_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert display.display_sentence() == "There is no display here."
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert display.display_sentence() == ""


def test_display_that_does_not_answer_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    assert display.display_sentence() == "The display :4711 does not answer."


def test_without_a_display_the_starter_workflow_runs_without_a_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr("ui.display.missing_libraries", lambda: ["libEGL.so.1"])
    monkeypatch.setattr("ui.display.display_sentence", lambda: "There is no display here.")
    monkeypatch.setattr("studio.cli.main", lambda arguments: calls.append(arguments) or 0)
    assert app.main([]) == 0
    assert calls[0][0] == "run"
    assert Path(calls[0][1]).name == "text_to_image.json"
    told = capsys.readouterr()
    assert told.out == ""
    assert "sudo apt install libegl1" in told.err
    assert "There is no display here." in told.err


def test_wrong_usage_is_left_to_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--nonsense"]) == 2
    assert "usage" in capsys.readouterr().err
