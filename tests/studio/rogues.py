"""Nodes that break what their declaration promises, and a registry of toys that has them too."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from studio.api import Cancelled, Context, Image, Recipe, node, wire
from studio.cache import codec
from studio.declare import NodeFunction
from studio.registry import Registry
from studio.types import Json
from tests.studio import toys
from tests.studio.toys import Grain, calls


@wire("toy/control", "#000000", "a recipe with a strength of its own")
@dataclass(frozen=True)
class Control:
    recipe: Recipe
    strength: float


@node("control", category="Rogues", instant=True)
def control(*, strength: float = 1.0) -> Control:
    """Make a control."""
    return Control(Recipe("/a", "identity", "unet", "sd"), strength)


@node("felt", category="Rogues")
def felt(control: Control) -> Grain:
    """Read a control's strength."""
    calls["felt"] += 1
    return Grain(int(control.strength * 100))


@node("divide", category="Rogues", instant=True)
def divide(*, left: int = 1, right: int = 0) -> int:
    """Divide, or fail while planning."""
    return left // right


@node("quits", category="Rogues")
def quits(*, how: str = "cancel") -> int:
    """Stop in ways that no node should."""
    calls["quits"] += 1
    if how == "cancel":
        raise Cancelled
    if how == "exit":
        raise SystemExit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "huge":
        return 1 << 70
    raise ValueError(how)


@node("never_asks", category="Rogues")
def never_asks(a: Grain | None = None) -> Generator[str, Grain, Grain]:
    """Be lazy, and want nothing."""
    calls["never_asks"] += 1
    if calls["never"]:
        yield "a"
    return Grain(7)


@node("asks_oddly", category="Rogues")
def asks_oddly(a: Grain, *, how: str = "twice") -> Generator[str, Grain, Grain]:
    """Ask for what it should not."""
    calls["asks_oddly"] += 1
    if how == "twice":
        yield "a"
        return (yield "a")
    if how == "stranger":
        return (yield "nobody")
    return (yield {"number": 5, "true": True}[how])  # pyright: ignore[reportReturnType]


@node("passes_for_ever", category="Rogues", passes=True)
def passes_for_ever(a: Grain) -> Generator[str, Grain, Grain]:
    """Ask without end."""
    while True:
        yield "a"


@node("lazy_total", category="Rogues")
def lazy_total(grains: list[Grain]) -> Generator[str, list[Grain], Grain]:
    """Add up a list that is asked for."""
    calls["lazy_total"] += 1
    return Grain(sum(item.value for item in (yield "grains")))  # pyright: ignore[reportReturnType]


@node("picky", category="Rogues")
def picky(grain: Grain) -> Grain:
    """Refuse odd grains."""
    calls["picky"] += 1
    if grain.value % 2:
        raise ValueError(f"{grain.value} is odd")
    return grain


@node("scribbler", category="Rogues")
def scribbler(*, words: list[Json] = ["a"]) -> Grain:  # noqa: B006 - what is tested
    """Write into the list it is given."""
    calls["scribbler"] += 1
    words.append("more")
    return Grain(len(words))


@node("smearer", category="Rogues")
def smearer(image: Image) -> Image:
    """Write into the picture it is given."""
    image[...] = 0
    return image


@node("heap", category="Rogues")
def heap(*, values: str = "1,2,3") -> list[int]:
    """Make a list of numbers that takes no room in memory's budget."""
    calls["heap"] += 1
    return [int(item) for item in values.split(",") if item]


@node("paused", category="Rogues")
def paused(ctx: Context) -> int:
    """Wait for the gate, deaf to cancelling."""
    calls["paused"] += 1
    toys.gate.wait(10)
    return 3


def registry() -> Registry:
    made = toys.registry()
    for thing in list(globals().values()):
        if isinstance(thing, NodeFunction):
            made.add_node("toy", thing)
    codec.register_dataclass(Control)
    mark: Any = Control
    made.wires["toy/control"] = mark.__wire__
    return made


REGISTRY = registry()


def cancel_while_paused(flag: threading.Event) -> threading.Thread:
    """Set `flag` once `paused` is being called, and let it go on then."""

    def wait() -> None:
        while not calls["paused"]:
            threading.Event().wait(0.002)
        flag.set()
        toys.gate.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
