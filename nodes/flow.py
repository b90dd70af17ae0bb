"""Nodes that lead wires: what passes through them is not touched, and keeps its key."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from studio.api import node

T = TypeVar("T")


@node("reroute", category="Flow", passes=True, synonyms=("Reroute", "dot", "relay"))
def reroute(value: T) -> T:
    """Lead a wire around a corner.

    Args:
        value: Anything; it is given on as it is.
    """
    return value


@node("switch", category="Flow", passes=True, synonyms=("Switch", "if", "choose", "ComfySwitchNode"))
def switch(
    on_true: T | None = None, on_false: T | None = None, *, condition: bool = True
) -> Generator[str, T, T]:
    """Take one of two branches; the other is not evaluated.

    Args:
        on_true: Given on while the condition holds.
        on_false: Given on while it does not.
        condition: Which branch is taken.
    """
    return (yield "on_true" if condition else "on_false")
