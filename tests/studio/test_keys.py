"""Keys: everything that moves them, and nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.calls import Ref, fan_out, ids, known
from studio.graph import Node
from studio.keys import call_key, canonical, digest, knob_values, own_part
from studio.spec import KnobError, KnobSpec, NodeSpec
from studio.types import Model, Recipe, Vae

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
SPEC = NodeSpec(
    "toy/blur",
    knobs=(
        KnobSpec("radius", "float", 1.0, {"min": 0, "max": 10}),
        KnobSpec("name", "text", "a"),
        KnobSpec("solver", "choice", "euler", {"extension": "solver"}),
    ),
)
CHOICES = {"solver": ("euler", "heun")}


def typed(value: Any) -> Any:
    """The value with its types written out, so that equal means the same in every respect."""
    if isinstance(value, dict):
        return ("d", sorted((key, typed(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("l", [typed(item) for item in value])
    if isinstance(value, float):
        return ("f", "nan" if math.isnan(value) else value.hex())
    return (type(value).__name__, repr(value))


@given(values, values)
def test_values_share_their_bytes_only_if_they_are_the_same(left: Any, right: Any) -> None:
    assert (canonical(left) == canonical(right)) == (repr(typed(left)) == repr(typed(right)))


@given(values)
def test_json_brings_back_the_same_bytes(value: Any) -> None:
    assert canonical(json.loads(json.dumps(value))) == canonical(value)


def test_look_alikes_differ() -> None:
    alike = [1, 1.0, True, "1", [1], ["1"], {"1": 1}, None, 0, 0.0, -0.0, False, "", [], {}, math.nan, "nan"]
    assert len({canonical(value) for value in alike}) == len(alike)
    assert canonical([["a"], "b"]) != canonical(["a", ["b"]])
    assert canonical(math.nan) == canonical(-math.nan)
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical(10**5000) != canonical(10**5000 + 1)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set is no JSON value"):
        canonical([{1, 2}])


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_parts_of_a_digest_do_not_run_together(left: list[bytes], right: list[bytes]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)


def key(node: Node, spec: NodeSpec = SPEC, **rest: Any) -> str:
    return call_key(own_part(spec, knob_values(node, spec, CHOICES, {})), rest.pop("inputs", {}), **rest)


NODE = Node("blur", "toy/blur", params={"radius": 2.0, "name": "x"})


@pytest.mark.parametrize(
    "other",
    [
        replace(NODE, pos=(5.0, 5.0)),
        replace(NODE, title="Mine"),
        replace(NODE, look={"colour": "#ff0000"}),
        replace(NODE, id="blur_2"),
        replace(NODE, extra={"x": 1}),
        replace(NODE, params={"name": "x", "radius": 2}),
        replace(NODE, params={"radius": 2.0, "name": "x", "solver": "euler"}),
    ],
)
def test_what_is_no_part_of_the_result_does_not_move_the_key(other: Node) -> None:
    assert key(other) == key(NODE)


def test_every_ingredient_moves_the_key() -> None:
    keys = [
        key(NODE),
        key(replace(NODE, params={**NODE.params, "radius": 2.1})),
        key(replace(NODE, params={**NODE.params, "name": "y"})),
        key(replace(NODE, params={**NODE.params, "solver": "heun"})),
        key(NODE, replace(SPEC, version=2)),
        key(NODE, replace(SPEC, type="toy/blur_2")),
        key(NODE, inputs={"image": "a/image"}),
        key(NODE, inputs={"image": "a/mask"}),
        key(NODE, inputs={"mask": "a/image"}),
        key(NODE, inputs={"image": ("a/image",)}),
        key(NODE, inputs={"image": ("a/image", "b/image")}),
        key(NODE, inputs={"image": ("b/image", "a/image")}),
        key(NODE, inputs={"image": ()}),
        key(NODE, files={"radius": "abc"}),
        key(NODE, files={"radius": "abd"}),
        key(NODE, files={"name": "abc"}),
        key(NODE, numerics="cpu/float32"),
        key(NODE, numerics="cuda/float32"),
    ]
    assert len(set(keys)) == len(keys)


def test_a_wired_value_stands_for_the_nodes_own() -> None:
    wired = knob_values(NODE, SPEC, CHOICES, {"radius": 3})
    assert wired["radius"] == 3.0
    assert own_part(SPEC, wired) == own_part(
        SPEC, knob_values(replace(NODE, params={"name": "x", "radius": 3.0}), SPEC, CHOICES, {})
    )
    with pytest.raises(KnobError, match="0 to 10"):
        knob_values(NODE, SPEC, CHOICES, {"radius": 11})


def test_a_recipe_is_known_by_what_it_says_and_not_by_where_it_lies() -> None:
    def model(path: str, part: str = "unet") -> Model:
        return Model(Recipe(path, "identity", part, "sd"))

    assert known(model("/a"), "x").id == known(model("/b"), "y").id
    assert known(model("/a", "other"), "x").id != known(model("/a"), "x").id
    assert known(Vae(model("/a").recipe), "x").id != known(model("/a"), "x").id


def test_scalars_are_known_by_value_and_the_rest_by_origin() -> None:
    assert known(1, "x").id == known(1, "y").id
    assert len({known(value, "x").id for value in (1, 1.0, True, "1")}) == 4
    assert known([1], "x").id == "x"
    assert known({"recipe": 1}, "x").id == "x"


def test_a_list_of_one_is_not_its_element() -> None:
    one = Ref("a/image")
    assert canonical(ids((one,))) != canonical(ids(one))
    assert fan_out("n", {"all": True}, {"all": (one,)}) is None
