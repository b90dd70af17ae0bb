"""Values drawn anew for a run: they live in the run, never in the document."""

from __future__ import annotations

import secrets

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
