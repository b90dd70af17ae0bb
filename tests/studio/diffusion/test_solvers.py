from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from nodes import solvers as declared
from studio.declare import Extension
from studio.diffusion import schedules
from studio.diffusion.api import Solver, State
from studio.diffusion.noise import Gaussian, initial
from studio.diffusion.schedules import Sigmas, denoised_part
from tests.studio.diffusion.reference import KINDS, denoise, entries, start

SOLVERS: dict[str, Solver] = {
    item.name: item.load()
    for item in vars(declared).values()
    if isinstance(item, Extension) and item.kind == "solver"
}
FINALS = [name for name in entries() if name.startswith("final/") and name.split("/")[2] in SOLVERS]
SEED = 7


def way(solver: Solver, kind: str, schedule: str, steps: int = 12) -> tuple[Sigmas, torch.Tensor]:
    sigmas = denoised_part(getattr(schedules, schedule), KINDS[kind], steps, 1.0, drop_last=solver.drop_last)
    return sigmas, start(initial((2, 4, 8, 8), SEED), sigmas)


def follow(solver: Solver, sigmas: Sigmas, state: State) -> Iterator[State]:
    noise = Gaussian(state.x, SEED, state.draws)
    model = lambda x, sigma: denoise(x, sigma, is_flow=sigmas.flow)  # noqa: E731
    for step in solver(model, sigmas, noise, state):
        yield State(step.step, step.x, step.history, draws=noise.draws)


def test_every_solver_has_reference_values() -> None:
    assert {name.split("/")[2] for name in FINALS} == set(SOLVERS)


@pytest.mark.parametrize("name", FINALS)
def test_solver_ends_where_the_reference_does(name: str) -> None:
    _, kind, solver, schedule = name.split("/")
    sigmas, x = way(SOLVERS[solver], kind, schedule)
    *_, last = follow(SOLVERS[solver], sigmas, State(0, x))
    reference = entries()[name]
    assert float((last.x - reference).abs().max() / reference.std()) < 1e-4


@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("name", SOLVERS)
def test_resumed_equals_unbroken_bit_for_bit_at_every_step(name: str, kind: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, kind, "sgm_uniform", steps=6)
    states = list(follow(solver, sigmas, State(0, x)))
    assert [state.step for state in states] == list(range(1, len(sigmas)))
    for state in states[:-1]:
        *_, last = follow(solver, sigmas, state)
        assert torch.equal(last.x, states[-1].x)


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_writes_to_nothing_it_was_given_or_has_yielded(name: str) -> None:
    sigmas, x = way(SOLVERS[name], "eps", "karras", steps=5)
    before = x.clone()
    yielded = []
    for state in follow(SOLVERS[name], sigmas, State(0, x)):
        yielded.append((state, state.x.clone(), [item.clone() for item in state.history]))
    assert torch.equal(x, before)
    for state, copy, history in yielded:
        assert torch.equal(state.x, copy)
        assert all(torch.equal(a, b) for a, b in zip(state.history, history, strict=True))


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_reads_no_sigma_but_those_it_declares(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, "eps", "karras", steps=6)
    first = next(follow(solver, sigmas, State(0, x)))
    seen = 2 + solver.look_ahead
    other = Sigmas((*sigmas[:seen], *(sigma * 0.9 for sigma in sigmas[seen:])), flow=False)
    assert torch.equal(first.x, next(follow(solver, other, State(0, x))).x)


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_that_calls_the_model_inside_a_step_says_so(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, "eps", "karras", steps=6)
    asked: list[float] = []

    def model(x: torch.Tensor, sigma: float) -> torch.Tensor:
        asked.append(sigma)
        return denoise(x, sigma, is_flow=False)

    for _ in solver(model, sigmas, Gaussian(x, SEED), State(0, x)):
        pass
    assert solver.inner == (asked != list(sigmas[:-1]))


@pytest.mark.parametrize("name", SOLVERS)
def test_only_solvers_that_say_so_draw_noise(name: str) -> None:
    sigmas, x = way(SOLVERS[name], "eps", "karras", steps=5)
    *_, last = follow(SOLVERS[name], sigmas, State(0, x))
    assert (last.draws > 0) == (SOLVERS[name].noise == "gaussian")


def test_slice_of_a_batch_is_that_slice_of_the_one_draw() -> None:
    assert torch.equal(initial((3, 4, 2, 2), 5), torch.randn(3, 4, 2, 2, generator=torch.manual_seed(5)))


def test_largest_seed_has_a_successor() -> None:
    largest = Gaussian(torch.zeros(2), 2**64 - 1 + 1)
    assert torch.equal(largest(1.0, 0.5), Gaussian(torch.zeros(2), 0)(1.0, 0.5))


def test_noise_goes_on_after_the_draws_already_made() -> None:
    whole = Gaussian(torch.zeros(3), 1)
    first, second = whole(1.0, 0.5), whole(0.5, 0.1)
    assert not torch.equal(first, second)
    assert torch.equal(Gaussian(torch.zeros(3), 1, draws=1)(0.5, 0.1), second)
