"""Every change to a document, as a frozen value whose `apply` gives the new content and its inverse.

An edit names the graph it acts in. Edits survive JSON (`to_json`, `from_json`), which makes the same value
undo entry, change notice, crash journal and test script.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, cast

from studio.errors import EditError
from studio.graph import BOUNDARY, ROOT, Frame, Graph, Interface, Node, Note, Socket

if TYPE_CHECKING:
    from studio.document import Content
    from studio.types import Json

Part = Literal["title", "form", "canvas", "models", "requires", "extra"]
NodeField = Literal["title", "mode", "look"]


class Edit(Protocol):
    """A change to a document."""

    def apply(self, content: Content) -> tuple[Content, Edit]:
        """Return the changed content and the edit that leads back.

        Raises:
            EditError: The edit does not fit this content.
        """
        ...


def _graph(content: Content, name: str) -> Graph:
    try:
        return content.graphs[name]
    except KeyError:
        raise EditError(f"There is no definition named “{name}” in this document.") from None


def _node(graph: Graph, node: str) -> Node:
    try:
        return graph.nodes[node]
    except KeyError:
        raise EditError(f"There is no node “{node}” in this graph.") from None


def _with_graph(content: Content, name: str, graph: Graph) -> Content:
    return replace(content, graphs={**content.graphs, name: graph})


def _with_node(content: Content, name: str, node: Node) -> Content:
    graph = content.graphs[name]
    return _with_graph(content, name, replace(graph, nodes={**graph.nodes, node.id: node}))


@dataclass(frozen=True)
class PutNode:
    """Put `node` under its id, new or in place of another; `None` takes the node `id` away.

    A node is only taken away once no wire touches it (see `studio.gestures.remove`).
    """

    graph: str
    id: str
    node: Node | None

    def apply(self, content: Content) -> tuple[Content, Edit]:
        graph = _graph(content, self.graph)
        inverse = PutNode(self.graph, self.id, graph.nodes.get(self.id))
        if self.node is None:
            _node(graph, self.id)
            if self.id in graph.wired_nodes:
                raise EditError(f"“{self.id}” still has wires; they go first.", node=self.id)
            nodes = dict(graph.nodes)
            del nodes[self.id]
        else:
            if self.node.id != self.id or not self.id or set("/.") & set(self.id):
                raise EditError(f"“{self.node.id}” cannot be the id of a node.")
            nodes = {**graph.nodes, self.id: self.node}
        after = replace(graph, nodes=nodes)
        if self.node is None:
            # The wires are the same, so what they touch is too: a thousand nodes go without a thousand scans.
            after.__dict__["wired_nodes"] = graph.wired_nodes
        return _with_graph(content, self.graph, after), inverse


@dataclass(frozen=True)
class SetWire:
    """Feed `target` from `source`, in place of whatever fed it; `None` leaves it unwired."""

    graph: str
    target: Socket
    source: Socket | None

    def apply(self, content: Content) -> tuple[Content, Edit]:
        graph = _graph(content, self.graph)
        inverse = SetWire(self.graph, self.target, graph.wires.get(self.target))
        if self.source is None:
            wires = dict(graph.wires)
            wires.pop(self.target, None)
        else:
            for end in (self.target, self.source):
                if end.node != BOUNDARY or self.graph == ROOT:
                    _node(graph, end.node)
            wires = {**graph.wires, self.target: self.source}
        return _with_graph(content, self.graph, replace(graph, wires=wires)), inverse


@dataclass(frozen=True)
class SetKnob:
    """Give a knob a value; without a value (`unset`), the knob goes back to the type's default."""

    graph: str
    node: str
    knob: str
    value: Json
    unset: bool = False

    def apply(self, content: Content) -> tuple[Content, Edit]:
        node = _node(_graph(content, self.graph), self.node)
        old = node.params.get(self.knob)
        inverse = SetKnob(self.graph, self.node, self.knob, old, unset=self.knob not in node.params)
        params = dict(node.params)
        if self.unset:
            params.pop(self.knob, None)
        else:
            params[self.knob] = self.value
        return _with_node(content, self.graph, replace(node, params=params)), inverse


