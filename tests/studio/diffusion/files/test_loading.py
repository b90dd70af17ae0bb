from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.diffusion.files.loading import config, files_of, imported
from studio.errors import Cancelled, NodeError


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that is imported only once its gate was opened."""
    (tmp_path / "gate_of_it.py").write_text("import threading\nopened = threading.Event()\n")
    (tmp_path / "slow_to_import.py").write_text(
        "import gate_of_it\nassert gate_of_it.opened.wait(20)\nvalue = 3\n"
    )
    (tmp_path / "broken_on_import.py").write_text("raise ImportError('half of it is missing')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "slow_to_import"
    for name in ("gate_of_it", "slow_to_import", "broken_on_import"):
        sys.modules.pop(name, None)


def test_import_can_be_left_while_it_goes_on(slow_module: str) -> None:
    import gate_of_it  # pyright: ignore[reportMissingImports]

    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        imported(slow_module, cancel)
    gate_of_it.opened.set()
    assert imported(slow_module, lambda: None).value == 3


def test_import_that_fails_says_so(slow_module: str) -> None:
    with pytest.raises(ImportError, match="half of it"):
        imported("broken_on_import", lambda: None)


def test_whole_files_go_before_their_halves(tmp_path: Path) -> None:
    for name in ("model.fp16.safetensors", "model.safetensors"):
        (tmp_path / name).touch()
    assert [file.name for file in files_of(tmp_path)] == ["model.safetensors"]
    (tmp_path / "model.safetensors").unlink()
    assert [file.name for file in files_of(tmp_path)] == ["model.fp16.safetensors"]
    (tmp_path / "model.fp16.safetensors").unlink()
    with pytest.raises(NodeError, match="no weights in"):
        files_of(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_configuration_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(NodeError, match=r"config\.json"):
        config(tmp_path / "config.json")
