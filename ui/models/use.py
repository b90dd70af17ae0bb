"""Putting a model into the graph: into the selected node where it fits, else as a new loader."""

from __future__ import annotations

from PySide6.QtCore import QPointF

from studio import gestures
from studio.catalogue import Catalogue
from studio.edits import Batch, SetKnob
from studio.models.catalogue import Entry
from studio.spec import KnobSpec, NodeSpec
from ui.graph.scene import GraphScene


def knob_for(spec: NodeSpec, entry: Entry) -> KnobSpec | None:
    """The knob of a node that takes files of this type."""
    for knob in spec.knobs:
        kinds = knob.options.get("kinds")
        if knob.kind == "file" and isinstance(kinds, list) and entry.type in kinds:
            return knob
    return None


def loader_for(catalogue: Catalogue, entry: Entry) -> tuple[NodeSpec, KnobSpec] | None:
    """The node that loads this type of model: the one that takes the fewest other types."""
    found = [(spec, knob) for spec in catalogue.specs.values() if (knob := knob_for(spec, entry)) is not None]
    return min(found, key=lambda pair: (len(_kinds(pair[1])), len(pair[0].inputs)), default=None)


def use(scene: GraphScene, catalogue: Catalogue, entry: Entry, pos: QPointF) -> str:
    """Use a model, as one entry of undo; the node's id, or empty where no node takes such a file."""
    if len(scene.selected) == 1:
        node = scene.content.graphs[scene.name].nodes[scene.selected[0]]
        spec = catalogue.specs.get(node.type)
        knob = knob_for(spec, entry) if spec else None
        if knob is not None:
            edit = SetKnob(scene.name, node.id, knob.name, str(entry.path))
            scene.editing.apply(edit, f"Use {entry.path.name}")
            return node.id
    loader = loader_for(catalogue, entry)
    if loader is None:
        return ""
    spec, knob = loader
    added, made = gestures.add(scene.content, scene.name, spec, (round(pos.x()), round(pos.y())))
    filled = SetKnob(scene.name, made, knob.name, str(entry.path))
    scene.editing.apply(Batch((added, filled)), f"Add {entry.path.name}")
    scene.raise_node(made)
    scene.select([made])
    return made


def _kinds(knob: KnobSpec) -> list[object]:
    kinds = knob.options.get("kinds")
    return list(kinds) if isinstance(kinds, list) else []
