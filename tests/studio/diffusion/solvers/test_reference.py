from __future__ import annotations

import pytest
from safetensors import safe_open

from tests.studio.diffusion.reference import FILE, entries
from tests.studio.diffusion.solvers.following import SOLVERS, Model, end, way

FINALS = [name for name in entries() if name.startswith("final/")]


def calls() -> dict[str, int]:
    with safe_open(FILE, "pt") as file:
        return {name: int(count) for name, count in file.metadata().items() if name.startswith("nfe/")}


def test_every_solver_of_the_reference_is_there() -> None:
    assert {name.split("/")[2] for name in FINALS} <= set(SOLVERS)


@pytest.mark.parametrize("name", FINALS)
def test_solver_ends_where_the_reference_does_with_as_many_calls(name: str) -> None:
    _, kind, solver, schedule = name.split("/")
    sigmas, x = way(SOLVERS[solver], kind, schedule)
    model = Model(sigmas)
    reference = entries()[name]
    error = float((end(SOLVERS[solver], sigmas, x, model) - reference).abs().max() / reference.std())
    assert error < (1e-3 if SOLVERS[solver].noise == "brownian" else 1e-4)
    assert len(model.asked) == calls()[f"nfe/{kind}/{solver}/{schedule}"]
