from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
import torch

from studio.cache.store import Store
from studio.diffusion import tensors
from studio.diffusion.api import State
from studio.diffusion.guidance.guiders import Ranged
from studio.diffusion.noise import source
from studio.diffusion.schedules import Sigmas
from studio.diffusion.trajectory import Trajectory
from tests.studio.diffusion.reference import KINDS
from tests.studio.diffusion.solvers.following import SEED, SOLVERS, Model, way

CPU = torch.device("cpu")


class Momentum(Model):
    """A guider that remembers from call to call."""

    def __init__(self, sigmas: Sigmas) -> None:
        super().__init__(sigmas)
        self.state: tuple[torch.Tensor, ...] = ()

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        found = super().__call__(x, sigma)
        mixed = found * 0.9 + self.state[0] * 0.1 if self.state else found
        self.state = (found,)
        return mixed

    def ranged(self) -> Iterable[Ranged]:
        return [((0.0, 1.0), "prompt")]


def run(name: str, kind: str, store: Store | None) -> tuple[Momentum, Iterator[State]]:
    sigmas, x = way(SOLVERS[name], kind, "simple", steps=6)
    guider = Momentum(sigmas)
    path = Trajectory("model and noise", SOLVERS[name], name, sigmas, KINDS[kind], guider)
    return guider, path.run(lambda: x, source(SOLVERS[name].noise, sigmas, SEED), store, CPU)


@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("name", SOLVERS)
def test_stopped_after_any_step_it_goes_on_from_the_store_to_the_same_bits(name: str, kind: str) -> None:
    tensors.register()
    guider, states = run(name, kind, None)
    unbroken = list(states)
    whole = len(guider.asked)
    for stop in range(len(unbroken) - 1):
        store = Store(2**22, None)
        _, states = run(name, kind, store)
        for _ in range(stop + 1):
            next(states)
        states.close()  # type: ignore[attr-defined]
        again, states = run(name, kind, store)
        *_, last = states
        assert torch.equal(last.x, unbroken[-1].x)
        assert last.step == unbroken[-1].step
        assert len(again.asked) < whole


@pytest.mark.parametrize("name", [name for name in SOLVERS if SOLVERS[name].options])
def test_options_are_part_of_the_keys(name: str) -> None:
    sigmas, _ = way(SOLVERS[name], "eps", "simple", steps=6)
    option, default = next(iter(SOLVERS[name].options.items()))
    chosen = SOLVERS[name].given({option: default / 2})
    keys = [
        set(Trajectory("it", solver, name, sigmas, KINDS["eps"], Momentum(sigmas)).keys())
        for solver in (SOLVERS[name], chosen)
    ]
    assert not keys[0] & keys[1]


@pytest.mark.parametrize("name", SOLVERS)
def test_brownian_paths_alone_depend_on_the_last_sigmas_from_the_start(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, _ = way(solver, "eps", "simple", steps=20)
    other = Sigmas((*sigmas[:-2], sigmas[-2] * 0.9, 0.0), flow=False)
    keys = [
        Trajectory("it", solver, name, item, KINDS["eps"], Momentum(item)).keys() for item in (sigmas, other)
    ]
    assert (keys[0][1] == keys[1][1]) == (solver.noise != "brownian" and not solver.own_steps)
