"""The toy nodes of ``tests/data/toys``: workflows made of them, and someone who listens to an engine."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.document import Content
from studio.files import workflow
from studio.graph import Graph, Node, Socket
from studio.registry import Registry, core_wires
from studio.types import Json

FOLDER = Path(__file__).parent / "data" / "toys"
PATIENCE_S = 180.0


def registry() -> Registry:
    """The toys alone, in this process."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    made = Registry(wires=core_wires(), packages={"toys": "1.0"})
    made.add("toys", importlib.import_module("toys"))
    return made


def chain(*types: str, document: str = "d", **knobs: Any) -> dict[str, Json]:
    """A workflow of toys, each fed by the one before; ``type_knob=value`` sets a knob."""
    nodes: dict[str, Node] = {}
    wires: dict[Socket, Socket] = {}
    specs = registry().specs
    before = Socket("", "")
    for name in types:
        spec = specs[f"toys/{name}"]
        params = {
            key.removeprefix(f"{name}_"): value for key, value in knobs.items() if key.startswith(f"{name}_")
        }
        nodes[name] = Node(name, spec.type, params={**spec.defaults, **params})
        if spec.inputs:
            wires[Socket(name, spec.inputs[0].name)] = before
        before = Socket(name, spec.outputs[0].name) if spec.outputs else before
    return workflow.to_json(Content(id=document, graphs={"": Graph(nodes, wires)}))


class Listener:
    """Keeps every message and lets a test wait for one."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, message: object) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait(self, wanted: Callable[[Any], bool], start: int = 0) -> Any:
        """The first message, from number `start` on, that is `wanted`."""
        with self._changed:
            found: list[Any] = []

            def look() -> bool:
                found[:] = [message for message in self.messages[start:] if wanted(message)]
                return bool(found)

            assert self._changed.wait_for(look, PATIENCE_S), f"never came; came: {self.messages}"
            return found[0]

    def wait_for(self, kind: type[Any], start: int = 0, **fields: Any) -> Any:
        """The first message of a class with these fields."""
        return self.wait(
            lambda message: (
                type(message) is kind
                and all(getattr(message, name) == value for name, value in fields.items())
            ),
            start,
        )

    def of(self, run: str) -> list[Any]:
        """Everything said of a run."""
        return [message for message in self.messages if getattr(message, "run", None) == run]

    def all_of(self, kind: type[Any]) -> list[Any]:
        """Every message of a class."""
        return [message for message in self.messages if type(message) is kind]


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
