"""What solvers share: a straight step, noise put back, and time as the logarithm of signal to noise.

Notation of this package: x at noise level σ; D the denoiser's estimate of the picture; d = (x − D) / σ the
slope of the probability flow; α what the picture is multiplied by (1, or 1 − σ in a flow); λ = log(α / σ);
h = λ′ − λ the stride from one level to the next (marked ′).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from studio.diffusion.api import Noise
from studio.diffusion.schedules import Sigmas

_FIRST = 1e-4
"""Where a flow is taken to be when it is at pure noise, which has no logarithm."""


def toward(x: torch.Tensor, denoised: torch.Tensor, sigma: float, target: float) -> torch.Tensor:
    """Go straight from noise level `sigma` to `target`: x + d·(target − σ)."""
    return x + (x - denoised) * ((target - sigma) / sigma)


def slope(x: torch.Tensor, denoised: torch.Tensor, sigma: float) -> torch.Tensor:
    """d = (x − D) / σ."""
    return (x - denoised) / sigma


def split(sigma: float, target: float, eta: float = 1.0) -> tuple[float, float]:
    """Level to go down to, and noise to add, so that the level is `target` afterwards.

    Song et al., "Denoising Diffusion Implicit Models" (2020), eq. 16, where η = 1 is the noise of DDPM.
    """
    up = min(target, eta * math.sqrt(max(target**2 * (sigma**2 - target**2) / sigma**2, 0.0)))
    return math.sqrt(max(target**2 - up**2, 0.0)), up


def _flow_split(sigma: float, target: float, eta: float) -> tuple[float, float, float]:
    """For a flow: level to go down to, factor for x there, noise to add."""
    down = target * (1 + (target / sigma - 1) * eta)
    scale = (1 - target) / (1 - down)
    return down, scale, math.sqrt(max(target**2 - (down * scale) ** 2, 0.0))


def lowered(sigmas: Sigmas, k: int, eta: float) -> float:
    """Level an ancestral step `k` goes down to before new noise is added."""
    if sigmas.flow:
        return _flow_split(sigmas[k], sigmas[k + 1], eta)[0]
    return split(sigmas[k], sigmas[k + 1], eta)[0]


def renoised(
    x: torch.Tensor, sigmas: Sigmas, k: int, noise: Noise, eta: float, s_noise: float
) -> torch.Tensor:
    """From the level that ancestral step `k` went down to, up to that of step `k + 1`."""
    sigma, target = sigmas[k], sigmas[k + 1]
    if target == 0 or eta == 0:
        return x
    if sigmas.flow:
        _, scale, up = _flow_split(sigma, target, eta)
        return x * scale + noise(sigma, target) * (up * s_noise)
    return x + noise(sigma, target) * (split(sigma, target, eta)[1] * s_noise)


def below_one(sigmas: Sigmas) -> tuple[float, ...]:
    """The levels, the first one of a flow put just below pure noise, so that all but 0 have a λ."""
    if sigmas.flow and sigmas[0] >= 1:
        return (float(np.float32(min(sigmas.sampling.at(_FIRST), 1 - _FIRST / 100))), *sigmas[1:])
    return tuple(sigmas)


def alpha(sigmas: Sigmas, sigma: float) -> float:
    """What the picture is multiplied by at a level."""
    return 1.0 - sigma if sigmas.flow else 1.0


def log_snr(sigmas: Sigmas, sigma: float) -> float:
    """λ at a level above 0, and below 1 for a flow."""
    return math.log(alpha(sigmas, sigma) / sigma)


def level(sigmas: Sigmas, lam: float) -> float:
    """The level at λ."""
    return 1 / (1 + math.exp(lam)) if sigmas.flow else math.exp(-lam)


def phi_2(h: float) -> float:
    """φ₂(−h)·h = (e^−h − 1 + h) / h, the second function of exponential integrators, for a stride h > 0."""
    return (math.expm1(-h) + h) / h
