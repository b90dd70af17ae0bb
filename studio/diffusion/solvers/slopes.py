"""Solvers of one step that follow the slope and add no noise: Euler, Heun, the midpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import slope, toward


@solver(rises=True)
def euler(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """One straight step along the slope: x′ = x + d·(σ′ − σ).

    Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), alg. 1 with
    one stage. In sigma space it is the deterministic DDIM (Song et al., 2020).
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = toward(x, denoise(x, sigmas[k]), sigmas[k], sigmas[k + 1])
        yield State(k + 1, x)


ddim = euler


@solver(inner=True, rises=True)
def heun(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The mean of the slopes at both ends of the step: x′ = x + (d + d(x + d·Δσ, σ′))·Δσ / 2.

    Karras et al. (2022), alg. 1; the step to 0 is Euler's.
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        first = slope(x, denoise(x, sigma), sigma)
        end = x + first * (target - sigma)
        if target > 0:
            second = slope(end, denoise(end, target), target)
            end = x + (first + second) * ((target - sigma) / 2)
        x = end
        yield State(k + 1, x)


@solver(inner=True, look_ahead=2)
def heunpp2(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Slopes at the step's start, its end and one step further, weighted by their levels.

    x′ = x + (w₁·d₁ + w₂·d₂ + w₃·d₃)·Δσ with w₂ = σ₂ / 3σ₀, w₃ = σ₃ / 3σ₀, w₁ = 1 − w₂ − w₃, where σ₀ is the
    first level of all; the last step but one has two slopes (w₂ = σ₂ / 2σ₀), the last is Euler's.
    Heun++ of Carzit's "samplers scheduler" for the Stable Diffusion web UI (2023).
    """
    x, last = state.x, len(sigmas) - 1
    for k in range(state.step, last):
        levels = sigmas[k : min(k + 3, last)]
        stages = len(levels)
        slopes: list[torch.Tensor] = []
        there = x
        for stage, sigma in enumerate(levels):
            slopes.append(slope(there, denoise(there, sigma), sigma))
            if stage + 1 < stages:
                there = there + slopes[-1] * (levels[stage + 1] - sigma)
        weights = [sigma / (stages * sigmas[0]) for sigma in levels[1:]]
        mixed = slopes[0] * (1 - sum(weights))
        for weight, item in zip(weights, slopes[1:], strict=True):
            mixed = mixed + item * weight
        x = x + mixed * (sigmas[k + 1] - sigmas[k])
        yield State(k + 1, x)


def midway(x: torch.Tensor, denoise: Denoise, sigma: float, down: float) -> torch.Tensor:
    """Step to `down` along the slope halfway, in the logarithm, there; straight where `down` is 0."""
    denoised = denoise(x, sigma)
    if down == 0:
        return toward(x, denoised, sigma, down)
    middle = math.sqrt(sigma * down)
    there = toward(x, denoised, sigma, middle)
    return x + slope(there, denoise(there, middle), middle) * (down - sigma)


@solver(inner=True, drop_last=True, rises=True)
def dpm_2(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The slope in the middle of the step, at √(σ·σ′).

    Lu et al., "DPM-Solver" (2022), second order with r₁ = ½, in the form of Karras et al. (2022).
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = midway(x, denoise, sigmas[k], sigmas[k + 1])
        yield State(k + 1, x)
