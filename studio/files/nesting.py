"""How deeply the definitions of a document contain one another, and what that unfolds to."""

from __future__ import annotations

from collections import Counter

from studio.document import Content
from studio.errors import FileError, Problem
from studio.graph import ROOT

MAX_NESTING = 32
MAX_UNFOLDED = 200_000


def check(content: Content) -> list[Problem]:
    """Return a problem for each node by which a definition contains itself.

    Raises:
        FileError: Definitions nest too deeply, or a few nodes unfold to far too many.
    """
    inside = {
        name: Counter(node.type for node in graph.nodes.values() if node.type in content.graphs)
        for name, graph in content.graphs.items()
    }
    order, loops = _inner_first(inside)
    depth: dict[str, int] = {}
    unfolded: dict[str, int] = {}
    for name in order:
        inner = {used: times for used, times in inside[name].items() if (name, used) not in loops}
        depth[name] = 1 + max((depth[used] for used in inner), default=0)
        unfolded[name] = len(content.graphs[name].nodes) + sum(
            times * unfolded[used] for used, times in inner.items()
        )
    if max(depth.values()) > MAX_NESTING + 1:
        raise FileError(f"Its definitions lie more than {MAX_NESTING} deep within one another.")
    if unfolded[ROOT] > MAX_UNFOLDED:
        raise FileError(f"Its definitions unfold to more than {MAX_UNFOLDED:,} nodes.")
    return [
        Problem("cycle", f"“{node.id}” contains itself.", "Take it out of its definition.", graph, node.id)
        for graph, used in sorted(loops)
        for node in content.graphs[graph].nodes.values()
        if node.type == used
    ]


def _inner_first(inside: dict[str, Counter[str]]) -> tuple[list[str], set[tuple[str, str]]]:
    """Order names so that what is used comes before its user; also the uses that close a circle."""
    order: list[str] = []
    done: set[str] = set()
    open_names: set[str] = set()
    loops: set[tuple[str, str]] = set()
    for start in inside:
        stack = [(start, iter(inside[start]))] if start not in done else []
        open_names.update(name for name, _ in stack)
        while stack:
            name, rest = stack[-1]
            used = next(rest, None)
            if used is None:
                stack.pop()
                open_names.discard(name)
                done.add(name)
                order.append(name)
            elif used in open_names:
                loops.add((name, used))
            elif used not in done:
                open_names.add(used)
                stack.append((used, iter(inside[used])))
    return order, loops
