"""Putting a model into the graph: into a node where it fits, else as a new loader."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPointF

from studio import gestures
from studio.catalogue import Catalogue
from studio.edits import Batch, Edit, SetKnob
from studio.graph import Node
from studio.spec import KnobSpec, NodeSpec
from ui.graph.scene import GraphScene

PROMPT = "core/encode_text"


def knobs_for(spec: NodeSpec, model: str) -> list[KnobSpec]:
    """The knobs of a node that take files of a type of model; of an unknown type, all that take models."""
    models = [knob for knob in spec.knobs if knob.kind == "file" and knob.options.get("content") == "model"]
    return [knob for knob in models if not model or model in _kinds(knob)]


def loader_for(catalogue: Catalogue, model: str) -> tuple[NodeSpec, KnobSpec] | None:
    """The node that loads a type of model: it takes the fewest other types, and gives the most."""
    found = [(spec, knobs[0]) for spec in catalogue.specs.values() if (knobs := knobs_for(spec, model))]
    return min(found, key=lambda pair: (len(_kinds(pair[1])), -len(pair[0].outputs)), default=None)


def use(scene: GraphScene, catalogue: Catalogue, path: Path, model: str, pos: QPointF, into: str = "") -> str:
    """Use a model, as one entry of undo.

    Args:
        scene: The graph.
        catalogue: The nodes there are.
        path: File or folder.
        model: Its type, as `studio.models.kinds.Type`; empty if it is not known.
        pos: Where a new loader is put.
        into: A node that gets the file, if it takes such a one.

    Returns:
        The node's id; empty where no node takes such a file.
    """
    node = scene.content.graphs[scene.name].nodes.get(into)
    spec = catalogue.specs.get(node.type) if node else None
    if node is not None and spec is not None:
        edit = _into(scene, node, spec, path, model)
        if edit is not None:
            scene.editing.apply(edit, f"Use {path.name}")
            scene.select([node.id])
            return node.id
    if model == "embedding":
        return _named(scene, catalogue, path, pos)
    loader = loader_for(catalogue, model) if model else None
    return _added(scene, *loader, str(path), path.name, pos) if loader is not None else ""


def _into(scene: GraphScene, node: Node, spec: NodeSpec, path: Path, model: str) -> Edit | None:
    """The edit that lets a node use a model: its first knob for such files that is empty, else the first."""
    knobs = knobs_for(spec, model)
    if knobs:
        empty = (knob for knob in knobs if not node.params.get(knob.name, knob.default))
        return SetKnob(scene.name, node.id, next(empty, knobs[0]).name, str(path))
    prompt = _prompt(spec) if model == "embedding" else None
    if prompt is None:
        return None
    text = f"{node.params.get(prompt.name, prompt.default)} {_mention(path)}".strip()
    return SetKnob(scene.name, node.id, prompt.name, text)


def _named(scene: GraphScene, catalogue: Catalogue, path: Path, pos: QPointF) -> str:
    """A prompt that names an embedding: no node loads one."""
    spec = catalogue.specs.get(PROMPT)
    knob = _prompt(spec) if spec else None
    return _added(scene, spec, knob, _mention(path), path.name, pos) if spec and knob else ""


def _added(scene: GraphScene, spec: NodeSpec, knob: KnobSpec, value: str, name: str, pos: QPointF) -> str:
    added, made = gestures.add(scene.content, scene.name, spec, (round(pos.x()), round(pos.y())))
    scene.editing.apply(Batch((added, SetKnob(scene.name, made, knob.name, value))), f"Add {name}")
    scene.raise_node(made)
    scene.select([made])
    return made


def _prompt(spec: NodeSpec) -> KnobSpec | None:
    """The first text of a node that encodes text."""
    encodes = any(item.type == "text_encoder" for item in spec.inputs)
    texts = (knob for knob in spec.knobs if knob.kind == "text" and knob.options.get("multiline"))
    return next(texts, None) if encodes else None


def _mention(path: Path) -> str:
    return f"embedding:{path.stem}"


def _kinds(knob: KnobSpec) -> list[object]:
    kinds = knob.options.get("kinds")
    return list(kinds) if isinstance(kinds, list) else []
