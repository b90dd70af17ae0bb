"""Lists that meet at a node, and what a call says of itself."""

from __future__ import annotations

import pytest

from studio.calls import Bound, Call, Ref, fan_out
from studio.errors import NodeError
from studio.flatten import FlatNode, Source
from studio.graph import Node
from tests.studio.toys import CATALOGUE

A, B, C = Ref("a/x", "a", "x"), Ref("b/x", "b", "x"), Ref("c/x", "c", "x")


def test_plain_inputs_make_one_call() -> None:
    assert fan_out("n", {}, {"left": A, "right": B}) is None
    assert fan_out("n", {}, {}) is None


def test_a_list_into_a_list_is_one_call() -> None:
    assert fan_out("n", {"all": True}, {"all": (A, B), "one": C}) is None


def test_lists_go_side_by_side_and_the_rest_goes_to_each() -> None:
    inputs: dict[str, Bound] = {"left": (A, B), "right": (B, C), "one": C, "all": (A, B, C)}
    sets = fan_out("n", {"all": True}, inputs)
    assert sets == [
        {"left": A, "right": B, "one": C, "all": (A, B, C)},
        {"left": B, "right": C, "one": C, "all": (A, B, C)},
    ]


def test_a_list_of_one_goes_to_each() -> None:
    sets = fan_out("n", {}, {"left": (A, B, C), "right": (B,)})
    assert sets is not None
    assert [given["right"] for given in sets] == [B, B, B]
    alone = fan_out("n", {}, {"left": (A,)})
    assert alone == [{"left": A}]


def test_an_empty_list_makes_no_call() -> None:
    assert fan_out("n", {}, {"left": ()}) == []
    assert fan_out("n", {}, {"left": (), "right": (B,)}) == []


@pytest.mark.parametrize(
    ("left", "told"), [((A, B), "“left” has 2, “right” has 3"), ((), "“left” has 0, “right” has 3")]
)
def test_lists_of_different_lengths_are_refused_with_their_lengths(left: tuple[Ref, ...], told: str) -> None:
    with pytest.raises(NodeError, match=f"meet at “n” are of different lengths: {told}"):
        fan_out("n", {}, {"left": left, "right": (A, B, C), "one": (A,)})


def test_a_call_names_its_ingredients_and_from_whom_they_come() -> None:
    flat = FlatNode(
        "g/n", "g", Node("n", "toy/add"), CATALOGUE.specs["toy/add"], {"left": Source("m", "grain")}
    )
    call = Call("key", flat, {"more": 1}, {"left": A, "right": (B, C)}, {"named/x": "d"}, "cpu")
    told = call.ingredients()
    assert list(call.refs()) == [A, B, C]
    assert told["knobs"] == {"more": 1}
    assert told["inputs"]["left"][1] == "m"
    assert told["numerics"] == "cpu"
    other = Call("key", flat, {"more": 1}, {"left": B, "right": (B, C)}, {}, "cpu").ingredients()
    assert other["inputs"]["left"] != told["inputs"]["left"]
