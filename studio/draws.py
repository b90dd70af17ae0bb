"""Values drawn anew for a run: they live in the run, never in the document."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from studio.document import Content
from studio.graph import ROOT
from studio.types import Json

SEED_BITS = 53
"""A drawn seed stays exact in every program that reads JSON numbers as doubles."""


def draw(content: Content) -> dict[str, dict[str, Json]]:
    """Return node address → knob → value for the knobs that a node's look lists as new each run."""
    draws: dict[str, dict[str, Json]] = {}
    waiting: list[tuple[str, str, frozenset[str]]] = [(ROOT, "", frozenset())]
    while waiting:
        name, prefix, inside = waiting.pop()
        for node in content.graphs[name].nodes.values():
            knobs = node.look.get("new_each_run")
            if isinstance(knobs, list) and knobs:
                draws[prefix + node.id] = {str(knob): secrets.randbits(SEED_BITS) for knob in knobs}
            # A definition that holds itself is a problem that validation tells; here it must only end.
            if node.is_subgraph and node.type in content.graphs and node.type not in inside:
                waiting.append((node.type, f"{prefix}{node.id}/", inside | {node.type}))
    return draws


def inner_draws(
    content: Content, draws: Mapping[str, Mapping[str, Json]]
) -> Mapping[str, Mapping[str, Json]]:
    """`draws` with the knobs that definitions show in place of which they stand for, inside.

    Where both are drawn, the outer one counts, as it does among values that are set.
    """
    inner: dict[str, dict[str, Json]] = {}
    for address, knobs in sorted(draws.items(), reverse=True):  # what lies deeper comes first
        for name, value in knobs.items():
            place, knob = _inner(content, address, name)
            inner.setdefault(place, {})[knob] = value
    return inner


def _inner(content: Content, address: str, knob: str) -> tuple[str, str]:
    """Where a knob really is."""
    name = ROOT
    *path, last = address.split("/")
    seen: set[tuple[str, str]] = set()
    for step in path:
        holder = content.graphs[name].nodes.get(step)
        name = holder.type if holder and holder.type in content.graphs else ROOT
    while (name, last) not in seen:
        seen.add((name, last))
        node = content.graphs[name].nodes.get(last)
        definition = content.graphs.get(node.type) if node and node.is_subgraph else None
        shown = {item.name: item for item in definition.interface.knobs} if definition else {}
        if node is None or knob not in shown:
            break
        name, last, knob = node.type, shown[knob].node, shown[knob].knob
        address = f"{address}/{last}"
    return address, knob
