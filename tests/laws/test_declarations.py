"""What every registered node declares: words, limits, types, and a way up from its first version."""

from __future__ import annotations

import re

import pytest

from studio.graph import Node
from studio.keys import knob_values, own_part
from studio.spec import KnobSpec, NodeSpec, choices_of, coerce
from studio.types import ANY, Json
from tests.laws.everything import NODES, registry

WORD = re.compile(r"[a-z][a-z0-9_]*")


@pytest.mark.parametrize("name", NODES)
def test_every_node_is_documented(name: str) -> None:
    spec = registry().specs[name]
    assert spec.title
    assert spec.category
    assert spec.doc.endswith(".")
    parts = [*spec.inputs, *spec.knobs, *spec.outputs]
    assert [part.name for part in parts if not part.doc.endswith((".", "?"))] == []


@pytest.mark.parametrize("name", NODES)
def test_names_can_be_written_in_files_and_on_the_command_line(name: str) -> None:
    spec = registry().specs[name]
    package, _, short = name.partition("/")
    names = [package, short, *(part.name for part in (*spec.inputs, *spec.knobs, *spec.outputs))]
    assert [word for word in names if not WORD.fullmatch(word)] == []
    taken = [part.name for part in (*spec.inputs, *spec.knobs)]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("name", NODES)
def test_defaults_are_in_range(name: str) -> None:
    spec = registry().specs[name]
    for knob in spec.knobs:
        value = coerce(knob, knob.default, registry().choices)
        assert (value, type(value)) == (knob.default, type(knob.default))


@pytest.mark.parametrize("name", NODES)
def test_sockets_are_of_registered_types(name: str) -> None:
    spec = registry().specs[name]
    types = {socket.type for socket in (*spec.inputs, *spec.outputs)}
    types |= {knob.wire for knob in spec.knobs if knob.wire}
    assert types - registry().wires.keys() <= {ANY}
    if ANY in {output.type for output in spec.outputs}:
        assert ANY in {socket.type for socket in spec.inputs}, "nothing says what its output is"


@pytest.mark.parametrize("name", NODES)
def test_choices_exist(name: str) -> None:
    for knob in registry().specs[name].knobs:
        allowed = choices_of(knob, registry().choices)
        if allowed is not None:
            assert allowed
            assert knob.default in allowed


@pytest.mark.parametrize("name", [name for name in NODES if not registry().specs[name].passes])
def test_every_knob_moves_the_key(name: str) -> None:
    spec = registry().specs[name]
    before = own(spec, {})
    assert before == own(spec, spec.defaults)
    for knob in spec.knobs:
        assert own(spec, {knob.name: another(knob)}) != before


@pytest.mark.parametrize("name", NODES)
def test_the_upgrade_ladder_begins_at_one_and_ends_today(name: str) -> None:
    function = registry().nodes[name]
    assert sorted(function.upgrades) == list(range(1, function.spec.version))


@pytest.mark.parametrize("name", NODES)
def test_a_node_goes_one_way_about_its_inputs(name: str) -> None:
    spec = registry().specs[name]
    assert not (spec.sink and spec.passes)
    assert spec.sink or spec.outputs
    if spec.passes:
        assert spec.inputs
        assert len(spec.outputs) == 1


def test_wire_types_have_a_colour_of_their_own_and_a_shape() -> None:
    wires = registry().wires.values()
    assert [wire.name for wire in wires if not re.fullmatch(r"#[0-9a-f]{6}", wire.colour)] == []
    assert [wire.name for wire in wires if not wire.shape] == []
    assert len({wire.colour for wire in wires}) == len(wires)


def own(spec: NodeSpec, params: dict[str, Json]) -> bytes:
    """The node's share of its key under these knobs."""
    return own_part(spec, knob_values(Node("it", spec.type, params=params), spec, registry().choices, {}))


def another(knob: KnobSpec) -> Json:
    """A value the knob takes that is not its default."""
    value = knob.default
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        limits = [knob.options.get(name) for name in ("min", "max")]
        return next(item for item in [*limits, value + 1] if item is not None and item != value)
    allowed = choices_of(knob, registry().choices)
    if allowed is not None:
        others = [choice for choice in allowed if choice != value]
        assert others, f"“{knob.name}” leaves no choice"
        return others[0]
    return f"{value}x" if isinstance(value, str) else [value]
