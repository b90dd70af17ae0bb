"""The package that `docs/nodes.md` builds, taken out of the page block by block."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "nodes.md"
_BLOCK = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_package(folder: Path) -> None:
    """Write the files of the page into `folder`, and what an installer would make of its pyproject.toml."""
    for name, text in _BLOCK.findall(PAGE.read_text("utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    facts = folder / f"{project['name']}-{project['version']}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    )
    (facts / "entry_points.txt").write_text(points, "utf-8")
