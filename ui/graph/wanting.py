"""Which sockets a wire in the hand may end at. No Qt."""

from __future__ import annotations

from studio.graph import Socket
from studio.reading import Reading, fits
from ui.graph.face import Face
from ui.graph.layout import Part


class Wanting:
    """Asked by every node as it is painted; shared by all of a scene.

    It knows nothing of scene or items: items that led back to their scene would make cycles, and Python's
    collector takes those apart in an order that Qt does not survive.
    """

    def __init__(self) -> None:
        self._fixed: Socket | None = None
        self._output = False
        self._graph = ""
        self._reading: Reading | None = None
        self._found: dict[str, frozenset[Part]] = {}

    def start(self, fixed: Socket, *, output: bool, graph: str, reading: Reading) -> None:
        """A wire hangs on the socket `fixed`, an output or not."""
        self._fixed, self._output, self._graph, self._reading = fixed, output, graph, reading
        self._found.clear()

    def stop(self) -> None:
        """No wire is in the hand."""
        self._fixed = self._reading = None
        self._found.clear()

    def parts(self, node: str, face: Face) -> frozenset[Part] | None:
        """Sockets of a node that fit by type; None while there is no wire in the hand."""
        if self._fixed is None or self._reading is None:
            return None
        place = f"{node}/{face.title}"  # a definition's two sides share an id
        if place not in self._found:
            self._found[place] = self._matching(node, face, self._fixed, self._reading)
        return self._found[place]

    def _matching(self, node: str, face: Face, fixed: Socket, reading: Reading) -> frozenset[Part]:
        if node == fixed.node or face.missing:
            return frozenset()
        if self._output:
            here = reading.output_type(self._graph, fixed) or "any"
            inputs = [Part("input", one.name) for one in face.inputs if fits(here, one.type)]
            driven = [knob for knob in face.knobs if knob.wire and fits(here, knob.wire)]
            return frozenset(inputs + [Part("knob_socket", knob.name) for knob in driven])
        here = reading.input_type(self._graph, fixed) or "any"
        given = ((one.name, reading.output_type(self._graph, Socket(node, one.name))) for one in face.outputs)
        return frozenset(Part("output", name) for name, kind in given if kind and fits(kind, here))
