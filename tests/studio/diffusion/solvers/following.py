"""Runs of every registered solver on data whose exact denoiser is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from nodes import solvers as declared
from studio.declare import Extension
from studio.diffusion import schedules
from studio.diffusion.api import Noise, Solver, State
from studio.diffusion.noise import Brownian, Gaussian, initial
from studio.diffusion.schedules import Sigmas, denoised_part
from tests.studio.diffusion.reference import KINDS, denoise, entries, start

SOLVERS: dict[str, Solver] = {
    item.name: item.load()
    for item in vars(declared).values()
    if isinstance(item, Extension) and item.kind == "solver"
}
SEED = 7


class Model:
    """The exact denoiser; its estimate without guidance is another one, so that CFG++ shows."""

    def __init__(self, sigmas: Sigmas, *, guided: bool = True) -> None:
        self.asked: list[float] = []
        self._flow = sigmas.flow
        self._guided = guided

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        self.asked.append(sigma)
        return denoise(x, sigma, is_flow=self._flow)

    def unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        found = self(x, sigma)
        return found, found * 0.9 if self._guided else found


def way(solver: Solver, kind: str, schedule: str, steps: int = 12) -> tuple[Sigmas, torch.Tensor]:
    """Sigmas, those of the reference where it has them, and x to begin with."""
    sampling = KINDS[kind]
    sigmas = denoised_part(getattr(schedules, schedule), sampling, steps, 1.0, drop_last=solver.drop_last)
    if steps == 12 and not solver.drop_last:
        levels = entries()[f"sigmas/{kind}/{schedule}"].tolist()
        sigmas = Sigmas(levels, flow=sigmas.flow, sampling=sampling)
    return sigmas, start(initial((2, 4, 8, 8), SEED), sigmas)


def noise_of(solver: Solver, sigmas: Sigmas, state: State) -> Noise:
    if solver.noise == "brownian":
        return Brownian(state.x, SEED, sigmas, state.draws)
    return Gaussian(state.x, SEED, state.draws)


def follow(solver: Solver, sigmas: Sigmas, state: State, model: Model | None = None) -> Iterator[State]:
    noise = noise_of(solver, sigmas, state)
    for step in solver(model or Model(sigmas), sigmas, noise, state):
        yield replace(step, draws=noise.draws)


def end(solver: Solver, sigmas: Sigmas, x: torch.Tensor, model: Model | None = None) -> torch.Tensor:
    *_, last = follow(solver, sigmas, State(0, x), model)
    return last.x
