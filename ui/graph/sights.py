"""What a node looks like, gathered: document, catalogue, wires, run, and where hand and keyboard are."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.graph import BOUNDARY, Interface, Node
from studio.reading import Reading
from ui.graph.boundary import inputs_face, outputs_face, side_nodes
from ui.graph.face import Face, face_of, width_of
from ui.graph.layout import Box, Layout, Part
from ui.graph.node_item import picture_ratio
from ui.graph.painter import Sight
from ui.graph.status import GraphStatus, NodeStatus
from ui.graph.wiring import Wiring


@dataclass
class Marks:
    """Where hand and keyboard are: view state, and no edit.

    Attributes:
        selected: Ids of nodes, in the order they were selected.
        focus: The node the keyboard is at, or empty.
        focus_shown: Whether that is drawn.
        hover: Node and part under the mouse.
        edited: Node and knob whose editor is open.
    """

    selected: dict[str, None] = field(default_factory=dict[str, None])
    focus: str = ""
    focus_shown: bool = False
    hover: tuple[str, Part] | None = None
    edited: tuple[str, str] | None = None

    def show_on(self, sight: Sight) -> None:
        """Bring the marks of one node up to date."""
        node = sight.node.id
        sight.selected = node in self.selected
        sight.focused = self.focus_shown and node == self.focus
        sight.hover = self.hover[1] if self.hover and self.hover[0] == node else None
        sight.edited = self.edited[1] if self.edited and self.edited[0] == node else ""


class Sights:
    """Makes the sights of one graph's nodes.

    Args:
        status: View state of the nodes.
        graph: Name of the graph.
        prefix: Address of the subgraph node through which it is seen.
    """

    def __init__(self, status: GraphStatus, graph: str, prefix: str) -> None:
        self._status = status
        self._graph = graph
        self._prefix = prefix
        self.marks = Marks()
        self.off: frozenset[str] = frozenset()
        """Nodes that a frame mutes."""

    def make(self, node: Node, reading: Reading, wiring: Wiring) -> Sight:
        """The sight of a node as everything is now."""
        fed, used = wiring.fed(node.id), wiring.used(node.id)
        face = face_of(node, reading, sorted(fed), sorted(used))
        status = self._status.node(self._prefix + node.id)
        problems = self._status.problems_of(self._graph, node.id)
        sight = Sight(
            node=node,
            face=face,
            layout=layout_of(node, face, status),
            wires=self._status.catalogue.wires,
            status=status,
            problems=problems,
            fed=fed,
            used=used,
            framed_off=node.id in self.off,
            blamed=frozenset(problem.socket for problem in problems if problem.socket),
        )
        self.marks.show_on(sight)
        return sight

    def sides(self, interface: Interface, inner: Box | None, wiring: Wiring) -> tuple[Sight, Sight]:
        """The sights of a definition's own sockets, inside it: where it is fed and what it gives."""
        used, fed = wiring.used(BOUNDARY), wiring.fed(BOUNDARY)
        nodes, wires = side_nodes(inner), self._status.catalogue.wires
        faces = inputs_face(interface, used), outputs_face(interface, fed)
        made = [
            Sight(node, face, face.layout(width_of(node)), wires, fed=fed, used=used)
            for node, face in zip(nodes, faces, strict=True)
        ]
        for sight in made:
            self.marks.show_on(sight)
        return made[0], made[1]


def layout_of(node: Node, face: Face, status: NodeStatus) -> Layout:
    """Where the parts of a node lie, with room for the picture it has."""
    size = status.picture.size() if status.picture is not None else None
    shape = (size.width(), size.height()) if size is not None else None
    return face.layout(width_of(node), picture_ratio(face.shows, shape))
