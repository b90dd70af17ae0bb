"""What knobs take, and the sentences for what they do not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.spec import MAX_SEED, InputSpec, KnobError, KnobSpec, NodeSpec, OutputSpec, choices_of, coerce

WHOLE = KnobSpec("steps", "int", 20, {"min": 1, "max": 150})
NUMBER = KnobSpec("scale", "float", 1.0, {"min": 0, "max": 30, "step": 0.5})
SEED = KnobSpec("seed", "seed", 0, {"min": 0, "max": MAX_SEED})
CHOICE = KnobSpec("fit", "choice", "crop", {"choices": ["crop", "stretch"]})
SOLVER = KnobSpec("solver", "choice", "euler", {"extension": "solver"})


@pytest.mark.parametrize(
    ("knob", "given_value", "held"),
    [
        (WHOLE, 150, 150),
        (NUMBER, 7, 7.0),
        (NUMBER, 7.31, 7.31),
        (SEED, MAX_SEED, MAX_SEED),
        (CHOICE, "stretch", "stretch"),
        (KnobSpec("on", "bool", True), False, False),
        (KnobSpec("path", "file", ""), "a.png", "a.png"),
        (KnobSpec("curve", "acme/curve", None), [1, {"a": 2}], [1, {"a": 2}]),
    ],
)
def test_what_fits_is_held_in_the_knobs_own_type(knob: KnobSpec, given_value: Any, held: Any) -> None:
    found = coerce(knob, given_value)
    assert (found, type(found)) == (held, type(held))


@pytest.mark.parametrize(
    ("knob", "wrong", "told"),
    [
        (WHOLE, 0, "“steps” takes 1 to 150, not 0."),
        (WHOLE, 20.0, "“steps” takes a whole number, not 20.0."),
        (WHOLE, True, "“steps” takes a whole number, not True."),
        (WHOLE, "20", "“steps” takes a whole number, not '20'."),
        (WHOLE, None, "“steps” takes a whole number, not None."),
        (SEED, -1, "“seed” takes 0 to 18446744073709551615, not -1."),
        (SEED, MAX_SEED + 1, "“seed” takes whole numbers of up to 64 bits; this one has more."),
        (KnobSpec("n", "int", 0), 10**400, "“n” takes whole numbers of up to 64 bits; this one has more."),
        (KnobSpec("n", "int", 0, {"min": 0}), -1, "“n” takes at least 0, not -1."),
        (KnobSpec("n", "int", 0, {"max": 0}), 1, "“n” takes at most 0, not 1."),
        (NUMBER, 30.1, "“scale” takes 0 to 30, not 30.1."),
        (NUMBER, math.nan, "“scale” takes a number, not nan."),
        (NUMBER, math.inf, "“scale” takes a number, not inf."),
        (NUMBER, False, "“scale” takes a number, not False."),
        (KnobSpec("on", "bool", True), 1, "“on” takes yes or no, not 1."),
        (KnobSpec("name", "text", ""), 5, "“name” takes text, not 5."),
        (CHOICE, "tile", "“fit” knows no 'tile'; it takes crop, stretch."),
        (SOLVER, "euler", "“solver” knows no 'euler'; it takes nothing that is installed."),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(knob: KnobSpec, wrong: Any, told: str) -> None:
    with pytest.raises(KnobError) as error:
        coerce(knob, wrong)
    assert str(error.value) == told


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(KnobError, match=r"takes a number, not 1000"):
        coerce(NUMBER, 10**400)


kinds = st.sampled_from(
    [WHOLE, NUMBER, SEED, CHOICE, SOLVER, KnobSpec("on", "bool", True), KnobSpec("t", "text", "")]
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(kinds, anything)
def test_anything_is_held_or_refused_and_what_is_held_stays(knob: KnobSpec, value: Any) -> None:
    told = ""
    held: Any = None
    try:
        held = coerce(knob, value)
    except KnobError as error:
        told = str(error)
    if told:
        assert told.startswith(f"“{knob.name}” ")
    else:
        again = coerce(knob, held)
        assert (again, type(again)) == (held, type(held))


def test_long_values_are_shortened_and_long_lists_cut() -> None:
    with pytest.raises(KnobError) as error:
        coerce(WHOLE, "x" * 1000)
    assert len(str(error.value)) < 120
    many = {"solver": tuple(f"s{index}" for index in range(50))}
    with pytest.raises(KnobError, match=r"s11, …\.$"):
        coerce(SOLVER, "none", many)


def test_choices_come_from_the_knob_or_from_what_is_registered() -> None:
    assert choices_of(CHOICE, {}) == ("crop", "stretch")
    assert choices_of(SOLVER, {"solver": ("heun",)}) == ("heun",)
    assert choices_of(WHOLE, {}) is None


def test_parts_are_found_by_name() -> None:
    spec = NodeSpec(
        "t/n",
        inputs=(InputSpec("image", "image", many=True),),
        knobs=(WHOLE,),
        outputs=(OutputSpec("mask", "mask"),),
    )
    assert spec.input("image") is spec.inputs[0]
    assert spec.knob("steps") is WHOLE
    assert spec.output("mask") is spec.outputs[0]
    assert spec.input("steps") is spec.knob("image") is spec.output("image") is None
    assert spec.many == {"image": True}
    assert spec.defaults == {"steps": 20}


def test_wires_drive_knobs_of_their_kind_only() -> None:
    assert [knob.wire for knob in (WHOLE, SEED, NUMBER, CHOICE)] == ["int", "int", "float", "text"]
    assert KnobSpec("curve", "acme/curve", None).wire is None
