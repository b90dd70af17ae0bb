"""Graphs of nodes that do next to nothing, so that what is timed is the executor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from studio.api import Image, node
from studio.document import Content
from studio.graph import ROOT, Graph, Node, Socket
from studio.registry import Registry, core_wires


@node("begin", category="Toys")
def begin(*, value: float = 0.0) -> Image:
    return np.full((1, 1, 1, 3), value, dtype=np.float32)


@node("step", category="Toys")
def step(image: Image, *, add: float = 0.0) -> Image:
    return image + np.float32(add)


@node("join", category="Toys")
def join(image: Image, other: Image, *, add: float = 0.0) -> Image:
    return np.maximum(image, other) + np.float32(add)


@node("count", category="Toys")
def count(number: float, *, add: float = 1.0) -> float:
    return number + add


@node("start", category="Toys")
def start(*, value: float = 0.0) -> float:
    return value


def registry() -> Registry:
    """A registry of these nodes alone."""
    made = Registry(wires=core_wires())
    for function in (begin, step, join, count, start):
        made.add_node("toys", function)
    return made


def chain(size: int) -> Content:
    """One after the other."""
    nodes = [Node("n0", "toys/begin", params={"value": 0.5})]
    nodes += [Node(f"n{index}", "toys/step", params={"add": 0.0}) for index in range(1, size)]
    return _content(nodes, {(f"n{index}", "image"): f"n{index - 1}" for index in range(1, size)}, "image")


def numbers(size: int) -> Content:
    """A chain of numbers: each key is known when the node before has run, and not earlier."""
    nodes = [Node("n0", "toys/start", params={"value": 0.5})]
    nodes += [Node(f"n{index}", "toys/count", params={"add": 1.0}) for index in range(1, size)]
    return _content(nodes, {(f"n{index}", "number"): f"n{index - 1}" for index in range(1, size)}, "float")


def fan(size: int) -> Content:
    """All from the first."""
    nodes = [Node("n0", "toys/begin", params={"value": 0.5})]
    nodes += [Node(f"n{index}", "toys/step", params={"add": index / size}) for index in range(1, size)]
    return _content(nodes, {(f"n{index}", "image"): "n0" for index in range(1, size)}, "image")


def grid(size: int) -> Content:
    """Rows and columns: each from its left and its upper neighbour."""
    side = math.ceil(math.sqrt(size))
    nodes = [Node("n0", "toys/begin", params={"value": 0.5})]
    wires: dict[tuple[str, str], str] = {}
    for index in range(1, size):
        row, column = divmod(index, side)
        near = [index - 1] * (column > 0) + [index - side] * (row > 0)
        wires.update(
            {(f"n{index}", name): f"n{at}" for name, at in zip(("image", "other"), near, strict=False)}
        )
        kind = "toys/join" if len(near) == 2 else "toys/step"
        nodes.append(Node(f"n{index}", kind, params={"add": 0.0}))
    return _content(nodes, wires, "image")


SHAPES: dict[str, Callable[[int], Content]] = {"chain": chain, "fan": fan, "grid": grid, "numbers": numbers}


def turned(content: Content, node_id: str, value: float) -> Content:
    """The document with the one knob of a node set to `value`."""
    graph = content.graphs[ROOT]
    old = graph.nodes[node_id]
    new = replace(old, params=dict.fromkeys(old.params, value))
    return replace(content, graphs={ROOT: replace(graph, nodes={**graph.nodes, node_id: new})})


def _content(nodes: list[Node], wires: dict[tuple[str, str], str], output: str) -> Content:
    ends = {Socket(*target): Socket(source, output) for target, source in wires.items()}
    return Content(graphs={ROOT: Graph({node.id: node for node in nodes}, ends)})
