"""A document read with a catalogue: what type every socket has, and why a wire cannot be."""

from __future__ import annotations

from dataclasses import replace

from studio.catalogue import Catalogue
from studio.document import Content
from studio.graph import BOUNDARY, ExposedKnob, Graph, Node, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.types import ANY

_WIDENING = {("int", "float")}


class Reading:
    """Specs and socket types of one content; answers are remembered, so that many questions stay cheap.

    Made for one content and thrown away with it. Any thread, one at a time.
    """

    def __init__(self, content: Content, catalogue: Catalogue) -> None:
        self.content = content
        self.catalogue = catalogue
        self._definitions: dict[str, NodeSpec | None] = {}
        self._any: dict[tuple[str, str], str] = {}
        self._knobs: dict[tuple[str, str], KnobSpec | None] = {}
        self._exposures: dict[str, dict[str, ExposedKnob]] = {}
        self._ports: dict[tuple[str, bool], dict[str, str]] = {}

    def spec(self, node: Node) -> NodeSpec | None:
        """The spec of a node's type; for a subgraph, made from its definition; None if unknown."""
        if not node.is_subgraph:
            return self.catalogue.specs.get(node.type)
        if node.type not in self._definitions:
            definition = self.content.graphs.get(node.type)
            made = self._definition_spec(node.type, definition) if definition is not None else None
            self._definitions[node.type] = made
        return self._definitions[node.type]

    def _definition_spec(self, name: str, definition: Graph) -> NodeSpec:
        shown = definition.interface
        knobs = (self._exposed(name, exposed.name) for exposed in shown.knobs)
        return NodeSpec(
            type=name,
            title=definition.title or name,
            category="Subgraphs",
            inputs=tuple(InputSpec(port.name, port.type, port.many, port.optional) for port in shown.inputs),
            knobs=tuple(knob for knob in knobs if knob),
            outputs=tuple(OutputSpec(port.name, port.type, port.many) for port in shown.outputs),
        )

    def _exposed(self, definition: str, name: str) -> KnobSpec | None:
        """A knob that a definition shows, found through all the definitions that hand it on."""
        passed: list[tuple[tuple[str, str], Node]] = []
        knob: KnobSpec | None = None
        place: tuple[str, str] | None = (definition, name)
        while place is not None:
            if place in self._knobs:
                knob, place = self._knobs[place], None
                continue
            self._knobs[place] = None  # a definition that holds itself finds no knob
            graph, shown = self.content.graphs.get(place[0]), self._shown(place[0]).get(place[1])
            inner = graph.nodes.get(shown.node) if graph and shown else None
            if inner is None or shown is None:
                break
            passed.append((place, inner))
            place = (inner.type, shown.knob) if inner.is_subgraph else None
            spec = None if inner.is_subgraph else self.catalogue.specs.get(inner.type)
            knob = spec.knob(shown.knob) if spec else None
        for (graph_name, shown_name), inner in reversed(passed):
            if knob is not None:
                own = self._shown(graph_name)[shown_name].knob
                knob = replace(knob, name=shown_name, default=inner.params.get(own, knob.default))
            self._knobs[graph_name, shown_name] = knob
        return knob

    def _shown(self, definition: str) -> dict[str, ExposedKnob]:
        if definition not in self._exposures:
            graph = self.content.graphs.get(definition)
            self._exposures[definition] = {knob.name: knob for knob in graph.interface.knobs} if graph else {}
        return self._exposures[definition]

    def _port(self, graph: str, name: str, *, output: bool) -> str | None:
        """Wire type of a definition's own input or output."""
        if (graph, output) not in self._ports:
            shown = self.content.graphs[graph].interface
            ports = shown.outputs if output else shown.inputs
            self._ports[graph, output] = {port.name: port.type for port in ports}
        return self._ports[graph, output].get(name)

    def output_type(self, graph: str, source: Socket) -> str | None:
        """Wire type that comes out of `source`; None if there is no such output.

        An output of type ``any`` is what its node was given; ``any`` where nothing was. Definitions bind
        nothing: their sockets of that type take and give anything.
        """
        seen: dict[tuple[str, str], None] = {}
        found: str | None = None
        while True:
            if source.node == BOUNDARY:
                found = self._port(graph, source.name, output=False)
                break
            node = self.content.graphs[graph].nodes.get(source.node)
            spec = self.spec(node) if node else None
            output = spec.output(source.name) if spec else None
            if node is None or spec is None or output is None or output.type != ANY or node.is_subgraph:
                found = output.type if output else None
                break
            place = (graph, source.node)
            if place in self._any or place in seen:
                found = self._any.get(place, ANY)
                break
            seen[place] = None
            feeding = self._first_any(graph, source.node, spec)
            if feeding is None:
                found = ANY
                break
            source = feeding
        for place in seen:
            self._any[place] = found or ANY
        return (found or ANY) if seen else found

    def _first_any(self, graph: str, node: str, spec: NodeSpec, but: str = "") -> Socket | None:
        """What feeds the first input of type ``any`` that is wired, `but` for one."""
        wires = self.content.graphs[graph].wires
        for item in spec.inputs:
            if item.type == ANY and item.name != but and Socket(node, item.name) in wires:
                return wires[Socket(node, item.name)]
        return None

    def input_type(self, graph: str, target: Socket) -> str | None:
        """Wire type that `target` takes (a knob's, for knobs); None if no wire can end there.

        Inputs of type ``any`` take, all of a node, what the first of them was given.
        """
        if target.node == BOUNDARY:
            return self._port(graph, target.name, output=True)
        node = self.content.graphs[graph].nodes.get(target.node)
        spec = self.spec(node) if node else None
        if node is None or spec is None:
            return None
        item = spec.input(target.name)
        if item is None:
            knob = spec.knob(target.name)
            return knob.wire if knob else None
        if item.type != ANY or node.is_subgraph:
            return item.type
        other = self._first_any(graph, target.node, spec, target.name)
        return (self.output_type(graph, other) or ANY) if other else item.type

    def refusal(self, graph: str, source: Socket, target: Socket) -> str | None:
        """Why no wire can go from `source` to `target`, as a sentence; None if it can.

        Looks at types only; whether the wire would close a cycle is `closes_cycle`.
        """
        taken, given = self.input_type(graph, target), self.output_type(graph, source)
        if taken is None:
            what = "output" if target.node == BOUNDARY else "input"
            return f"{_owner(target, 'The')} has no {what} “{target.name}”."
        if given is None:
            what = "input" if source.node == BOUNDARY else "output"
            return f"{_owner(source, 'The')} has no {what} “{source.name}”."
        if fits(given, taken):
            return None
        what = f"“{target.name}” of {_owner(target)} takes {_named(taken)}"
        return f"{what}, and “{source.name}” is {_named(given)}."

    def closes_cycle(self, graph: str, source: Socket, target: Socket) -> bool:
        """True if a wire from `source` to `target` would lead back to where it starts."""
        if BOUNDARY in (source.node, target.node):
            return False
        feeding: dict[str, list[str]] = {}
        for end, start in self.content.graphs[graph].wires.items():
            feeding.setdefault(end.node, []).append(start.node)
        waiting, seen = [source.node], set[str]()
        while waiting:
            node = waiting.pop()
            if node == target.node:
                return True
            if node not in seen:
                seen.add(node)
                waiting.extend(feeding.get(node, ()))
        return False


def fits(given: str, taken: str) -> bool:
    """True if a wire of type `given` may end at a socket of type `taken`."""
    return given == taken or ANY in (given, taken) or (given, taken) in _WIDENING


def _owner(socket: Socket, article: str = "the") -> str:
    return f"“{socket.node}”" if socket.node != BOUNDARY else f"{article} definition"


def _named(wire_type: str) -> str:
    name = wire_type.rpartition("/")[2].replace("_", " ")
    return f"{'an' if name[:1] in 'aeio' else 'a'} {name}"
