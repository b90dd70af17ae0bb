"""Document → one flat graph: modes, frames and subgraphs resolved, in an order in which it can run.

What comes out has no bypassed or muted node, no boundary and no definition, so that grouping nodes and
flattening gives the same graph, and the same keys, as never having grouped them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from studio.catalogue import Catalogue
from studio.document import Content
from studio.errors import Problem
from studio.graph import BOUNDARY, ROOT, Graph, Node, Socket
from studio.reading import Reading
from studio.spec import NodeSpec
from studio.types import Json

if TYPE_CHECKING:
    import networkx as nx

MAX_DEPTH = 32
MAX_NODES = 200_000
"""More than this a document does not unfold to; definitions that hold each other twice grow without end."""
NAMED = 12
"""Nodes of a circle that are named; each of them has a problem of its own."""


class Source(NamedTuple):
    """An output of a flat node."""

    address: str
    output: str


class Holder(NamedTuple):
    """A subgraph node that others lie in: its address, and where the document has it."""

    address: str
    graph: str
    node: str


class Nothing(Enum):
    """Why a wire leads nowhere."""

    UNWIRED = "unwired"
    MUTED = "muted"


@dataclass(slots=True)
class FlatNode:
    """A node that may run.

    Attributes:
        address: ``sub/k_sampler``: where it is in the nesting of subgraphs.
        graph: Name of the definition that holds it.
        node: As the document has it, with the values its exposed knobs were given outside.
        spec: Its type.
        wires: Input or knob → where its value comes from.
        muted: Lazy inputs that lead to muted nodes.
        within: The subgraph nodes it lies in, outermost first.
    """

    address: str
    graph: str
    node: Node
    spec: NodeSpec
    wires: dict[str, Source] = field(default_factory=dict[str, Source])
    muted: set[str] = field(default_factory=set[str])
    within: tuple[Holder, ...] = ()


@dataclass(slots=True)
class Flat:
    """A flattened document.

    Attributes:
        nodes: By address; those that neither are muted nor need a muted node.
        order: Addresses, sources first; nodes that depend on a cycle are left out.
        skipped: Address → why it is out of the run.
        unknown: Addresses of placeholders, with graph and id.
        found: Cycles, bypasses with nothing to pass, inputs that turn out to be unwired.
    """

    nodes: dict[str, FlatNode] = field(default_factory=dict[str, FlatNode])
    order: list[str] = field(default_factory=list[str])
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    unknown: dict[str, tuple[str, str]] = field(default_factory=dict[str, "tuple[str, str]"])
    found: dict[Problem, None] = field(default_factory=dict[Problem, None])

    @property
    def problems(self) -> list[Problem]:
        """What was found, each once."""
        return list(self.found)


def muted_nodes(content: Content) -> dict[str, set[str]]:
    """Graph → ids of its nodes that are muted, by themselves or by a frame that is off."""
    muted = {
        name: {node.id for node in graph.nodes.values() if node.mode == "mute"}
        for name, graph in content.graphs.items()
    }
    for frame in content.frames.values():
        if not frame.on and frame.graph in muted:
            muted[frame.graph].update(frame.nodes)
    return muted


def flatten(content: Content, catalogue: Catalogue) -> Flat:
    """Resolve modes, frames and subgraphs of the root graph, and order what is left.

    Linear in the number of nodes and wires of the flat graph; never recursive in it, never raising.
    """
    return _Flattening(content, catalogue).result()


class _Place(NamedTuple):
    """An instance of a graph: the root, or a subgraph node and all it lies in."""

    prefix: str
    name: str


class _Located(NamedTuple):
    place: _Place
    source: Socket


@dataclass(slots=True)
class _Instance:
    place: _Place
    outer: _Instance | None
    node: str
    values: Mapping[str, Mapping[str, Json]]
    knob_wires: dict[Socket, _Located]
    within: tuple[Holder, ...] = ()


class _Flattening:
    def __init__(self, content: Content, catalogue: Catalogue) -> None:
        self._content = content
        self._reading = Reading(content, catalogue)
        self._flat = Flat()
        self._instances: dict[str, _Instance] = {}
        self._muted: set[str] = set()
        self._muted_in = muted_nodes(content)
        self._count = 0
        self._resolved: dict[_Located, Source | Nothing] = {}
        self._consumers: dict[str, list[tuple[str, str]]] = {}

    def result(self) -> Flat:
        self._expand()
        for instance in self._instances.values():
            self._wire(instance)
        self._skip_what_needs_the_muted()
        self._order()
        return self._flat

    def _expand(self) -> None:
        waiting = [_Instance(_Place("", ROOT), None, "", {}, {})] if ROOT in self._content.graphs else []
        while waiting:
            instance = waiting.pop()
            self._instances[instance.place.prefix] = instance
            prefix, name = instance.place
            self._count += len(self._content.graphs[name].nodes)
            for node in self._content.graphs[name].nodes.values():
                address = prefix + node.id
                values = instance.values.get(node.id)
                if values:
                    node = replace(node, params={**node.params, **values})
                if node.id in self._muted_in[name]:
                    self._muted.add(address)
                    self._flat.skipped[address] = "muted"
                elif node.mode == "bypass":
                    self._flat.skipped[address] = "bypassed"
                elif node.is_subgraph and node.type in self._content.graphs:
                    self._enter(waiting, instance, node)
                elif (spec := self._reading.spec(node)) is None:
                    self._flat.unknown[address] = (name, node.id)
                else:
                    self._flat.nodes[address] = FlatNode(address, name, node, spec, within=instance.within)

    def _enter(self, waiting: list[_Instance], outer: _Instance, node: Node) -> None:
        prefix, name = outer.place
        refusal = self._refusal(outer, node)
        if refusal:
            self._say("cycle", refusal, "Take the node out of the definition.", name, node.id)
            self._flat.unknown[prefix + node.id] = (name, node.id)
            return
        values: dict[str, dict[str, Json]] = {}
        knob_wires: dict[Socket, _Located] = {}
        outer_wires = self._content.graphs[name].wires
        for exposed in self._content.graphs[node.type].interface.knobs:
            inner, shown = Socket(exposed.node, exposed.knob), Socket(node.id, exposed.name)
            if exposed.name in node.params:
                values.setdefault(exposed.node, {})[exposed.knob] = node.params[exposed.name]
            if shown in outer.knob_wires:
                knob_wires[inner] = outer.knob_wires[shown]
            elif shown in outer_wires:
                knob_wires[inner] = _Located(outer.place, outer_wires[shown])
        place = _Place(f"{prefix}{node.id}/", node.type)
        within = (*outer.within, Holder(prefix + node.id, name, node.id))
        waiting.append(_Instance(place, outer, node.id, values, knob_wires, within))

    def _refusal(self, outer: _Instance, node: Node) -> str:
        """Why a subgraph node cannot be unfolded; empty if it can."""
        at: _Instance | None = outer
        while at is not None:
            if at.place.name == node.type:
                return f"“{node.id}” is a “{node.type}” within “{node.type}”: the definition holds itself."
            at = at.outer
        if len(outer.within) >= MAX_DEPTH:
            return f"“{node.id}” nests subgraphs more than {MAX_DEPTH} deep."
        if self._count + len(self._content.graphs[node.type].nodes) > MAX_NODES:
            return f"“{node.id}” unfolds the document to more than {MAX_NODES:,} nodes."
        return ""

    def _wire(self, instance: _Instance) -> None:
        prefix, name = instance.place
        located = {
            target: _Located(instance.place, source)
            for target, source in self._content.graphs[name].wires.items()
            if target.node != BOUNDARY
        }
        for target, start in {**located, **instance.knob_wires}.items():
            flat = self._flat.nodes.get(prefix + target.node)
            if flat is None:
                continue
            source = self._resolve(start)
            if isinstance(source, Source):
                flat.wires[target.name] = source
                self._consumers.setdefault(source.address, []).append((flat.address, target.name))
            elif source is Nothing.MUTED:
                self._lose(flat, target.name, "")

    def _resolve(self, start: _Located) -> Source | Nothing:
        """Follow a wire through bypassed nodes and boundaries to the node that gives its value."""
        passed: dict[_Located, None] = {}
        at: _Located | Source | Nothing = start
        while isinstance(at, _Located):
            if at in self._resolved:
                at = self._resolved[at]
            elif at in passed:
                self._say_circle(at)
                at = Nothing.UNWIRED
            else:
                passed[at] = None
                at = self._step(at)
        for located in passed:
            self._resolved[located] = at
        return at

    def _step(self, at: _Located) -> _Located | Source | Nothing:
        (prefix, name), source = at
        graph = self._content.graphs[name]
        if source.node == BOUNDARY:
            instance = self._instances[prefix]
            if instance.outer is None:
                return Nothing.UNWIRED
            place = instance.outer.place
            outer = self._content.graphs[place.name].wires.get(Socket(instance.node, source.name))
            return _Located(place, outer) if outer else Nothing.UNWIRED
        node = graph.nodes.get(source.node)
        address = prefix + source.node
        if node is None:
            return Nothing.UNWIRED
        if address in self._muted:
            return Nothing.MUTED
        if node.mode == "bypass":
            return self._through_bypass(at, graph, node)
        inside = f"{address}/"
        if inside in self._instances:
            definition = self._content.graphs[node.type]
            inner = definition.wires.get(Socket(BOUNDARY, source.name))
            return _Located(_Place(inside, node.type), inner) if inner else Nothing.UNWIRED
        return Source(address, source.name)

    def _through_bypass(self, at: _Located, graph: Graph, node: Node) -> _Located | Nothing:
        spec = self._reading.spec(node)
        output = spec.output(at.source.name) if spec else None
        # Of a positive and a negative, each passes its own; otherwise, the first of the type is meant.
        inputs = sorted(spec.inputs, key=lambda item: item.name != at.source.name) if spec else ()
        for item in inputs if output else ():
            feeding = graph.wires.get(Socket(node.id, item.name))
            if output and item.type == output.type and feeding:
                return _Located(at.place, feeding)
        title = f"“{node.id}” is bypassed, and nothing wired to it can stand in for its “{at.source.name}”."
        self._say(
            "bypass", title, "Turn it on, mute it, or wire something of that type.", at.place.name, node.id
        )
        return Nothing.UNWIRED

    def _lose(self, flat: FlatNode, name: str, because: str) -> None:
        """An input that leads to something muted: no wire if optional, else the node is out too."""
        flat.wires.pop(name, None)
        item = flat.spec.input(name)
        if item is not None and flat.spec.lazy:
            flat.muted.add(name)
        elif item is not None and not item.optional:
            self._flat.skipped.setdefault(flat.address, f"needs {because or 'a muted node'}")

    def _skip_what_needs_the_muted(self) -> None:
        waiting = [address for address in self._flat.skipped if address in self._flat.nodes]
        while waiting:
            gone = waiting.pop()
            del self._flat.nodes[gone]
            for address, name in self._consumers.get(gone, ()):
                flat = self._flat.nodes.get(address)
                if flat is None or address in self._flat.skipped:
                    continue
                self._lose(flat, name, f"{gone}, which is skipped")
                if address in self._flat.skipped:
                    waiting.append(address)
        for flat in self._flat.nodes.values():
            for item in flat.spec.inputs:
                if not (item.optional or item.name in flat.wires or item.name in flat.muted):
                    title = f"“{flat.node.id}” gets nothing at “{item.name}”."
                    self._say(
                        "missing_wire", title, "Wire an output to it.", flat.graph, flat.node.id, item.name
                    )

    def _order(self) -> None:
        import networkx as nx  # on demand: it would be a fifth of the editor's start

        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self._flat.nodes)
        graph.add_edges_from(
            (source.address, flat.address)
            for flat in self._flat.nodes.values()
            for source in flat.wires.values()
            if source.address in self._flat.nodes
        )
        for generation in _generations(graph):
            self._flat.order.extend(generation)
        if len(self._flat.order) == len(self._flat.nodes):
            return
        for circle in nx.strongly_connected_components(graph):
            alone = next(iter(circle))
            if len(circle) > 1 or graph.has_edge(alone, alone):
                names = sorted(circle)
                more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
                title = f"These nodes wait for each other: {', '.join(names[:NAMED])}{more}."
                for address in names:
                    flat = self._flat.nodes[address]
                    self._say(
                        "cycle", title, "Take away one of the wires between them.", flat.graph, flat.node.id
                    )

    def _say_circle(self, at: _Located) -> None:
        title = f"A wire through “{at.source.node}” leads back to itself."
        self._say("cycle", title, "Take away one of the wires.", at.place.name, at.source.node)

    def _say(self, kind: str, title: str, remedy: str, graph: str, node: str, socket: str = "") -> None:
        self._flat.found[Problem(kind, title, remedy, graph, node, socket)] = None  # pyright: ignore[reportArgumentType]


def _generations(graph: nx.DiGraph[str]) -> list[list[str]]:
    """Nodes sources first, as far as no cycle is in the way."""
    import networkx as nx

    generations: list[list[str]] = []
    try:
        for generation in nx.topological_generations(graph):
            generations.append(generation)
    except nx.NetworkXUnfeasible:
        pass
    return generations
