"""Which model family flows along wires, and why two that meet do not belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import FileError
from studio.files_named import resolve
from studio.graph import Graph, Node, Socket
from studio.models import recognise
from studio.models.lora_header import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.reading import Reading

BEARERS = frozenset(("model", "text_encoder", "conditioning", "control_net", "ip_adapter", "style_model"))
"""Wire types whose values are of one model family. (VAEs are shared between families.)"""
_STARTER = "stable_diffusion"
_NAMES: Mapping[str, str] = {
    **FAMILIES,
    "x4_upscaler": "the ×4 upscaler",
    "latent_upscaler": "the latent upscaler",
}
_KIN = (frozenset(("stable_diffusion_2", "x4_upscaler")),)
_MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a family comes from: the file that a node names."""

    family: str
    name: str


def misfit(
    reading: Reading, graph: str, source: Socket, target: Socket, base_dir: Path | None = None
) -> str | None:
    """Why what comes from `source` does not belong with what `target`'s node has already, as a sentence.

    Looks at headers of the files that nodes name, never at weights; what cannot be told is no misfit.

    Args:
        reading: The document as it is read.
        graph: Name of the graph that both are in.
        source: Where the wire comes from.
        target: Where it goes.
        base_dir: Folder that relative file names start from.
    """
    inside = reading.content.graphs[graph]
    node = inside.nodes.get(target.node)
    if node is None or reading.input_type(graph, target) not in BEARERS:
        return None
    comes = _origin(reading, inside, source, base_dir)
    if comes is None:
        return None
    for other in _origins_at(reading, inside, node, target.name, base_dir):
        if not _kin(comes.family, other.family):
            return f"“{comes.name}” is made for {_name(comes)}, “{other.name}” for {_name(other)}."
    return None


def misfits(reading: Reading, base_dir: Path | None) -> list[tuple[str, Socket, str]]:
    """Where files of different families meet: graph, the input to blame and a sentence, one for each node."""
    found: list[tuple[str, Socket, str]] = []
    for name, graph in reading.content.graphs.items():
        told: set[str] = set()
        for target, source in graph.wires.items():
            node = graph.nodes.get(target.node)
            if node is None or node.mode != "on" or target.node in told:
                continue
            why = misfit(reading, name, source, target, base_dir)
            if why is not None:
                told.add(target.node)
                found.append((name, target, why))
    return found


def _origins_at(reading: Reading, graph: Graph, node: Node, but: str, base_dir: Path | None) -> list[Origin]:
    """The families that a node has from its own file, and from its wires but one."""
    found = [_own(reading, graph, node, base_dir)]
    spec = reading.spec(node)
    for item in spec.inputs if spec else ():
        feeding = graph.wires.get(Socket(node.id, item.name))
        if feeding is not None and item.name != but and item.type in BEARERS:
            found.append(_origin(reading, graph, feeding, base_dir))
    return [origin for origin in found if origin is not None]


def _origin(reading: Reading, graph: Graph, source: Socket, base_dir: Path | None) -> Origin | None:
    """The file that gives what leaves a socket its family: the nearest one upstream."""
    for _ in range(_MAX_STEPS):
        node = graph.nodes.get(source.node)
        spec = reading.spec(node) if node else None
        if node is None or spec is None:
            return None
        own = _own(reading, graph, node, base_dir)
        if own is not None:
            return own
        feeding = (
            graph.wires[Socket(node.id, item.name)]
            for item in spec.inputs
            if (item.type in BEARERS or item.type == "any") and Socket(node.id, item.name) in graph.wires
        )
        following = next(feeding, None)
        if following is None:
            return None
        source = following
    return None


def _own(reading: Reading, graph: Graph, node: Node, base_dir: Path | None) -> Origin | None:
    spec = reading.spec(node)
    if spec is None or node.is_subgraph or node.mode != "on":
        return None
    shown = {(knob.node, knob.knob) for knob in graph.interface.knobs}
    for knob in spec.knobs:
        if knob.kind != "file" or knob.options.get("content") != "model":
            continue
        if Socket(node.id, knob.name) in graph.wires or (node.id, knob.name) in shown:
            continue  # what it is given there is not known here
        value = node.params.get(knob.name, knob.default)
        if value == "" and knob.options.get("empty") and spec.output("model"):
            return Origin(_STARTER, "the starter model")
        if isinstance(value, str) and value:
            path = resolve(value, base_dir)
            family = _family(path)
            if family:
                return Origin(family, path.name)
    return None


def _family(path: Path) -> str:
    try:
        kind = recognise.kind_at(path)
    except FileError:
        return ""  # running it will say why
    return kind.family if kind else ""


def _kin(one: str, other: str) -> bool:
    return one == other or any(one in kin and other in kin for kin in _KIN)


def _name(origin: Origin) -> str:
    return _NAMES.get(origin.family, origin.family)
