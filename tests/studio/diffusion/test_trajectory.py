from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch

from studio.cache.store import Store
from studio.diffusion import schedules, solvers, tensors
from studio.diffusion.api import Solver, State
from studio.diffusion.guidance.guiders import Ranged
from studio.diffusion.noise import Gaussian, initial
from studio.diffusion.schedules import Sigmas
from studio.diffusion.trajectory import Trajectory
from tests.studio.diffusion.reference import KINDS, denoise, start

SD = KINDS["eps"]
CPU = torch.device("cpu")


class Momentum:
    """A guider that remembers, and counts its calls."""

    def __init__(self, *ranged: Ranged) -> None:
        self.state: tuple[torch.Tensor, ...] = ()
        self.calls = 0
        self._ranged = ranged

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        self.calls += 1
        found = denoise(x, sigma, is_flow=False)
        acting = sum(span[0] <= SD.progress(sigma) < span[1] for span, _ in self._ranged)
        mixed = found * (1 + 0.1 * acting) + (self.state[0] * 0.1 if self.state else 0)
        self.state = (found,)
        return mixed

    def ranged(self) -> Iterable[Ranged]:
        return self._ranged


def trajectory(
    guider: Momentum,
    solver: Solver = solvers.euler,
    sigmas: Sigmas | None = None,
    origin: str = "model and noise",
) -> Trajectory:
    return Trajectory(origin, solver, "it", sigmas or schedules.simple(SD, 8), SD, guider)


def run(path: Trajectory, store: Store | None, stop: int | None = None) -> State:
    x = start(initial((1, 4, 4, 4), 3), path.sigmas)
    state = State(0, x)
    for state in path.run(lambda: x, lambda x, draws: Gaussian(x, 4, draws), store, CPU):
        if state.step == stop:
            break
    return state


@pytest.fixture
def store() -> Store:
    tensors.register()
    return Store(2**20, None)


@pytest.mark.parametrize("solver", [solvers.euler_ancestral, solvers.dpmpp_2m, solvers.heun])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(solver: Solver) -> None:
    tensors.register()
    unbroken = run(trajectory(Momentum(), solver), None)
    for stop in range(1, 8):
        store = Store(2**20, None)
        run(trajectory(Momentum(), solver), store, stop)
        again = Momentum()
        resumed = run(trajectory(again, solver), store)
        assert torch.equal(resumed.x, unbroken.x)
        whole = Momentum()
        run(trajectory(whole, solver), None)
        assert again.calls < whole.calls


def test_what_is_stored_outlives_the_process_that_stored_it(store: Store, tmp_path: object) -> None:
    from pathlib import Path

    from studio.cache.disk import DiskTier

    assert isinstance(tmp_path, Path)
    path = trajectory(Momentum(), solvers.euler_ancestral)
    first = Store(2**20, DiskTier(tmp_path, 2**20))
    state = run(path, store, 5)
    outputs = store.load(path.keys()[5])
    assert outputs is not None
    first.put(path.keys()[5], outputs, seconds=1.0, keep=True)
    first.close()
    second = Store(2**20, DiskTier(tmp_path, 2**20))
    again = Momentum()
    resumed = run(trajectory(again, solvers.euler_ancestral), second)
    second.close()
    assert state.step == 5
    assert again.calls == 3
    assert torch.equal(resumed.x, run(trajectory(Momentum(), solvers.euler_ancestral), None).x)


def test_window_that_ends_later_resumes_where_it_ended_before(store: Store) -> None:
    sigmas = schedules.simple(SD, 8)
    edges = [SD.progress(sigma) for sigma in sigmas[:-1]]
    run(trajectory(Momentum(((0.0, edges[5]), "prompt"))), store)
    longer = Momentum(((0.0, edges[7]), "prompt"))
    resumed = run(trajectory(longer), store)
    assert longer.calls == 3
    assert torch.equal(resumed.x, run(trajectory(Momentum(((0.0, edges[7]), "prompt"))), None).x)


def test_steps_added_behind_a_shared_beginning_take_only_themselves(store: Store) -> None:
    sigmas = schedules.simple(SD, 8)
    run(trajectory(Momentum()), store)
    more = Momentum()
    middle = (sigmas[6] + sigmas[7]) / 2
    run(trajectory(more, sigmas=Sigmas((*sigmas[:7], middle, *sigmas[7:]), flow=False)), store)
    assert more.calls == 3


def test_look_ahead_is_part_of_a_step() -> None:
    ahead = replace(solvers.euler, look_ahead=2)
    sigmas = schedules.simple(SD, 8)
    changed = Sigmas((*sigmas[:6], sigmas[6] * 0.99, *sigmas[7:]), flow=False)
    plain, other = (trajectory(Momentum(), sigmas=item).keys() for item in (sigmas, changed))
    assert [a == b for a, b in zip(plain, other, strict=True)] == [True] * 6 + [False] * 3
    plain, other = (trajectory(Momentum(), ahead, item).keys() for item in (sigmas, changed))
    assert [a == b for a, b in zip(plain, other, strict=True)] == [True] * 4 + [False] * 5


def test_window_that_ends_inside_a_step_counts_where_the_solver_looks_inside() -> None:
    edges = [SD.progress(sigma) for sigma in schedules.simple(SD, 8)]
    ends = [edges[4] + part * (edges[5] - edges[4]) for part in (0.3, 0.6)]
    straight = [trajectory(Momentum(((0.0, end), "prompt"))).keys() for end in ends]
    assert straight[0] == straight[1]
    inner = [trajectory(Momentum(((0.0, end), "prompt")), solvers.heun).keys() for end in ends]
    assert [a == b for a, b in zip(*inner, strict=True)] == [True] * 5 + [False] * 4


@pytest.mark.parametrize(
    "other",
    [
        trajectory(Momentum(), origin="another model"),
        replace(trajectory(Momentum()), solver_name="another"),
        trajectory(Momentum(), replace(solvers.euler, version=2)),
        trajectory(Momentum(), sigmas=schedules.karras(SD, 8).part(1)),
    ],
    ids=["origin", "solver", "version", "start"],
)
def test_another_beginning_shares_nothing(other: Trajectory) -> None:
    assert not set(trajectory(Momentum()).keys()) & set(other.keys())


def test_damaged_store_is_no_more_than_a_loss(store: Store) -> None:
    path = trajectory(Momentum())
    run(path, store)
    for key in path.keys()[3:]:
        store.forget(key)
    again = Momentum()
    run(trajectory(again), store)
    assert again.calls == 6
