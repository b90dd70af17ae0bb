"""Beside the schedulers of diffusers, on equal sigmas, where both mean the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch

from studio.diffusion import schedules
from studio.diffusion.api import State
from studio.diffusion.noise import Brownian, Gaussian, initial
from studio.diffusion.schedules import Sigmas
from tests.studio.diffusion.reference import KINDS, denoise
from tests.studio.diffusion.solvers.following import SEED, SOLVERS, Model, end, follow

SD = KINDS["eps"]
STEPS = 20
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
KARRAS: dict[str, Any] = {**BETAS, "use_karras_sigmas": True}
LEADING: dict[str, Any] = {
    **BETAS,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "set_alpha_to_one": True,
}
# numpy's new ways with torch's tensors, inside diffusers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


def error_of(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """What a network that predicts noise would give."""
    return (x - denoise(x, sigma, is_flow=False)) / sigma


def start(sigma: float) -> torch.Tensor:
    return initial((2, 4, 8, 8), SEED) * math.sqrt(1 + sigma**2)


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.std())


def level_of(scheduler: Any) -> float:
    """The level that a scheduler wants the network called at."""
    if getattr(scheduler, "state_in_first_order", True):
        return float(scheduler.sigmas[scheduler.step_index])
    match type(scheduler):
        case diffusers.KDPM2DiscreteScheduler:
            return float(scheduler.sigmas_interpol[scheduler.step_index])
        case diffusers.KDPM2AncestralDiscreteScheduler:
            return float(scheduler.sigmas_interpol[scheduler.step_index - 1])
        case diffusers.DPMSolverSDEScheduler:
            return float(scheduler.mid_point_sigma)
        case _:
            return float(scheduler.sigmas[scheduler.step_index])


def added(scheduler: Any, calls: int | None = None, **options: Any) -> tuple[torch.Tensor, Sigmas]:
    """Where a scheduler whose noise is added to the picture ends, or is after some calls, and its sigmas."""
    scheduler.set_timesteps(STEPS)
    x = start(float(scheduler.sigmas[0]))
    for time in scheduler.timesteps[:calls]:
        scheduler.scale_model_input(x, time)
        sigma = level_of(scheduler)
        x = scheduler.step(error_of(x, sigma), time, x, **options).prev_sample
    levels = list(dict.fromkeys(float(sigma) for sigma in scheduler.sigmas))
    return x, Sigmas(levels, flow=False, sampling=SD)


@pytest.mark.parametrize(
    ("name", "scheduler", "within"),
    [
        ("euler", diffusers.EulerDiscreteScheduler, 1e-5),
        ("ddim", diffusers.EulerDiscreteScheduler, 1e-5),
        ("heun", diffusers.HeunDiscreteScheduler, 1e-5),
        ("dpm_2", diffusers.KDPM2DiscreteScheduler, 1e-4),
    ],
)
def test_solver_without_noise_ends_where_the_scheduler_does(
    name: str, scheduler: Callable[..., Any], within: float
) -> None:
    theirs, sigmas = added(scheduler(**KARRAS))
    assert len(sigmas) == STEPS + 1
    assert distance(end(SOLVERS[name], sigmas, start(sigmas[0])), theirs) < within


def test_lms_is_where_the_scheduler_is_before_the_step_to_zero() -> None:
    theirs, sigmas = added(diffusers.LMSDiscreteScheduler(**KARRAS), STEPS - 1)
    *_, before, _ = follow(SOLVERS["lms"], sigmas, State(0, start(sigmas[0])))
    assert distance(before.x, theirs) < 1e-4


@pytest.mark.parametrize(
    ("name", "scheduler", "options"),
    [
        ("euler_ancestral", diffusers.EulerAncestralDiscreteScheduler, BETAS),
        ("dpm_2_ancestral", diffusers.KDPM2AncestralDiscreteScheduler, KARRAS),
    ],
)
def test_ancestral_solver_ends_where_the_scheduler_does(
    name: str, scheduler: Callable[..., Any], options: dict[str, Any]
) -> None:
    theirs, sigmas = added(scheduler(**options), generator=torch.manual_seed(SEED))
    assert distance(end(SOLVERS[name], sigmas, start(sigmas[0])), theirs) < 1e-4


@pytest.mark.filterwarnings("ignore:Should have ta:UserWarning")
def test_dpmpp_sde_ends_where_the_scheduler_does() -> None:
    theirs, sigmas = added(diffusers.DPMSolverSDEScheduler(**KARRAS, noise_sampler_seed=SEED))
    ours = end(SOLVERS["dpmpp_sde"], sigmas, start(sigmas[0]))
    assert distance(ours, theirs) < 5e-3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dpmpp_2m", {"algorithm_type": "dpmsolver++"}),
        ("dpmpp_2m_sde", {"algorithm_type": "sde-dpmsolver++", "solver_type": "midpoint"}),
        ("dpmpp_2m_sde_heun", {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"}),
    ],
)
def test_dpm_solver_ends_where_the_multistep_scheduler_does(name: str, options: dict[str, str]) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(**KARRAS, **options, solver_order=2)
    scheduler.set_timesteps(STEPS)
    sigmas = Sigmas([float(sigma) for sigma in scheduler.sigmas], flow=False, sampling=SD)
    path = Brownian(start(1.0), SEED, sigmas)
    x = initial((2, 4, 8, 8), SEED)
    for step, time in enumerate(scheduler.timesteps):
        sigma = sigmas[step]
        found = error_of(x * math.sqrt(1 + sigma**2), sigma)
        drawn = path(sigma, sigmas[step + 1]) if sigmas[step + 1] else None
        x = scheduler.step(found, time, x, variance_noise=drawn).prev_sample
    assert distance(end(SOLVERS[name], sigmas, start(sigmas[0])), x) < 1e-4


@pytest.mark.parametrize(
    ("name", "scheduler", "calls"),
    [
        ("ddim", diffusers.DDIMScheduler(**LEADING, clip_sample=False), STEPS),
        ("plms", diffusers.PNDMScheduler(**LEADING, skip_prk_steps=True), STEPS + 1),
        ("pndm", diffusers.PNDMScheduler(**LEADING), STEPS + 9),
    ],
)
def test_solver_ends_where_the_scheduler_of_whole_timesteps_does(
    name: str, scheduler: Any, calls: int
) -> None:
    sigmas = schedules.ddim_uniform(SD, STEPS)
    scheduler.set_timesteps(STEPS)
    x = initial((2, 4, 8, 8), SEED)
    for time in scheduler.timesteps:
        kept = float(scheduler.alphas_cumprod[time])
        found = error_of(x / math.sqrt(kept), math.sqrt((1 - kept) / kept))
        x = scheduler.step(found, time, x).prev_sample
    model = Model(sigmas)
    *_, last = SOLVERS[name](model, sigmas, Gaussian(x, SEED), State(0, start(sigmas[0])))
    assert distance(last.x, x) < 1e-4
    assert len(model.asked) == calls
