"""CFG++: the estimate is the guided one, the way back to noise that of the estimate without guidance.

Chung et al., "CFG++: Manifold-constrained Classifier Free Guidance for Diffusion Models" (2024), alg. 2,
carried over to other solvers as tools agree on. U is the estimate under the negative conditioning alone.
Guidance of 1 to 2 has the effect that 5 to 12 have elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch

from studio.diffusion.api import Denoise, Noise, State, Unguided, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import alpha, slope, split
from studio.diffusion.solvers.exponential import res_weights


def _both(denoise: Denoise, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """D and U."""
    if hasattr(denoise, "unguided"):
        return cast("Unguided", denoise).unguided(x, sigma)
    denoised = denoise(x, sigma)
    return denoised, denoised


@solver()
def euler_cfg_pp(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """x′ = α′·D + σ′·(x − α·U)/σ."""
    return _euler(denoise, sigmas, noise, state, 0.0, 0.0)


@solver(noise="gaussian")
def euler_ancestral_cfg_pp(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`euler_cfg_pp` to a lower level, then new noise; `split` of σ / α."""
    return _euler(denoise, sigmas, noise, state, eta, s_noise)


def _euler(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, eta: float, s_noise: float
) -> Iterator[State]:
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised, unguided = _both(denoise, x, sigma)
        if target == 0:
            x = denoised
        else:
            scale, end_scale = alpha(sigmas, sigma), alpha(sigmas, target)
            down, up = _scaled_split(sigma, scale, target, end_scale, eta)
            x = denoised * end_scale + (x - unguided * scale) * (down / sigma)
            if eta > 0:
                x = x + noise(sigma, target) * (up * s_noise)
        yield State(k + 1, x)


def _scaled_split(
    sigma: float, scale: float, target: float, end_scale: float, eta: float
) -> tuple[float, float]:
    """`split` of σ / α, times α′; σ / α has no bound where a flow is pure noise, this has."""
    kept = 1 - (target * scale / (sigma * end_scale)) ** 2
    up = min(target, eta * target * math.sqrt(max(kept, 0.0)))
    return math.sqrt(max(target**2 - up**2, 0.0)), up


@solver()
def dpmpp_2m_cfg_pp(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """x′ = D + e^−h·(x − U) + (1 − e^−h)·(D − U₋₁)/2r: `dpmpp_2m` where D = U."""
    x, history = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised, unguided = _both(denoise, x, sigma)
        x = denoised + (x - unguided) * (target / sigma)
        if history and target > 0:
            ratio = math.log(sigmas[k - 1] / sigma) / math.log(sigma / target)
            x = x + (denoised - history[0]) * ((1 - target / sigma) / (2 * ratio))
        history = (unguided,)
        yield State(k + 1, x, history)


@solver(noise="gaussian", inner=True)
def dpmpp_2s_ancestral_cfg_pp(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`dpmpp_2s_ancestral` from x + D − U in place of x."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        down, up = split(sigma, target, eta)
        denoised, unguided = _both(denoise, x, sigma)
        moved = x + (denoised - unguided)
        if down == 0:
            x = denoised
        else:
            middle = math.sqrt(sigma * down)
            there = moved * (middle / sigma) + denoised * (1 - middle / sigma)
            halfway, _ = _both(denoise, there, middle)
            x = moved * (down / sigma) + halfway * (1 - down / sigma)
        if up > 0:
            x = x + noise(sigma, target) * (up * s_noise)
        yield State(k + 1, x)


@solver()
def res_multistep_cfg_pp(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """`res_multistep` over U, from x + D − U in place of x."""
    return _res_multistep(denoise, sigmas, noise, state, 0.0, 0.0)


@solver(noise="gaussian")
def res_multistep_ancestral_cfg_pp(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`res_multistep_cfg_pp` to a lower level, then new noise."""
    return _res_multistep(denoise, sigmas, noise, state, eta, s_noise)


def _res_multistep(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, eta: float, s_noise: float
) -> Iterator[State]:
    x, history = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        down, up = split(sigma, target, eta)
        denoised, unguided = _both(denoise, x, sigma)
        if down == 0 or not history:
            x = denoised + (x - unguided) * (down / sigma)
        else:
            before, _ = split(sigmas[k - 1], sigma, eta)
            kept, newest, older = res_weights(sigmas, k, down, before)
            x = (x + (denoised - unguided)) * kept + unguided * newest + history[0] * older
        if up > 0:
            x = x + noise(sigma, target) * (up * s_noise)
        history = (unguided,)
        yield State(k + 1, x, history)


@solver()
def gradient_estimation_cfg_pp(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, gamma: float = 2.0
) -> Iterator[State]:
    """x′ = D + σ′·d + (γ − 1)·(d − d₋₁)·Δσ with d = (x − U)/σ."""
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised, unguided = _both(denoise, x, sigma)
        newest = slope(x, unguided, sigma)
        x = denoised + newest * target
        if slopes and target > 0:
            x = x + (newest - slopes[0]) * ((gamma - 1) * (target - sigma))
        slopes = (newest,)
        yield State(k + 1, x, slopes)
