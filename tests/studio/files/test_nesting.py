from __future__ import annotations

import pytest

from studio.document import Content
from studio.errors import FileError
from studio.files import nesting
from studio.graph import ROOT, Graph, Node


def content_of(uses: dict[str, list[str]]) -> Content:
    """Graphs by name, with one node for each definition they use."""
    return Content(
        graphs={
            name: Graph({f"n{i}": Node(f"n{i}", used) for i, used in enumerate(types)})
            for name, types in uses.items()
        }
    )


def test_definitions_within_definitions_are_fine() -> None:
    assert nesting.check(content_of({ROOT: ["a", "b"], "a": ["b", "core/x"], "b": ["core/x"]})) == []


def test_a_definition_that_contains_itself_is_named() -> None:
    found = nesting.check(content_of({ROOT: ["a"], "a": ["b"], "b": ["core/x", "a"]}))
    assert [(problem.kind, problem.graph, problem.node) for problem in found] == [("cycle", "b", "n1")]


def test_a_definition_inside_itself_is_named_though_nothing_uses_it() -> None:
    found = nesting.check(content_of({ROOT: [], "a": ["a"]}))
    assert [(problem.graph, problem.node) for problem in found] == [("a", "n0")]


def test_definitions_that_nest_too_deeply_are_refused() -> None:
    def chain(length: int) -> Content:
        uses = {f"d{i}": [f"d{i + 1}"] for i in range(length)}
        return content_of({ROOT: ["d0"], **uses, f"d{length}": ["core/x"]})

    assert nesting.check(chain(nesting.MAX_NESTING - 1)) == []
    with pytest.raises(FileError, match="deep"):
        nesting.check(chain(nesting.MAX_NESTING))
    with pytest.raises(FileError, match="deep"):
        nesting.check(chain(5000))


def test_a_few_nodes_that_unfold_to_billions_are_refused() -> None:
    uses = {f"d{i}": [f"d{i + 1}"] * 10 for i in range(20)}
    with pytest.raises(FileError, match="unfold"):
        nesting.check(content_of({ROOT: ["d0"], **uses, "d20": ["core/x"]}))
