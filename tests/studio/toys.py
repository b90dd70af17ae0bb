"""Small nodes that count how often they are called, and documents made of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from studio.api import Context, File, Image, NodeError, Range, Text, node, wire
from studio.cache import codec
from studio.cache.disk import DiskTier
from studio.cache.store import Store
from studio.declare import NodeFunction
from studio.document import Content
from studio.events import Event, NodeChanged, NodeFailed, RunFinished
from studio.executor import Executor, Request
from studio.graph import ROOT, Graph, Node, Socket
from studio.registry import Registry, core_wires

T = TypeVar("T")
calls: Counter[str] = Counter()
gate = threading.Event()


@wire("toy/grain", "#ffffff", "a number nobody can read by value")
@dataclass(frozen=True)
class Grain:
    value: int


@node("grain", category="Toys")
def grain(*, value: int = 0, file: Annotated[str, File(content="text", empty=True)] = "") -> Grain:
    """Make a grain.

    Args:
        value: Its number.
        file: Adds the length of this file.
    """
    calls["grain"] += 1
    return Grain(value + (len(Path(file).read_bytes()) if file else 0))


@node("add", category="Toys")
def add(left: Grain, right: Grain | None = None, *, more: Annotated[int, Range(-100, 100)] = 0) -> Grain:
    """Add two grains.

    Args:
        left: One.
        right: Another.
        more: And this.
    """
    calls["add"] += 1
    return Grain(left.value + (right.value if right else 0) + more)


class Pair(NamedTuple):
    """Two grains.

    Attributes:
        left: One.
        right: Another.
    """

    left: Grain
    right: Grain


@node("exchange", category="Toys")
def exchange(left: Grain, right: Grain) -> Pair:
    """Exchange two grains.

    Args:
        left: One.
        right: Another.
    """
    return Pair(right, left)


@node("grains", category="Toys")
def grains(*, values: Annotated[str, Text()] = "1,2,3") -> list[Grain]:
    """Make a list of grains.

    Args:
        values: Numbers between commas.
    """
    calls["grains"] += 1
    return [Grain(int(item)) for item in values.split(",") if item]


@node("double", category="Toys")
def double(grain: Grain) -> Grain:
    """Double a grain.

    Args:
        grain: It.
    """
    calls["double"] += 1
    return Grain(grain.value * 2)


@node("total", category="Toys")
def total(grains: list[Grain]) -> Grain:
    """Add up a list.

    Args:
        grains: The list.
    """
    calls["total"] += 1
    return Grain(sum(item.value for item in grains))


@node("weigh", category="Toys")
def weigh(grain: Grain) -> int:
    """Read a grain's number.

    Args:
        grain: It.
    """
    calls["weigh"] += 1
    return grain.value


@node("number", category="Toys", instant=True)
def number(*, value: int = 0) -> int:
    """Give a number.

    Args:
        value: The number.
    """
    return value


@node("reroute", category="Toys", passes=True)
def reroute(value: T) -> T:
    """Lead a wire.

    Args:
        value: Anything.
    """
    return value


@node("switch", category="Toys", passes=True)
def switch(yes: T | None = None, no: T | None = None, *, condition: bool = True) -> Generator[str, T, T]:
    """Take a branch.

    Args:
        yes: One.
        no: Other.
        condition: Which.
    """
    return (yield "yes" if condition else "no")


@node("first_heavy", category="Toys")
def first_heavy(a: Grain, b: Grain, *, limit: int = 10) -> Generator[str, Grain, Grain]:
    """Take a if it is heavy enough, else ask for b.

    Args:
        a: First.
        b: Second.
        limit: Heavy enough.
    """
    first = yield "a"
    result = first if first.value >= limit else (yield "b")
    calls["first_heavy"] += 1
    return Grain(result.value + 1000)


@node("broken", category="Toys")
def broken(grain: Grain | None = None, *, how: str = "raise") -> Grain:
    """Fail.

    Args:
        grain: Anything.
        how: raise, error or none.
    """
    calls["broken"] += 1
    if how == "raise":
        raise ValueError("a stone in the shoe")
    if how == "memory":
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 805306368 bytes."
        )
    if how == "error":
        raise NodeError("The grain is rotten.", "Take another.", socket="grain")
    return None  # pyright: ignore[reportReturnType]


@node("keep", category="Toys", sink=True)
def keep(ctx: Context, grain: Grain, *, name: str = "grain") -> None:
    """Write a grain's number into a file.

    Args:
        grain: It.
        name: Of the file.
    """
    calls["keep"] += 1
    path = ctx.facts.output_dir / f"{name}.txt"
    path.write_text(str(grain.value))
    ctx.saved(path)


@node("slow", category="Toys", device=True)
def slow(ctx: Context, grain: Grain | None = None, *, steps: int = 3, wait: bool = False) -> Grain:
    """Take some steps, and wait at each if told to.

    Args:
        grain: Anything.
        steps: How many.
        wait: For the gate.
    """
    calls["slow"] += 1
    for step in range(steps):
        ctx.progress(step, steps)
        deadline = time.monotonic() + 10
        while wait and not gate.is_set() and time.monotonic() < deadline:
            ctx.check()
            time.sleep(0.002)
    return Grain((grain.value if grain else 0) + steps)


@node("speck", category="Toys", device=False)
def speck(*, level: float = 0.5) -> Image:
    """Make a tiny picture.

    Args:
        level: Grey.
    """
    import numpy as np

    calls["speck"] += 1
    return np.full((1, 2, 2, 3), level, np.float32)


def registry() -> Registry:
    made = Registry(wires=core_wires(), packages={"toy": "1"})
    for thing in list(globals().values()):
        if isinstance(thing, NodeFunction):
            made.add_node("toy", thing)
    codec.register_dataclass(Grain)
    made.wires["toy/grain"] = Grain.__wire__  # pyright: ignore[reportAttributeAccessIssue]
    return made


REGISTRY = registry()
CATALOGUE = REGISTRY.catalogue()


def content(graph: Mapping[str, tuple[str, dict[str, Any], dict[str, str]]], **fields: Any) -> Content:
    """A document from ``{id: (type, knobs, {input: "source.output"})}``."""
    return Content(graphs={ROOT: make_graph(graph)}, **fields)


def make_graph(graph: Mapping[str, tuple[str, dict[str, Any], dict[str, str]]], **fields: Any) -> Graph:
    nodes = {
        name: Node(name, kind if "/" in kind or kind.startswith("@") else f"toy/{kind}", params=params)
        for name, (kind, params, _) in graph.items()
    }
    nodes = {
        name: Node(name, node.type[1:], params=node.params) if node.type.startswith("@") else node
        for name, node in nodes.items()
    }
    wires = {
        Socket(name, socket): Socket(*source.rsplit(".", 1))
        for name, (_, _, wired) in graph.items()
        for socket, source in wired.items()
    }
    return Graph(nodes, wires, **fields)


@dataclass
class Bench:
    """An executor over toys, with what it said."""

    folder: Path
    events: list[Event] = field(default_factory=list[Event])
    cancelled: threading.Event = field(default_factory=threading.Event)
    numerics: str = "cpu/float32"
    registry: Registry = field(default_factory=lambda: REGISTRY)
    ram_bytes: int = 1 << 26
    has_disk: bool = True

    def __post_init__(self) -> None:
        disk = DiskTier(self.folder / "cache", limit_bytes=1 << 28) if self.has_disk else None
        self.store = Store(self.ram_bytes, disk)
        self.executor = Executor(
            self.registry, self.store, emit=self.events.append, numerics=lambda: self.numerics
        )

    def run(self, document: Content, *targets: str, **fields: Any) -> RunFinished:
        self.events.clear()
        calls.clear()
        request = Request("run", document, targets, output_dir=self.folder, **fields)
        return self.executor.run(request, self.cancelled)

    def plan(self, document: Content, *targets: str) -> dict[str, tuple[str, str]]:
        plan = self.executor.plan(Request("plan", document, targets, output_dir=self.folder))
        return {address: (planned.state, planned.because) for address, planned in plan.nodes.items()}

    @property
    def states(self) -> dict[str, str]:
        states: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, NodeChanged):
                states[event.node] = event.state
        started = getattr(self.events[0], "states", {}) if self.events else {}
        return {**started, **states}

    @property
    def whys(self) -> dict[str, str]:
        return {
            event.node: event.why
            for event in self.events
            if isinstance(event, NodeChanged) and event.state == "ran"
        }

    @property
    def failures(self) -> dict[str, NodeFailed]:
        return {event.node: event for event in self.events if isinstance(event, NodeFailed)}

    def close(self) -> None:
        self.executor.close()
        self.store.close()
