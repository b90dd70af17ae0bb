"""Order of convergence, measured on the exact denoiser: the error against the stride, halved thrice."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from studio.diffusion.api import Denoise, State
from studio.diffusion.noise import Gaussian
from studio.diffusion.schedules import Sigmas
from tests.studio.diffusion.solvers.following import SOLVERS

MU, SPREAD = 1.2, 0.7
ENDS = {"eps": (6.0, 0.4), "flow": (0.9, 0.2)}
FIRST = ["euler", "ddim", "euler_ancestral", "euler_cfg_pp", "euler_ancestral_cfg_pp"]
FIRST += ["gradient_estimation", "gradient_estimation_cfg_pp", "ipndm"]
SECOND = ["heun", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast", "plms", "pndm", "ipndm_v", "deis"]
SECOND += ["dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde"]
SECOND += ["dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "uni_pc", "uni_pc_bh2", "seeds_2"]
SECOND += [
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
]
THIRD = ["seeds_3", "sa_solver", "sa_solver_pece"]
ORDERS = {name: order for order, names in enumerate((FIRST, SECOND, THIRD), 1) for name in names}
"""Of those with noise: without it (η = 0). Multistep solvers of higher order begin at the first, which leaves
the second of the whole way; ddpm, lcm, er_sde are nothing without noise; heunpp2, dpm_adaptive have none."""


def model(kind: str) -> Denoise:
    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        a = 1 - sigma if kind == "flow" else 1.0
        v = a**2 * SPREAD**2 + sigma**2
        return (a * SPREAD**2 * x + sigma**2 * MU * torch.tanh(a * MU * x / v)) / v

    return denoise


def solved(name: str, kind: str, steps: int) -> torch.Tensor:
    """The end of a trajectory whose strides in λ are even."""
    solver = SOLVERS[name]
    if "eta" in solver.options:
        solver = solver.given({"eta": 0.0})
    ratios = [math.log(sigma / (1 - sigma if kind == "flow" else 1)) for sigma in ENDS[kind]]
    levels = np.exp(np.linspace(*ratios, steps + 1))
    sigmas = Sigmas((levels / (1 + levels) if kind == "flow" else levels).tolist(), flow=kind == "flow")
    x = torch.linspace(-1.5, 1.5, 16, dtype=torch.float64).reshape(1, 1, 4, 4) * (1 + sigmas[0])
    *_, last = solver(model(kind), sigmas, Gaussian(x, 1), State(0, x))
    return last.x


@functools.cache
def exact(kind: str) -> torch.Tensor:
    return solved("seeds_3", kind, 1500)


def measured(name: str, kind: str) -> float:
    counts = np.array([24, 48, 96, 192])
    errors = [float((solved(name, kind, count) - exact(kind)).abs().mean()) for count in counts]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("name", ORDERS)
def test_error_falls_with_the_order_that_is_claimed(name: str, kind: str) -> None:
    assert measured(name, kind) > ORDERS[name] - 0.25
