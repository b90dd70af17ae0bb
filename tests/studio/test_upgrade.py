"""Old nodes brought up to date, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from studio.api import Json, node
from studio.document import Content
from studio.errors import StudioError
from studio.graph import ROOT, Graph, Node
from studio.registry import Registry
from studio.upgrade import upgraded


@node("size", category="Toys", version=4)
def size(*, width: int = 1, height: int = 1) -> int:
    """Give a size."""
    return width * height


@size.upgrade(1)
def _name_the_side(params: dict[str, Json]) -> dict[str, Json]:
    return {"sides": params["side"]}


@size.upgrade(2)
def _both_sides(params: dict[str, Json]) -> dict[str, Json]:
    sides: Any = params["sides"]
    sides.append(sides[0])
    return {"width": sides[0], "height": sides[1]}


@size.upgrade(3)
def _only_plain(params: dict[str, Json]) -> dict[str, Json]:
    return params if params["width"] != 13 else None  # pyright: ignore[reportReturnType]


def registry() -> Registry:
    made = Registry()
    made.add_node("toy", size)
    return made


def document(*nodes: Node) -> Content:
    return Content(graphs={ROOT: Graph({item.id: item for item in nodes})})


def test_every_step_of_the_ladder_is_taken() -> None:
    old = Node("a", "toy/size", 1, {"side": [5]})
    content, problems = upgraded(document(old), registry())
    assert problems == []
    assert (content.root.nodes["a"].version, content.root.nodes["a"].params) == (4, {"width": 5, "height": 5})
    assert old.params == {"side": [5]}, "the document's own values are as they were"


def test_nodes_in_definitions_are_brought_up_to_date_too() -> None:
    graphs = {ROOT: Graph(), "d": Graph({"a": Node("a", "toy/size", 2, {"sides": [3]})})}
    content, _ = upgraded(Content(graphs=graphs), registry())
    assert content.graphs["d"].nodes["a"].params == {"width": 3, "height": 3}


def test_what_is_new_enough_or_unknown_is_left_alone() -> None:
    same = document(
        Node("a", "toy/size", 4, {"width": 1}),
        Node("b", "toy/size", 9, {"depth": 1}),
        Node("c", "alien/thing", 1, {"x": 1}),
        Node("d", "definition", 1),
    )
    content, problems = upgraded(same, registry())
    assert content is same
    assert problems == []


@pytest.mark.parametrize(
    ("version", "params", "told"),
    [
        (1, {}, "could not be brought from version 1 to 2: 'side'."),
        (3, {"width": 13}, "from version 3 to 4: its upgrade gave NoneType, not parameters."),
        (0, {}, "cannot be brought from version 0 to 1."),
    ],
)
def test_what_cannot_be_upgraded_is_a_problem_and_stays(version: int, params: Any, told: str) -> None:
    old = document(Node("a", "toy/size", version, params), Node("b", "toy/size", 3, {"width": 2}))
    content, problems = upgraded(old, registry())
    assert content.root.nodes["a"] is old.root.nodes["a"]
    assert content.root.nodes["b"].version == 4
    (problem,) = problems
    assert (problem.kind, problem.graph, problem.node) == ("older_version", ROOT, "a")
    assert problem.title.endswith(told)


def test_the_registry_refuses_what_it_does_not_have() -> None:
    with pytest.raises(StudioError, match="“toy/none” is not installed"):
        registry().upgrade("toy/none", 1, {})
    with pytest.raises(StudioError, match=r"saved by version 5; version 4 is installed\. Update"):
        registry().upgrade("toy/size", 5, {})
