"""The catalogue: through JSON and back, and several as one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from studio.catalogue import Catalogue
from studio.errors import Problem
from studio.spec import KnobSpec, NodeSpec
from studio.types import WireType
from tests.studio.test_declare import take_apart
from tests.studio.toys import CATALOGUE


def full() -> Catalogue:
    return Catalogue(
        {**CATALOGUE.specs, "take_apart": take_apart.spec},
        CATALOGUE.wires,
        {"solver": ("euler", "heun"), "family": ()},
        (Problem("package", "It is broken.", "Mend it."),),
        {"toy": "1"},
    )


def test_json_brings_back_an_equal_catalogue() -> None:
    again = Catalogue.from_json(json.loads(json.dumps(full().to_json())))
    assert again == full()
    assert list(again.specs) == list(full().specs)


def test_the_catalogue_keeps_nothing_of_what_json_was_made_of() -> None:
    told: Any = full().to_json()
    told["specs"][0]["title"] = "Other"
    assert "Other" not in {spec.title for spec in full().specs.values()}


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        {"specs": 5, "wires": [], "choices": {}, "problems": [], "packages": {}},
        {"specs": [{}], "wires": [], "choices": {}, "problems": [], "packages": {}},
        {"specs": ["abc"], "wires": [], "choices": {}, "problems": [], "packages": {}},
        {"specs": [], "wires": [{"name": "x", "new": 1}], "choices": {}, "problems": [], "packages": {}},
        {"specs": [], "wires": [], "choices": [], "problems": [], "packages": {}},
        {"specs": [], "wires": [], "choices": {"solver": 5}, "problems": [], "packages": {}},
        {"specs": [], "wires": [], "choices": {}, "problems": [], "packages": 5},
    ],
)
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Catalogue.from_json(data)


def test_of_two_the_later_wins_and_choices_are_joined() -> None:
    left = Catalogue(
        {"a/x": NodeSpec("a/x", title="Old")},
        {"w": WireType("w", "#000000", "")},
        {"solver": ("euler", "heun")},
        (Problem("package", "One."),),
        {"a": "1"},
    )
    right = Catalogue(
        {"a/x": NodeSpec("a/x", title="New"), "b/y": NodeSpec("b/y", knobs=(KnobSpec("k", "int", 1),))},
        {},
        {"solver": ("heun", "lms"), "family": ("sd",)},
        (Problem("package", "Two."),),
        {"b": "2"},
    )
    both = left.merged(right)
    assert both.specs["a/x"].title == "New"
    assert set(both.specs) == {"a/x", "b/y"}
    assert both.choices == {"solver": ("euler", "heun", "lms"), "family": ("sd",)}
    assert [problem.title for problem in both.problems] == ["One.", "Two."]
    assert both.packages == {"a": "1", "b": "2"}
    assert Catalogue().merged(left) == left
