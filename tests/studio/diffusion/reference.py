"""Reference values of solvers and schedules, and the data they were taken on."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch
from safetensors.torch import load_file

from studio.diffusion.schedules import Sampling, Sigmas, flow, scaled_linear

FILE = Path(__file__).parents[2] / "data" / "solvers_reference.safetensors"
KINDS = {
    "eps": Sampling(scaled_linear(0.00085, 0.012, 1000), "epsilon"),
    "flow": Sampling(flow(3.0), "flow", 3.0),
}
MU, SPREAD = 1.2, 0.35


@functools.cache
def entries() -> dict[str, torch.Tensor]:
    return load_file(FILE)


def denoise(x: torch.Tensor, sigma: float, *, is_flow: bool) -> torch.Tensor:
    """The exact denoiser of ½N(μ, s²) + ½N(−μ, s²)."""
    level = torch.tensor(sigma)  # in single precision, as a network would be given it
    a = 1 - level if is_flow else torch.tensor(1.0)
    v = a**2 * SPREAD**2 + level**2
    return (a * SPREAD**2 * x + level**2 * MU * torch.tanh(a * MU * x / v)) / v


def start(noise: torch.Tensor, sigmas: Sigmas) -> torch.Tensor:
    return noise * sigmas[0] if sigmas.flow else noise * math.sqrt(1 + sigmas[0] ** 2)
