"""Solvers of one step that go lower than wanted and put new noise back, and those of noise altogether."""

from __future__ import annotations

import math
from collections.abc import Iterator

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import lowered, renoised, toward
from studio.diffusion.solvers.slopes import midway

_NEARLY_ONE = 0.9999


@solver(noise="gaussian")
def euler_ancestral(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """Euler to a lower level σ↓, then new noise up to the level wanted: σ↓² + σ↑² = σ′².

    σ↑ = η·σ′·√(1 − σ′² / σ²): Song et al., "DDIM" (2020), eq. 16. In a flow σ↓ = σ′·(1 + η·(σ′/σ − 1)) and x
    is rescaled by (1 − σ′) / (1 − σ↓), so that the picture comes out at 1 − σ′.
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = toward(x, denoise(x, sigmas[k]), sigmas[k], lowered(sigmas, k, eta))
        x = renoised(x, sigmas, k, noise, eta, s_noise)
        yield State(k + 1, x)


@solver(noise="gaussian", inner=True, drop_last=True)
def dpm_2_ancestral(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """The slope in the middle of a step to a lower level, then new noise; see `dpm_2`, `euler_ancestral`."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = midway(x, denoise, sigmas[k], lowered(sigmas, k, eta))
        x = renoised(x, sigmas, k, noise, eta, s_noise)
        yield State(k + 1, x)


@solver(noise="gaussian", inner=True)
def dpmpp_2s_ancestral(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """Exponential step with the estimate halfway in λ to a lower level, then new noise.

    x′ = (σ′/σ)·x + (1 − σ′/σ)·D(x at the middle): Lu et al., "DPM-Solver++" (2022), alg. 1 with r = ½.
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, down = sigmas[k], lowered(sigmas, k, eta)
        denoised = denoise(x, sigma)
        if down > 0:
            middle = _middle_of_flow(sigma, down) if sigmas.flow else math.sqrt(sigma * down)
            denoised = denoise(toward(x, denoised, sigma, middle), middle)
        x = toward(x, denoised, sigma, down)
        x = renoised(x, sigmas, k, noise, eta, s_noise)
        yield State(k + 1, x)


def _middle_of_flow(sigma: float, down: float) -> float:
    """Level of a flow halfway in λ; pure noise has none, so just below it is taken."""
    if sigma >= 1:
        return _NEARLY_ONE
    lams = [math.log((1 - level) / level) for level in (sigma, down)]
    return 1 / (math.exp(sum(lams) / 2) + 1)


@solver(noise="gaussian")
def ddpm(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, s_noise: float = 1.0
) -> Iterator[State]:
    """The reverse of the noising chain, drawn at random.

    With ᾱ = 1 / (1 + σ²), α = ᾱ / ᾱ′ and z = x·√ᾱ: z′ = (z − (1 − α) / √(1 − ᾱ)·d) / √α + √β̃·n,
    β̃ = (1 − α)·(1 − ᾱ′) / (1 − ᾱ): Ho et al., "Denoising Diffusion Probabilistic Models" (2020), alg. 2.
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        kept, kept_next = 1 / (sigma**2 + 1), 1 / (target**2 + 1)
        alpha = kept / kept_next
        error = (x - denoise(x, sigma)) / sigma
        mean = (x * math.sqrt(kept) - error * ((1 - alpha) / math.sqrt(1 - kept))) / math.sqrt(alpha)
        if target > 0:
            spread = math.sqrt((1 - alpha) * (1 - kept_next) / (1 - kept))
            mean = (mean + noise(sigma, target) * (spread * s_noise)) / math.sqrt(kept_next)
        x = mean
        yield State(k + 1, x)


@solver(noise="gaussian")
def lcm(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, s_noise: float = 1.0
) -> Iterator[State]:
    """All the way to the estimate, then noise up to the next level: x′ = α′·D + σ′·n.

    Luo et al., "Latent Consistency Models" (2023), alg. 3.
    """
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        x = denoise(x, sigma)
        if target > 0:
            x = (x * (1 - target) if sigmas.flow else x) + noise(sigma, target) * (target * s_noise)
        yield State(k + 1, x)
