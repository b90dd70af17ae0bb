"""Stochastic solvers of higher order with Gaussian noise: ER-SDE and SEEDS."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import alpha, below_one, level, log_snr, phi_2

_POINTS = 200
"""Of the sum that stands for the integrals of `er_sde`; part of what tools agree on."""


@solver(noise="gaussian")
def er_sde(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    s_noise: float = 1.0,
    order: int = 3,
) -> Iterator[State]:
    """Extended reverse-time equation whose noise is scaled by f(ρ) = ρ·(e^(ρ^0.3) + 10), ρ = σ / α.

    x′ = (α′/α)·r·x + α′·((1 − r)·D + (Δρ + f(ρ′)·∫ 1/f)·D⁽¹⁾ + (Δρ²/2 + f(ρ′)·∫ (u − ρ)/f)·D⁽²⁾)
    + α′·√(ρ′² − r²ρ²)·n with r = f(ρ′)/f(ρ) and the integrals from ρ′ to ρ over u:
    Cui et al., "Elucidating the Solution Space of Extended Reverse-Time SDE for Diffusion Models" (2023).
    """
    levels = below_one(sigmas)
    x, history = state.x, state.history
    for k in range(state.step, len(levels) - 1):
        sigma, target = levels[k], levels[k + 1]
        denoised = denoise(x, sigma)
        history = (denoised, *history)[:order]
        if target == 0:
            x = denoised
        else:
            scale, end_scale = alpha(sigmas, sigma), alpha(sigmas, target)
            rhos = [item / alpha(sigmas, item) for item in (levels[k - back] for back in range(len(history)))]
            weights, kept, spread = _er_weights(rhos, target / end_scale)
            x = x * (kept * end_scale / scale) + sum_of(_differences(history, rhos), weights) * end_scale
            if s_noise > 0:
                x = x + noise(sigma, target) * (end_scale * spread * s_noise)
        yield State(k + 1, x, history[: order - 1])


def _er_weights(rhos: Sequence[float], target: float) -> tuple[list[float], float, float]:
    """Weights of the estimate and its divided differences, the part of x kept, the noise added."""
    rho, stride = rhos[0], target - rhos[0]
    kept = float(_er_noise(target) / _er_noise(rho))
    width = -stride / _POINTS
    points = target + np.arange(_POINTS) * width
    scaled = _er_noise(points)
    weights = [1 - kept]
    if len(rhos) > 1:
        weights.append(stride + float(np.sum(1 / scaled)) * width * float(_er_noise(target)))
    if len(rhos) > 2:
        moment = float(np.sum((points - rho) / scaled)) * width
        weights.append(stride**2 / 2 + moment * float(_er_noise(target)))
    return weights, kept, math.sqrt(max(target**2 - (kept * rho) ** 2, 0.0))


def _er_noise(rho: np.ndarray | float) -> np.ndarray:
    return np.asarray(rho * (np.exp(np.power(rho, 0.3)) + 10))


def _differences(history: Sequence[torch.Tensor], rhos: Sequence[float]) -> list[torch.Tensor]:
    """The newest estimate, and its first and second divided difference over ρ where the history has them."""
    found = [history[0]]
    if len(history) > 1:
        found.append((history[0] - history[1]) / (rhos[0] - rhos[1]))
    if len(history) > 2:
        before = (history[1] - history[2]) / (rhos[1] - rhos[2])
        found.append((found[1] - before) / ((rhos[0] - rhos[2]) / 2))
    return found


def sum_of(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """The weighted sum."""
    total = tensors[0] * weights[0]
    for item, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + item * weight
    return total


@solver(noise="gaussian", inner=True)
def seeds_2(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """Two stages of an exponential integrator with noise, the first halfway in λ; see `_seeds`.

    Gonzalez et al., "SEEDS: Exponential SDE Solvers for Fast High-Quality Sampling" (2023), data prediction.
    """
    return _seeds(denoise, sigmas, noise, state, eta, s_noise, (0.5,))


@solver(noise="gaussian", inner=True)
def seeds_3(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`seeds_2` with three stages, at one and two thirds of the step in λ."""
    return _seeds(denoise, sigmas, noise, state, eta, s_noise, (1 / 3, 2 / 3))


def _seeds(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    eta: float,
    s_noise: float,
    parts: tuple[float, ...],
) -> Iterator[State]:
    """x(c) = (σc/σ)·e^−ηch·x + αc·Σ bᵢ·Dᵢ + σc·ξc at each part c of the step and at its end.

    The noise of a stage is that of the one before, faded, and new noise for the way between them:
    ξ = e^−ηΔ·ξ₋₁ + √(1 − e^−2ηΔ)·n, so that all stages see one path.
    """
    levels = below_one(sigmas)
    x = state.x
    for k in range(state.step, len(levels) - 1):
        sigma, target = levels[k], levels[k + 1]
        first = denoised = denoise(x, sigma)
        if target > 0:
            lam = log_snr(sigmas, sigma)
            h = log_snr(sigmas, target) - lam
            before, reached, there = 0.0, sigma, x
            path: torch.Tensor | None = None
            for part in (*parts, 1.0):
                end = target if part == 1 else level(sigmas, lam + part * h)
                b_first, b_last = _seeds_weights(part, before, (1 + eta) * h, len(parts))
                there = x * (end / sigma * math.exp(-eta * part * h))
                there = there + (first * b_first + denoised * b_last) * alpha(sigmas, end)
                if eta > 0:
                    stride = eta * (part - before) * h
                    fresh = noise(reached, end) * math.sqrt(-math.expm1(-2 * stride))
                    path = fresh if path is None else path * math.exp(-stride) + fresh
                    there = there + path * (end * s_noise)
                if part < 1:
                    denoised = denoise(there, end)
                before, reached = part, end
            x = there
        else:
            x = denoised
        yield State(k + 1, x)


def _seeds_weights(part: float, before: float, stride: float, inner: int) -> tuple[float, float]:
    """Weights of the first estimate of the step and of the latest, for the stage that ends at `part`.

    `stride` is (1 + η)·h. The last of two stages takes the latest estimate as that of the whole step (c = ½
    gives it a weight of 1/2c = 1), that of three stages integrates the line through both.
    """
    whole = -math.expm1(-part * stride)
    if before == 0:
        return whole, 0.0
    latest = whole / (2 * before) if inner == 1 else phi_2(part * stride) * part / before
    return whole - latest, latest
