"""What a person types to name a node or to set a knob: ``sub/k_sampler`` and ``sub/k_sampler.steps=30``."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import SetKnob
from studio.errors import StudioError
from studio.graph import ROOT, Node, Socket
from studio.reading import Reading
from studio.spec import KnobError, KnobSpec, coerce
from studio.types import Json

_LISTED = 12
_PARSED = ("int", "seed", "float", "bool")
_UNPARSED = ("text", "choice", "file")


class UsageError(StudioError):
    """Something typed that means nothing here; the sentence names what comes near."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and the name of the graph that holds it."""

    graph: str
    node: Node


def find_node(content: Content, address: str) -> Place:
    """Return the node at an address.

    Raises:
        UsageError: There is none.
    """
    *outer, last = address.split("/")
    graph, prefix = ROOT, ""
    for part in outer:
        node = content.graphs[graph].nodes.get(part)
        if node is None or not node.is_subgraph or node.type not in content.graphs:
            raise _unknown_node(content, graph, prefix, address)
        graph, prefix = node.type, f"{prefix}{part}/"
    node = content.graphs[graph].nodes.get(last)
    if node is None:
        raise _unknown_node(content, graph, prefix, address)
    return Place(graph, node)


def assignment(content: Content, catalogue: Catalogue, text: str) -> SetKnob:
    """Return the edit that ``NODE.knob=VALUE`` stands for.

    Numbers and yes-or-no are read as JSON, text is taken as it is, and the name of a file may start from
    the current folder.

    Raises:
        UsageError: It is no assignment, names no knob, or the knob does not take the value.
    """
    target, equals, value = text.partition("=")
    address, dot, name = target.rpartition(".")
    if not (equals and dot and address and name):
        raise UsageError(f"“{text}” sets nothing.", "Write NODE.knob=VALUE, as in k_sampler.steps=30.")
    place = find_node(content, address)
    spec = Reading(content, catalogue).spec(place.node)
    if spec is None:
        raise UsageError(f"“{address}” is of the type “{place.node.type}”, which is not installed.")
    knob = spec.knob(name)
    if knob is None:
        raise _unknown(f"“{address}” has no knob “{name}”.", name, [item.name for item in spec.knobs])
    wired = content.graphs[place.graph].wires.get(Socket(place.node.id, name))
    if wired is not None:
        raise UsageError(f"“{target}” is fed by a wire from “{wired.node}”.", "Set it there.")
    try:
        coerced = coerce(knob, _value(knob, value), catalogue.choices)
    except KnobError as error:
        raise UsageError(f"“{address}”: {error}") from None
    return SetKnob(place.graph, place.node.id, name, coerced)


def _value(knob: KnobSpec, text: str) -> Json:
    """What the text means to a knob of this kind.

    Raises:
        KnobError: It is no JSON, where JSON is meant.
    """
    if knob.kind == "file" and text and not Path(text).is_absolute() and Path(text).exists():
        return str(Path(text).absolute())
    if knob.kind in _UNPARSED:
        return text
    try:
        return cast("Json", json.loads(text))
    except (ValueError, RecursionError):
        if knob.kind in _PARSED:
            return text  # coerce says what the knob takes
        raise KnobError(f"“{knob.name}” takes JSON, which “{text[:60]}” is not.") from None


def _unknown_node(content: Content, graph: str, prefix: str, address: str) -> UsageError:
    there = [prefix + node for node in content.graphs[graph].nodes]
    return _unknown(f"There is no node “{address}” in this workflow.", address, there)


def _unknown(title: str, name: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return UsageError(title, f"Did you mean {' or '.join(f'“{item}”' for item in near)}?")
    listed = ", ".join(known[:_LISTED]) + (", …" if len(known) > _LISTED else "")
    return UsageError(title, f"There is: {listed}." if known else "")
