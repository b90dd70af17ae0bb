"""What holds for the repository as a whole: sizes, imports, pins, and a binding that must not rot."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("studio", "nodes", "ui")
MAX_LINES = 500
MAX_MEDIAN_LINES = 150
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "torchsde", "scipy")
QT = ("PySide6", "shiboken6")
TORCH_ROOMS = ("studio.diffusion", "studio.training", "studio.worker.main", "studio.worker.__main__")


def modules(*rooms: str) -> list[str]:
    """Names of all modules of the rooms."""
    files = sorted(file for room in rooms for file in (ROOT / room).rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    return [".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts]


def import_alone(names: list[str], forbidden: tuple[str, ...]) -> str:
    """Import `names` in a fresh process that has none of `forbidden`; what it says on stderr."""
    code = f"""
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            raise ImportError(f"{{name}} is not allowed here")

sys.meta_path.insert(0, Absent())
for name in {names!r}:
    importlib.import_module(name)
loaded = sorted(set({forbidden!r}) & set(sys.modules))
assert not loaded, loaded
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    ).stderr


def test_no_file_is_too_long_to_read() -> None:
    lengths = {
        file.relative_to(ROOT): len(file.read_text("utf-8").splitlines())
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
    }
    assert {file: lines for file, lines in lengths.items() if lines > MAX_LINES} == {}
    written = [lines for file, lines in lengths.items() if lines > 1]
    assert statistics.median(written) <= MAX_MEDIAN_LINES


def test_no_function_is_too_long_to_read() -> None:
    long: list[str] = []
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            for item in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = _span(item) - _text_lines(item)
                    if lines > 50:
                        long.append(f"{file.relative_to(ROOT)}:{item.name} has {lines} lines")
    assert long == []


def _span(item: ast.stmt | ast.expr) -> int:
    return (item.end_lineno or item.lineno) - item.lineno


def _text_lines(function: ast.AST) -> int:
    """Lines of docstrings, style sheets and other texts: they are read, not followed."""
    texts = (ast.JoinedStr, ast.Constant)
    inside = {
        id(part) for node in ast.walk(function) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    found = [node for node in ast.walk(function) if isinstance(node, texts) and id(node) not in inside]
    return sum(_span(node) for node in found)


def test_every_node_module_is_imported_without_torch_and_qt() -> None:
    assert import_alone(modules("nodes"), HEAVY + QT) == ""


def test_the_core_is_imported_without_torch_and_qt() -> None:
    names = [name for name in modules("studio") if not name.startswith(TORCH_ROOMS)]
    assert len(names) > 20
    assert import_alone(names, HEAVY + QT) == ""


def test_the_editor_is_imported_without_torch_and_without_nodes() -> None:
    assert import_alone(modules("ui"), (*HEAVY, "nodes")) == ""


def test_the_import_check_would_notice() -> None:
    assert "torch is not allowed here" in import_alone(["studio", "torch"], HEAVY)


def test_every_dependency_is_pinned_to_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {_plain(re.split(r"[<>=\[;]", item)[0]) for item in wanted}
    text = (ROOT / "constraints.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert len(pins) == len(lines)
    assert names <= {_plain(name) for name in pins}
    assert pins["torch"] == "2.13.0"
    assert not [pin for pin in pins.values() if "+" in pin], "a local version would need one package host"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_void_calls_of_qt_keep_the_references_to_none(qapp: object) -> None:
    """PySide6 6.12.0 lost one reference a call on Python 3.11 and died after some thousands."""
    from PySide6.QtCore import QObject
    from PySide6.QtWidgets import QGraphicsRectItem

    item, thing = QGraphicsRectItem(), QObject()
    before = sys.getrefcount(None)
    for _ in range(20_000):
        item.setPos(1.0, 2.0)
        thing.setObjectName("canary")
    assert sys.getrefcount(None) > before - 1_000


@pytest.mark.parametrize("script", [".ci/run"])
def test_scripts_can_be_executed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
