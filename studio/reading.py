"""A document read with a catalogue: what type every socket has, and why a wire cannot be."""

from __future__ import annotations

from dataclasses import replace

from studio.catalogue import Catalogue
from studio.document import Content
from studio.graph import BOUNDARY, Graph, Node, Socket
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

    def spec(self, node: Node) -> NodeSpec | None:
        """The spec of a node's type; for a subgraph, made from its definition; None if unknown."""
        if not node.is_subgraph:
            return self.catalogue.specs.get(node.type)
        if node.type not in self._definitions:
            self._definitions[node.type] = None  # a definition that holds itself finds no spec
            definition = self.content.graphs.get(node.type)
            if definition is not None:
                self._definitions[node.type] = self._definition_spec(node.type, definition)
        return self._definitions[node.type]

    def _definition_spec(self, name: str, definition: Graph) -> NodeSpec:
        shown = definition.interface
        knobs: list[KnobSpec] = []
        for exposed in shown.knobs:
            inner = definition.nodes.get(exposed.node)
            spec = self.spec(inner) if inner else None
            knob = spec.knob(exposed.knob) if spec else None
            if inner and knob:
                default = inner.params.get(exposed.knob, knob.default)
                knobs.append(replace(knob, name=exposed.name, default=default))
        return NodeSpec(
            type=name,
            title=definition.title or name,
            category="Subgraphs",
            inputs=tuple(InputSpec(port.name, port.type, port.many, port.optional) for port in shown.inputs),
            knobs=tuple(knobs),
            outputs=tuple(OutputSpec(port.name, port.type, port.many) for port in shown.outputs),
        )

    def output_type(self, graph: str, source: Socket) -> str | None:
        """Wire type that comes out of `source`; None if there is no such output.

        An output of type ``any`` is what its node was given; ``any`` where nothing was.
        """
        seen: list[tuple[str, str]] = []
        found: str | None = None
        while True:
            if source.node == BOUNDARY:
                ports = self.content.graphs[graph].interface.inputs
                found = next((port.type for port in ports if port.name == source.name), None)
                break
            node = self.content.graphs[graph].nodes.get(source.node)
            spec = self.spec(node) if node else None
            output = spec.output(source.name) if spec else None
            if spec is None or output is None or output.type != ANY:
                found = output.type if output else None
                break
            place = (graph, source.node)
            if place in self._any or place in seen:
                found = self._any.get(place, ANY)
                break
            seen.append(place)
            feeding = self._first_any(graph, source.node, spec)
            if feeding is None:
                found = ANY
                break
            source = feeding
        for place in seen:
            self._any[place] = found or ANY
        return (found or ANY) if seen else found

    def _first_any(self, graph: str, node: str, spec: NodeSpec) -> Socket | None:
        wires = self.content.graphs[graph].wires
        for item in spec.inputs:
            if item.type == ANY and Socket(node, item.name) in wires:
                return wires[Socket(node, item.name)]
        return None

    def input_type(self, graph: str, target: Socket) -> str | None:
        """Wire type that `target` takes (a knob's, for knobs); None if no wire can end there."""
        if target.node == BOUNDARY:
            ports = self.content.graphs[graph].interface.outputs
            return next((port.type for port in ports if port.name == target.name), None)
        node = self.content.graphs[graph].nodes.get(target.node)
        spec = self.spec(node) if node else None
        if spec is None:
            return None
        item = spec.input(target.name)
        if item is not None:
            return item.type
        knob = spec.knob(target.name)
        return knob.wire if knob else None

    def refusal(self, graph: str, source: Socket, target: Socket) -> str | None:
        """Why no wire can go from `source` to `target`, as a sentence; None if it can.

        Looks at types only; whether the wire would close a cycle is `closes_cycle`.
        """
        taken, given = self.input_type(graph, target), self.output_type(graph, source)
        if taken is None:
            return f"“{target.node}” has no input “{target.name}”."
        if given is None:
            return f"“{source.node}” has no output “{source.name}”."
        if fits(given, taken):
            return None
        what = f"“{target.name}” of “{target.node}” takes {_named(taken)}"
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


def _named(wire_type: str) -> str:
    name = wire_type.rpartition("/")[2].replace("_", " ")
    return f"{'an' if name[:1] in 'aeio' else 'a'} {name}"
