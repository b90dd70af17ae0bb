"""Names that files use: what a node type and its sockets are called is never taken back."""

from __future__ import annotations

import json
from pathlib import Path

from tests.laws.everything import registry

KNOWN = Path(__file__).parent.parent / "data" / "core_types.json"
"""Type → its names, as of some version; it only grows. A rename raises the version and adds an upgrade."""


def sockets(name: str) -> dict[str, list[str]]:
    spec = registry().specs[name]
    return {
        "inputs": [item.name for item in spec.inputs],
        "knobs": [item.name for item in spec.knobs],
        "outputs": [item.name for item in spec.outputs],
    }


def test_no_type_that_files_may_hold_has_gone() -> None:
    known = json.loads(KNOWN.read_text("utf-8"))
    assert [name for name in known if name not in registry().nodes] == []


def test_no_socket_that_files_may_hold_has_gone_within_a_version() -> None:
    known = json.loads(KNOWN.read_text("utf-8"))
    for name, facts in known.items():
        if facts["version"] == registry().specs[name].version:
            today = sockets(name)
            gone = {part: set(facts[part]) - set(today[part]) for part in today}
            assert not any(gone.values()), f"{name} lost {gone}: raise its version, or write the list anew"


def test_every_core_type_is_on_the_list() -> None:
    known = json.loads(KNOWN.read_text("utf-8"))
    missing = {
        name: {"version": registry().specs[name].version, **sockets(name)}
        for name in registry().nodes
        if name.startswith("core/") and name not in known
    }
    assert missing == {}, "add to tests/data/core_types.json"
