"""Solvers of one call a step that integrate the linear part exactly and carry the estimates on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import phi_2, split, toward


@solver(rises=True)
def dpmpp_2m(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Exponential step along the line through the last two estimates.

    x′ = (σ′/σ)·x + (1 − σ′/σ)·((1 + 1/2r)·D − D₋₁/2r), r = h₋₁/h: Lu et al., "DPM-Solver++" (2022), alg. 2.
    """
    x, history = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        estimate = denoised
        if history and target > 0:
            ratio = math.log(sigmas[k - 1] / sigma) / math.log(sigma / target)
            estimate = denoised * (1 + 1 / (2 * ratio)) - history[0] * (1 / (2 * ratio))
        x = x * (target / sigma) + estimate * (1 - target / sigma)
        history = (denoised,)
        yield State(k + 1, x, history)


def res_weights(sigmas: Sigmas, k: int, down: float, down_before: float) -> tuple[float, float, float]:
    """Weights of x, of the newest estimate and of the one before, in a step `k` to the level `down`.

    With c = log(down₋₁ / σ₋₁) / h: e^−h, h·(φ₁ − φ₂/c), h·φ₂/c, the φ taken at −h.
    """
    h = math.log(sigmas[k] / down)
    older = phi_2(h) * h / math.log(down_before / sigmas[k - 1])
    return math.exp(-h), -math.expm1(-h) - older, older


@solver(rises=True)
def res_multistep(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Exponential integrator of second order over the last two estimates; see `res_weights`.

    Zhang et al., "Improved Order Analysis and Design of Exponential Integrator for Diffusion Models Sampling"
    (2023), the refined exponential solver, multistep.
    """
    yield from _res_multistep(denoise, sigmas, noise, state, eta=0.0, s_noise=0.0)


@solver(noise="gaussian")
def res_multistep_ancestral(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`res_multistep` to a lower level, then new noise; see `arithmetic.split`."""
    yield from _res_multistep(denoise, sigmas, noise, state, eta=eta, s_noise=s_noise)


def _res_multistep(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, eta: float, s_noise: float
) -> Iterator[State]:
    x, history = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma = sigmas[k]
        down, up = split(sigma, sigmas[k + 1], eta)
        denoised = denoise(x, sigma)
        if down == 0 or not history:
            x = toward(x, denoised, sigma, down)
        else:
            before, _ = split(sigmas[k - 1], sigma, eta)
            kept, newest, older = res_weights(sigmas, k, down, before)
            x = x * kept + denoised * newest + history[0] * older
        if up > 0:
            x = x + noise(sigma, sigmas[k + 1]) * (up * s_noise)
        history = (denoised,)
        yield State(k + 1, x, history)
