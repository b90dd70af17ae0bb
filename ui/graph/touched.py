"""Which parts of one graph's picture an edit concerns. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.edits import (
    Batch,
    Edit,
    MoveNodes,
    PutDefinition,
    PutFrame,
    PutNode,
    PutNote,
    SetGraphTitle,
    SetInterface,
    SetKnob,
    SetNodeField,
    SetWire,
)
from studio.graph import Socket


@dataclass
class Touched:
    """What to look at again.

    Attributes:
        nodes: Ids of nodes that are new, changed or gone.
        moved: Ids of nodes that were only moved.
        wires: Inputs whose wire is new, changed or gone.
        frames: Ids of frames.
        notes: Ids of notes.
        subgraphs: A definition changed, and with it what its nodes show.
        everything: The graph itself came, went or was replaced.
    """

    nodes: set[str] = field(default_factory=set[str])
    moved: set[str] = field(default_factory=set[str])
    wires: set[Socket] = field(default_factory=set[Socket])
    frames: set[str] = field(default_factory=set[str])
    notes: set[str] = field(default_factory=set[str])
    subgraphs: bool = False
    everything: bool = False


def touched(edit: Edit, graph: str) -> Touched:
    """What `edit` changes in the picture of `graph`."""
    found = Touched()
    _look(edit, graph, found)
    return found


def _look(edit: Edit, graph: str, found: Touched) -> None:
    match edit:
        case Batch(edits):
            for part in edits:
                _look(part, graph, found)
        case PutFrame(frame):
            found.frames.add(frame)
        case PutNote(note):
            found.notes.add(note)
        case PutDefinition(name):
            found.subgraphs = True
            found.everything |= name == graph
        case PutNode(where) | SetWire(where) | SetKnob(where) | SetNodeField(where) | MoveNodes(where):
            if where == graph:
                _look_inside(edit, found)
            else:
                found.subgraphs = True
        case SetInterface() | SetGraphTitle():
            found.subgraphs = True
        case _:
            pass  # parts of the document that no graph owns show nowhere in a scene


def _look_inside(edit: Edit, found: Touched) -> None:
    match edit:
        case PutNode(_, node):
            found.nodes.add(node)
        case SetKnob(_, node) | SetNodeField(_, node):
            found.nodes.add(node)
        case SetWire(_, target):
            found.wires.add(target)
        case MoveNodes(_, positions):
            found.moved.update(positions)
