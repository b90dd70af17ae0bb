"""A definition's own sockets, shown inside it as two nodes at its sides. No Qt."""

from __future__ import annotations

from collections.abc import Iterable

from studio.graph import BOUNDARY, Interface, Node
from studio.spec import InputSpec, OutputSpec
from studio.types import ANY
from ui.graph.face import Face
from ui.graph.layout import WIDTH, Box

SIDE = 180.0
GAP = 70.0
DOC_INPUTS = "What nodes of this definition are given from outside."
DOC_OUTPUTS = "What nodes of this definition give to the outside."


def inputs_face(interface: Interface, used: Iterable[str]) -> Face:
    """The node at the left: each input of the definition is an output here.

    Args:
        interface: Of the definition.
        used: Names that wires start at, known to the interface or not.
    """
    ports = [OutputSpec(port.name, port.type, port.many) for port in interface.inputs]
    known = {port.name for port in ports}
    ports += [OutputSpec(name, ANY) for name in sorted(used) if name not in known]
    return Face("Inputs", DOC_INPUTS, outputs=tuple(ports))


def outputs_face(interface: Interface, fed: Iterable[str]) -> Face:
    """The node at the right: each output of the definition is an input here."""
    ports = [InputSpec(port.name, port.type, port.many) for port in interface.outputs]
    known = {port.name for port in ports}
    ports += [InputSpec(name, ANY) for name in sorted(fed) if name not in known]
    return Face("Outputs", DOC_OUTPUTS, inputs=tuple(ports))


def side_nodes(inner: Box | None) -> tuple[Node, Node]:
    """Where the two stand: beside everything the definition holds."""
    box = inner or Box(0, 0, WIDTH, 0)
    look = {"width": SIDE}
    left = Node(BOUNDARY, "/inputs", pos=(box.x - GAP - SIDE, box.y), look=look)
    return left, Node(BOUNDARY, "/outputs", pos=(box.x + box.width + GAP, box.y), look=look)
