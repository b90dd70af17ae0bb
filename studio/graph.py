"""Nodes, sockets and graphs as plain values; queries only. Changes are edits (`studio.edits`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from studio.types import Json

Mode = Literal["on", "bypass", "mute"]
MODES: tuple[Mode, ...] = ("on", "bypass", "mute")
ROOT = ""
BOUNDARY = ""
"""The node id that, inside a definition, stands for the definition's own sockets."""


class Socket(NamedTuple):
    """One end of a wire: a node's input, knob or output, by name."""

    node: str
    name: str


@dataclass(frozen=True)
class Node:
    """A node as the document holds it.

    Attributes:
        id: Readable and permanent within its graph (``k_sampler_2``); no ``/`` and no ``.``.
        type: ``package/name``, or, without a slash, the name of a definition of the same document.
        version: Version of the type that `params` were written for.
        params: Knob values by name; replaced, never mutated.
        pos: Position on the canvas, in scene units.
        title: What the user calls it; empty for the type's own title.
        mode: ``on``, ``bypass`` (inputs pass through) or ``mute`` (out of the run).
        look: Colour, size, collapsed; ``new_each_run`` lists the knobs drawn anew at each run.
        extra: Keys of the file that this version does not know, kept and written back.
    """

    id: str
    type: str
    version: int = 1
    params: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    pos: tuple[float, float] = (0.0, 0.0)
    title: str = ""
    mode: Mode = "on"
    look: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"])

    @property
    def is_subgraph(self) -> bool:
        """True if the type names a definition of the document."""
        return "/" not in self.type


@dataclass(frozen=True, slots=True)
class Port:
    """A socket that a definition shows to the outside.

    Attributes:
        name: Its name on nodes of the definition.
        type: Wire type.
        many: It carries a list as a whole.
        optional: An input that may stay unwired.
        extra: Unknown keys of the file, kept.
    """

    name: str
    type: str
    many: bool = False
    optional: bool = False
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"], hash=False)


@dataclass(frozen=True, slots=True)
class ExposedKnob:
    """A knob of an inner node, shown on nodes of the definition under a name of its own."""

    name: str
    node: str
    knob: str
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"], hash=False)


@dataclass(frozen=True, slots=True)
class Interface:
    """What a definition shows: inputs, outputs and knobs, in order.

    Inside the definition, a wire from ``Socket(BOUNDARY, input)`` brings an input in, and a wire to
    ``Socket(BOUNDARY, output)`` takes an output out.
    """

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    knobs: tuple[ExposedKnob, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"], hash=False)


@dataclass(frozen=True)
class Graph:
    """Nodes by id and wires by the input they end at, so that no input has two.

    Attributes:
        nodes: By id.
        wires: Input (or knob) → output it is fed from.
        interface: What a definition shows; empty for the root.
        title: What the user calls the definition.
        extra: Unknown keys of the file, kept.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict[str, Node])
    wires: Mapping[Socket, Socket] = field(default_factory=dict[Socket, Socket])
    interface: Interface = field(default_factory=Interface)
    title: str = ""
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"])

    @cached_property
    def wired_nodes(self) -> frozenset[str]:
        """Ids of the nodes that a wire starts or ends at."""
        return frozenset(end.node for wire in self.wires.items() for end in wire)

    def inputs_of(self, node: str) -> Iterator[tuple[Socket, Socket]]:
        """Wires that end at `node`, as (input, source); scans all wires."""
        return ((target, source) for target, source in self.wires.items() if target.node == node)

    def outputs_of(self, node: str) -> Iterator[tuple[Socket, Socket]]:
        """Wires that start at `node`, as (input, source); scans all wires."""
        return ((target, source) for target, source in self.wires.items() if source.node == node)

    def free_id(self, stem: str) -> str:
        """Return `stem`, or `stem_2`, `stem_3`, … : the first id no node has."""
        if stem not in self.nodes:
            return stem
        count = 2
        while f"{stem}_{count}" in self.nodes:
            count += 1
        return f"{stem}_{count}"


@dataclass(frozen=True)
class Frame:
    """A titled rectangle around nodes of one graph; off = its nodes are muted.

    Attributes:
        id: Permanent, unique in the document.
        graph: The graph it lies in.
        title: Shown on its bar.
        rect: x, y, width, height in scene units.
        nodes: Ids of the nodes it holds.
        colour: ``#rrggbb``, or empty for the theme's.
        on: The enable flag.
        extra: Unknown keys of the file, kept.
    """

    id: str
    graph: str = ROOT
    title: str = ""
    rect: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    nodes: tuple[str, ...] = ()
    colour: str = ""
    on: bool = True
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"])


@dataclass(frozen=True)
class Note:
    """Text on the canvas of one graph.

    Attributes:
        id: Permanent, unique in the document.
        graph: The graph it lies in.
        text: Markdown.
        rect: x, y, width, height in scene units.
        colour: ``#rrggbb``, or empty for the theme's.
        extra: Unknown keys of the file, kept.
    """

    id: str
    graph: str = ROOT
    text: str = ""
    rect: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    colour: str = ""
    extra: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
