"""The way up, from a picture to the noise it would come from: who says to know it, knows it."""

from __future__ import annotations

import functools

import pytest
import torch

from studio.diffusion import schedules
from studio.diffusion.schedules import Sigmas
from tests.studio.diffusion.reference import KINDS
from tests.studio.diffusion.solvers.following import SOLVERS, Model, end

RISING = [name for name, solver in SOLVERS.items() if solver.rises]
SCHEDULES = {"eps": schedules.karras, "flow": schedules.normal}


def up(name: str, kind: str, steps: int) -> torch.Tensor:
    sampling = KINDS[kind]
    levels = list(SCHEDULES[kind](sampling, steps))[::-1]
    sigmas = Sigmas([0.0001, *levels[1:]], flow=sampling.flow, sampling=sampling)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.5
    return end(SOLVERS[name], sigmas, x, Model(sigmas, guided=False))


@functools.cache
def exact(kind: str) -> torch.Tensor:
    return up("dpm_2", kind, 600)


def test_the_plain_solvers_go_up() -> None:
    assert {"euler", "ddim", "heun", "dpm_2", "dpmpp_2m"} <= set(RISING)
    assert not any(SOLVERS[name].noise != "none" for name in RISING)


@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("name", RISING)
def test_upwards_more_steps_come_nearer_to_the_exact_noise(name: str, kind: str) -> None:
    apart = [float((up(name, kind, steps) - exact(kind)).norm() / exact(kind).norm()) for steps in (12, 40)]
    assert apart[0] < 0.7
    assert apart[1] < min(0.1, apart[0] / 2)
