"""Solvers in sigma space: each a short generator, its history in the state it yields.

Notation: x at noise level σ, D the model's estimate of the picture, d = (x − D) / σ the slope; −log σ runs
forward in time, h is a stride of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas


def _toward(x: torch.Tensor, denoised: torch.Tensor, sigma: float, target: float) -> torch.Tensor:
    """Go straight from noise level `sigma` to `target`."""
    return x + (x - denoised) * ((target - sigma) / sigma)


def _split(sigma: float, target: float) -> tuple[float, float]:
    """Level to go down to, and noise to add, so that the level is `target` afterwards."""
    up = min(target, math.sqrt(max(target**2 * (sigma**2 - target**2) / sigma**2, 0.0)))
    return math.sqrt(target**2 - up**2), up


def _flow_split(sigma: float, target: float) -> tuple[float, float, float]:
    """For a flow: level to go down to, factor for x there, noise to add."""
    down = target * target / sigma
    scale = (1 - target) / (1 - down)
    return down, scale, math.sqrt(max(target**2 - (down * scale) ** 2, 0.0))


def _renoise(x: torch.Tensor, sigmas: Sigmas, k: int, noise: Noise) -> torch.Tensor:
    """From the level an ancestral step went down to, up to that of step `k + 1`."""
    sigma, target = sigmas[k], sigmas[k + 1]
    if target == 0:
        return x
    if sigmas.flow:
        _, scale, up = _flow_split(sigma, target)
        return x * scale + noise(sigma, target) * up
    return x + noise(sigma, target) * _split(sigma, target)[1]


def _down(sigmas: Sigmas, k: int) -> float:
    """Level an ancestral step goes down to before new noise is added."""
    if sigmas.flow:
        return _flow_split(sigmas[k], sigmas[k + 1])[0]
    return _split(sigmas[k], sigmas[k + 1])[0]


@solver()
def euler(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """One straight step along the slope."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = _toward(x, denoise(x, sigmas[k]), sigmas[k], sigmas[k + 1])
        yield State(k + 1, x)


# In sigma space the deterministic DDIM step is Euler's.
ddim = euler


@solver(noise="gaussian")
def euler_ancestral(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Euler to a lower level, then new noise up to the level wanted."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = _toward(x, denoise(x, sigmas[k]), sigmas[k], _down(sigmas, k))
        x = _renoise(x, sigmas, k, noise)
        yield State(k + 1, x)


@solver(inner=True)
def heun(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The mean of the slopes at both ends of the step."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        slope = (x - denoise(x, sigma)) / sigma
        end = x + slope * (target - sigma)
        if target > 0:
            slope = (slope + (end - denoise(end, target)) / target) / 2
            end = x + slope * (target - sigma)
        x = end
        yield State(k + 1, x)


def _midway(x: torch.Tensor, denoise: Denoise, sigma: float, down: float) -> torch.Tensor:
    """Step to `down` along the slope halfway, in the logarithm, there."""
    denoised = denoise(x, sigma)
    if down == 0:
        return _toward(x, denoised, sigma, down)
    middle = math.sqrt(sigma * down)
    there = _toward(x, denoised, sigma, middle)
    return x + (there - denoise(there, middle)) * ((down - sigma) / middle)


@solver(inner=True, drop_last=True)
def dpm_2(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The slope in the middle of the step."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = _midway(x, denoise, sigmas[k], sigmas[k + 1])
        yield State(k + 1, x)


@solver(noise="gaussian", inner=True, drop_last=True)
def dpm_2_ancestral(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The slope in the middle of a step to a lower level, then new noise."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        x = _midway(x, denoise, sigmas[k], _down(sigmas, k))
        x = _renoise(x, sigmas, k, noise)
        yield State(k + 1, x)


@solver()
def lms(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The integral of the polynomial through the slopes of up to four steps."""
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        denoised = denoise(x, sigmas[k])
        slopes = ((x - denoised) / sigmas[k], *slopes)[:4]
        nodes = [sigmas[k - back] for back in range(len(slopes))]
        if sigmas[k + 1] == 0:
            x = denoised
        else:
            for index, slope in enumerate(slopes):
                x = x + slope * _lagrange_integral(nodes, index, sigmas[k], sigmas[k + 1])
        yield State(k + 1, x, slopes[:3])


def _lagrange_integral(nodes: list[float], index: int, start: float, end: float) -> float:
    """Integral of the polynomial that is 1 at one node and 0 at the others."""
    others = nodes[:index] + nodes[index + 1 :]
    polynomial = np.poly1d(others, r=True) / float(np.prod([nodes[index] - other for other in others]))
    integral = polynomial.integ()
    return float(integral(end) - integral(start))


@solver(noise="gaussian")
def ddpm(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """The reverse of the noising chain, drawn at random."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        kept, kept_next = 1 / (sigma**2 + 1), 1 / (target**2 + 1)
        alpha = kept / kept_next
        error = (x - denoise(x, sigma)) / sigma
        mean = (x * math.sqrt(kept) - error * ((1 - alpha) / math.sqrt(1 - kept))) / math.sqrt(alpha)
        if target > 0:
            spread = math.sqrt((1 - alpha) * (1 - kept_next) / (1 - kept))
            mean = (mean + noise(sigma, target) * spread) / math.sqrt(kept_next)
        x = mean
        yield State(k + 1, x)


@solver(noise="gaussian")
def lcm(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """All the way to the estimate, then noise up to the next level."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        x = denoise(x, sigma)
        if target > 0:
            x = (x * (1 - target) if sigmas.flow else x) + noise(sigma, target) * target
        yield State(k + 1, x)


@solver()
def dpmpp_2m(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Exponential step along the line through the last two estimates."""
    x, history = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        estimate = denoised
        if history and target > 0:
            # h is the stride to come and the one before; their ratio carries the line on to the middle.
            ratio = math.log(sigmas[k - 1] / sigma) / math.log(sigma / target)
            estimate = denoised * (1 + 1 / (2 * ratio)) - history[0] * (1 / (2 * ratio))
        x = x * (target / sigma) + estimate * (1 - target / sigma)
        history = (denoised,)
        yield State(k + 1, x, history)


@solver(noise="gaussian", inner=True)
def dpmpp_2s_ancestral(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Exponential step with the estimate halfway to a lower level, then new noise."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, down = sigmas[k], _down(sigmas, k)
        denoised = denoise(x, sigma)
        if down > 0:
            middle = _middle_in_snr(sigma, down) if sigmas.flow else math.sqrt(sigma * down)
            denoised = denoise(_toward(x, denoised, sigma, middle), middle)
        x = _toward(x, denoised, sigma, down)
        x = _renoise(x, sigmas, k, noise)
        yield State(k + 1, x)


def _middle_in_snr(sigma: float, down: float) -> float:
    """Level of a flow halfway in log signal-to-noise; pure noise has none, so just below it is taken."""
    if sigma >= 1:
        return 0.9999
    levels = [math.log((1 - level) / level) for level in (sigma, down)]
    return 1 / (math.exp(sum(levels) / 2) + 1)


@solver()
def res_multistep(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Exponential integrator of second order over the last two estimates."""
    x, history = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        if target == 0 or not history:
            x = _toward(x, denoised, sigma, target)
        else:
            h = math.log(sigma / target)
            phi1 = -math.expm1(-h) / h
            phi2 = (1 - phi1) / h
            older = phi2 * h / math.log(sigma / sigmas[k - 1])
            x = x * math.exp(-h) + denoised * (h * (phi1 - older)) + history[0] * (h * older)
        history = (denoised,)
        yield State(k + 1, x, history)
