"""Solvers of one call a step that carry the slopes of the steps before on: Adams–Bashforth and its kin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import slope, toward

ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the newest slope and those before it, for one to four of them at even strides."""
_RISE = 2 * (math.log(80**2 + 1) - math.log(0.002**2 + 1) / 1e-3) / (1 - 1e-3)
_START = math.log(80**2 + 1) - _RISE / 2
"""Of the process whose time deis counts in: it has σ = 0.002 at t = 0.001 and 80 at t = 1; see `_time`."""


def mixed(slopes: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """The weighted sum of slopes."""
    total = slopes[0] * weights[0]
    for item, weight in zip(slopes[1:], weights[1:], strict=True):
        total = total + item * weight
    return total


@solver()
def lms(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, order: int = 4) -> Iterator[State]:
    """The integral of the polynomial in σ through the slopes of up to four steps: x′ = x + Σ dᵢ·∫ ℓᵢ(σ) dσ.

    The linear multistep method of Adams and Bashforth at uneven strides, as Karras et al. (2022) tried it.
    """
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        denoised = denoise(x, sigmas[k])
        slopes = (slope(x, denoised, sigmas[k]), *slopes)[:order]
        nodes = [sigmas[k - back] for back in range(len(slopes))]
        if sigmas[k + 1] == 0:
            x = denoised
        else:
            for index, item in enumerate(slopes):
                x = x + item * _lagrange_integral(nodes, index, sigmas[k], sigmas[k + 1])
        yield State(k + 1, x, slopes[: order - 1])


def _lagrange_integral(nodes: list[float], index: int, start: float, end: float) -> float:
    """Integral of the polynomial that is 1 at one node and 0 at the others."""
    others = nodes[:index] + nodes[index + 1 :]
    polynomial = np.poly1d(others, r=True) / float(np.prod([nodes[index] - other for other in others]))
    integral = polynomial.integ()
    return float(integral(end) - integral(start))


@solver(rises=True)
def ipndm(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, order: int = 4) -> Iterator[State]:
    """The weights of Adams and Bashforth for even strides, whatever the strides are.

    x′ = x + Δσ·(55·d₀ − 59·d₁ + 37·d₂ − 9·d₃) / 24, lower at the start: Zhang & Chen, "Fast Sampling of
    Diffusion Models with Exponential Integrator" (2022), eq. 13, after Liu et al., "PNDM" (2022).
    """
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        slopes = (slope(x, denoised, sigma), *slopes)[:order]
        if target == 0:
            x = denoised
        else:
            x = x + mixed(slopes, ADAMS_BASHFORTH[len(slopes) - 1]) * (target - sigma)
        yield State(k + 1, x, slopes[: order - 1])


@solver()
def ipndm_v(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, order: int = 4
) -> Iterator[State]:
    """`ipndm` with weights that follow the strides; see `_uneven_weights`."""
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        slopes = (slope(x, denoised, sigma), *slopes)[:order]
        if target == 0:
            x = denoised
        else:
            strides = [sigmas[k + 1 - back] - sigmas[k - back] for back in range(len(slopes))]
            x = x + mixed(slopes, _uneven_weights(strides)) * (target - sigma)
        yield State(k + 1, x, slopes[: order - 1])


def _uneven_weights(strides: Sequence[float]) -> tuple[float, ...]:
    """Weights of `ipndm_v` for strides h₀ (to come), h₁, h₂, h₃ (past, newest first).

    Those of Zhou et al., "Fast ODE-based Sampling for Diffusion Models in Around 5 Steps" (AMED, 2023), as
    their program has them: the weight of the second difference is (1 − h₀²/3h₁(h₁ + h₂)) / 2, where exact
    integration would have (1 − h₀/3(h₀ + h₁))·h₀(h₀ + h₁) / 2h₁(h₁ + h₂). Tools agree on the former.
    """
    h0, rest = strides[0], strides[1:]
    if not rest:
        return (1.0,)
    h1 = rest[0]
    weights = np.array([1 + h0 / (2 * h1), -h0 / (2 * h1), 0.0, 0.0])
    if len(rest) > 1:
        h2 = rest[1]
        second = (1 - h0**2 / (3 * h1 * (h1 + h2))) / 2
        weights += second * np.array([1, -(1 + h1 / h2), h1 / h2, 0])
    if len(rest) > 2:
        h2, h3 = rest[1], rest[2]
        third = (1 - h0 / (3 * (h0 + h1))) / 2 + (1 - h0 / (2 * (h0 + h1))) * h0 / (6 * (h0 + h1 + h2))
        third *= h0 * (h0 + h1) * (h0 + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        skew = h1 * (h1 + h2) / (h2 * (h2 + h3))
        weights += third * np.array(
            [1, -(1 + h1 / h2 + skew), h1 / h2 + skew * (1 + h2 / h3), -skew * h1 / h2]
        )
    return tuple(float(weight) for weight in weights[: len(strides)])


@solver()
def deis(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, order: int = 3) -> Iterator[State]:
    """The polynomial through the last slopes is one in the time of the noising process, not in σ.

    x′ = x + Σ dᵢ·∫ ℓᵢ(t(σ)) dσ: Zhang & Chen (2022), tAB-DEIS.
    """
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        slopes = (slope(x, denoised, sigma), *slopes)[:order]
        if target == 0:
            x = denoised
        elif len(slopes) == 1:
            x = toward(x, denoised, sigma, target)
        else:
            past = [sigmas[k - back] for back in range(len(slopes))]
            x = x + mixed(slopes, _time_weights(past, sigma, target))
        yield State(k + 1, x, slopes[: order - 1])


def _time_weights(past: Sequence[float], start: float, end: float) -> list[float]:
    """∫ ℓᵢ(t(σ)) dσ from `start` to `end`, by the rule of Gauss and Legendre over t."""
    nodes = [_time(sigma) for sigma in past]
    begin, finish = _time(start), _time(end)
    points, shares = np.polynomial.legendre.leggauss(24)
    times = (finish + begin) / 2 + points * (finish - begin) / 2
    growth = np.exp(times**2 * (_RISE / 2) + times * _START)
    speed = (times * _RISE + _START) * growth / (2 * np.sqrt(growth - 1))  # dσ/dt
    weights: list[float] = []
    for index, node in enumerate(nodes):
        basis = np.ones_like(times)
        for other in nodes[:index] + nodes[index + 1 :]:
            basis = basis * (times - other) / (node - other)
        weights.append(float(np.sum(shares * basis * speed)) * (finish - begin) / 2)
    return weights


def _time(sigma: float) -> float:
    """Time at which a variance-preserving process has noised so far: σ² = exp(_RISE·t²/2 + _START·t) − 1."""
    return (math.sqrt(_START**2 + 2 * _RISE * math.log(sigma**2 + 1)) - _START) / _RISE


@solver(inner=True, rises=True)
def plms(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Pseudo linear multistep: `ipndm` whose first step is Heun's, and whose last is no other than the rest.

    Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), eq. 12, as Stable
    Diffusion's own sampler begins it. The transfer of eq. 11 is a straight step in sigma space.
    """
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        slopes = (slope(x, denoise(x, sigma), sigma), *slopes)[:4]
        used = mixed(slopes, ADAMS_BASHFORTH[len(slopes) - 1])
        if len(slopes) == 1 and target > 0:
            there = x + used * (target - sigma)
            used = (used + slope(there, denoise(there, target), target)) / 2
        x = x + used * (target - sigma)
        yield State(k + 1, x, slopes[:3])


@solver(inner=True, rises=True)
def pndm(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Pseudo linear multistep after three steps of pseudo Runge–Kutta of fourth order.

    Liu et al. (2022), alg. 2, eq. 12 and 13; halfway is meant in the time the denoiser was trained in.
    """
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        first = slope(x, denoise(x, sigma), sigma)
        if len(slopes) == 3 or target == 0:
            used = mixed((first, *slopes), ADAMS_BASHFORTH[len(slopes)])
        else:
            middle = sigmas.sampling.at(
                (sigmas.sampling.progress(sigma) + sigmas.sampling.progress(target)) / 2
            )
            stages = [first]
            for level in (middle, middle, target):
                there = x + stages[-1] * (level - sigma)
                stages.append(slope(there, denoise(there, level), level))
            used = mixed(stages, (1 / 6, 1 / 3, 1 / 3, 1 / 6))
        slopes = (first, *slopes)[:3]
        x = x + used * (target - sigma)
        yield State(k + 1, x, slopes)


@solver()
def gradient_estimation(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, gamma: float = 2.0
) -> Iterator[State]:
    """The slope carried on beyond what changed since the step before: d̄ = γ·d + (1 − γ)·d₋₁.

    Permenter & Yuan, "Interpreting and Improving Diffusion Models from an Optimization Perspective" (2023),
    alg. 1 with γ = 2.
    """
    x, slopes = state.x, state.history
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        denoised = denoise(x, sigma)
        newest = slope(x, denoised, sigma)
        if target == 0:
            x = denoised
        else:
            used = newest * gamma + slopes[0] * (1 - gamma) if slopes else newest
            x = x + used * (target - sigma)
        slopes = (newest,)
        yield State(k + 1, x, slopes)
