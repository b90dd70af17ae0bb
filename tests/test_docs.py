"""What the pages say is so: the tutorial's package works, links lead somewhere, commands exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from studio.files import workflow
from studio.validate import validate
from tests.laws.everything import registry
from tests.tutorial import write_package

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGES.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_the_tutorials_own_check_passes(tmp_path: Path) -> None:
    write_package(tmp_path)
    paths = f"{tmp_path}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "try_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tutorials_package_is_found() -> None:
    found = registry()
    assert found.packages["dusk"] == "0.3"
    nodes = {name for name in found.nodes if name.startswith("dusk/")}
    assert {"dusk/warm", "dusk/evening", "dusk/first_given", "dusk/write_size", "dusk/hang_moon"} <= nodes
    assert found.wires["dusk/moon"].colour == "#f1e9c9"
    assert ("schedule", "dusk_even") in found.extensions
    assert found.specs["dusk/evening"].input("keep").optional  # type: ignore[union-attr]
    assert found.upgrade("dusk/evening", 1, {"lights": 7, "seed": 0}) == (2, {"lamps": 7, "seed": 0})
    assert [problem.title for problem in found.problems if "dusk" in problem.title] == []


def test_the_workflow_that_the_page_shows_opens(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "workflows.md").read_text("utf-8")
    text = re.findall(r"^```json file=\S+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    path = tmp_path / "example.json"
    path.write_text(text, "utf-8")
    loaded = workflow.load(path)
    assert loaded.problems == []
    assert validate(loaded.content, registry().catalogue()) == []
    assert json.loads(text) | {"app": 0} == workflow.to_json(loaded.content) | {"app": 0}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