@dataclass(frozen=True)
class MoveNodes:
    """Place nodes at positions, in scene units."""

    graph: str
    positions: Mapping[str, tuple[float, float]]

    def apply(self, content: Content) -> tuple[Content, Edit]:
        graph = _graph(content, self.graph)
        before = {key: _node(graph, key).pos for key in self.positions}
        moved = {key: replace(graph.nodes[key], pos=pos) for key, pos in self.positions.items()}
        after = replace(graph, nodes={**graph.nodes, **moved})
        return _with_graph(content, self.graph, after), MoveNodes(self.graph, before)


@dataclass(frozen=True)
class SetNodeField:
    """Change a node's title, mode or look."""

    graph: str
    node: str
    field: NodeField
    value: Json

    def apply(self, content: Content) -> tuple[Content, Edit]:
        node = _node(_graph(content, self.graph), self.node)
        old = cast("Json", getattr(node, self.field))
        changed = replace(node, **{self.field: self.value})  # pyright: ignore[reportArgumentType]
        return _with_node(content, self.graph, changed), SetNodeField(self.graph, self.node, self.field, old)


@dataclass(frozen=True)
class PutDefinition:
    """Put a subgraph definition under a name; `None` takes it away."""

    name: str
    definition: Graph | None

    def apply(self, content: Content) -> tuple[Content, Edit]:
        if self.name == ROOT or set("/.") & set(self.name):
            raise EditError(f"“{self.name}” cannot be the name of a definition.")
        inverse = PutDefinition(self.name, content.graphs.get(self.name))
        if self.definition is None:
            _graph(content, self.name)
            graphs = {name: graph for name, graph in content.graphs.items() if name != self.name}
        else:
            graphs = {**content.graphs, self.name: self.definition}
        return replace(content, graphs=graphs), inverse


@dataclass(frozen=True)
class SetInterface:
    """Change what a definition shows to the outside."""

    graph: str
    interface: Interface

    def apply(self, content: Content) -> tuple[Content, Edit]:
        graph = _graph(content, self.graph)
        after = _with_graph(content, self.graph, replace(graph, interface=self.interface))
        return after, SetInterface(self.graph, graph.interface)


@dataclass(frozen=True)
class SetGraphTitle:
    """Rename a definition as the user sees it."""

    graph: str
    title: str

    def apply(self, content: Content) -> tuple[Content, Edit]:
        graph = _graph(content, self.graph)
        after = _with_graph(content, self.graph, replace(graph, title=self.title))
        return after, SetGraphTitle(self.graph, graph.title)


@dataclass(frozen=True)
class PutFrame:
    """Put a frame under its id; `None` takes it away."""

    id: str
    frame: Frame | None

    def apply(self, content: Content) -> tuple[Content, Edit]:
        frames = dict(content.frames)
        inverse = PutFrame(self.id, frames.pop(self.id, None))
        if self.frame is not None:
            if self.frame.id != self.id:
                raise EditError(f"“{self.frame.id}” cannot be put in the place of “{self.id}”.")
            frames[self.id] = self.frame
        return replace(content, frames=frames), inverse


@dataclass(frozen=True)
class PutNote:
    """Put a note under its id; `None` takes it away."""

    id: str
    note: Note | None

    def apply(self, content: Content) -> tuple[Content, Edit]:
        notes = dict(content.notes)
        inverse = PutNote(self.id, notes.pop(self.id, None))
        if self.note is not None:
            if self.note.id != self.id:
                raise EditError(f"“{self.note.id}” cannot be put in the place of “{self.id}”.")
            notes[self.id] = self.note
        return replace(content, notes=notes), inverse


@dataclass(frozen=True)
class SetPart:
    """Replace one part of the document that no graph owns."""

    part: Part
    value: Json

    def apply(self, content: Content) -> tuple[Content, Edit]:
        old = cast("Json", getattr(content, self.part))
        changed = replace(content, **{self.part: self.value})  # pyright: ignore[reportArgumentType]
        return changed, SetPart(self.part, old)


@dataclass(frozen=True)
class Batch:
    """Several edits as one: all of them or none."""

    edits: tuple[Edit, ...]

    def apply(self, content: Content) -> tuple[Content, Edit]:
        inverses: list[Edit] = []
        for edit in self.edits:
            content, inverse = edit.apply(content)
            inverses.append(inverse)
        return content, Batch(tuple(reversed(inverses)))


AnyEdit = (
    PutNode
    | SetWire
    | SetKnob
    | MoveNodes
    | SetNodeField
    | PutDefinition
    | SetInterface
    | SetGraphTitle
    | PutFrame
    | PutNote
    | SetPart
    | Batch
)
