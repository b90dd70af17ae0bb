"""Solvers that mend the last step with the estimate at its end, before they take the next.

The x of their states is what was predicted, where the denoiser is asked next; what the history begins with
is where the last step began, mended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sampling, Sigmas
from studio.diffusion.solvers.arithmetic import alpha, below_one, log_snr
from studio.diffusion.solvers.stochastic import sum_of

_END = 2**-10
"""The level that uni_pc ends at where the schedule ends at 0, which has no logarithm: 0.001, as it comes out
of 1 − ᾱ in single precision, by which the others go."""


@solver(look_ahead=2, drop_last=True)
def uni_pc(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, order: int = 3
) -> Iterator[State]:
    """Predictor and corrector of one form, order 3, over the estimates; B(h) = −h. See `_unified`.

    Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models"
    (2023), alg. 1 to 4, variant B₁.
    """
    return _uni_pc(denoise, sigmas, state, order, exponential=False)


@solver(look_ahead=2, drop_last=True)
def uni_pc_bh2(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, *, order: int = 3
) -> Iterator[State]:
    """`uni_pc` with B(h) = e^−h − 1, variant B₂."""
    return _uni_pc(denoise, sigmas, state, order, exponential=True)


def _uni_pc(
    denoise: Denoise, sigmas: Sigmas, state: State, order: int, *, exponential: bool
) -> Iterator[State]:
    last = len(sigmas) - 1
    levels = (*sigmas[:-1], sigmas[-1] or _END)
    x, history = state.x, state.history
    for k in range(state.step, last):
        denoised = denoise(x, sigmas[k])
        past = history[1:]
        if past:
            used = min(order, k, last + 1 - k, len(past))
            lams = [-math.log(levels[k - 1 - back]) for back in range(used)]
            x = _unified(history[0], past[:used], lams, -math.log(levels[k]), denoised, exponential)
        estimates = (denoised, *past)[:order]
        used = min(order, k + 1, last - k, len(estimates))
        lams = [-math.log(levels[k - back]) for back in range(used)]
        start, x = x, _unified(x, estimates[:used], lams, -math.log(levels[k + 1]), None, exponential)
        history = (start, *estimates)
        yield State(k + 1, x, history)


def _unified(
    x: torch.Tensor,
    estimates: Sequence[torch.Tensor],
    lams: Sequence[float],
    lam: float,
    reached: torch.Tensor | None,
    exponential: bool,
) -> torch.Tensor:
    """One step from λ₀ to λ: e^−h·x + (1 − e^−h)·D₀ − B(h)·Σ ρᵢ·(Dᵢ − D₀)/rᵢ, rᵢ = (λᵢ − λ₀)/h.

    The ρ solve Σ ρᵢ·rᵢ^(j−1) = j!·φ_{j+1}(−h)·(−h) / B(h), j = 1, 2, …

    Args:
        x: Where the step begins.
        estimates: D₀, D₋₁, …, as many as the order.
        lams: Their λ.
        lam: λ at the step's end.
        reached: The estimate at the end: given to the corrector, which counts it as one more.
        exponential: Of the two B(h) the second.
    """
    h = lam - lams[0]
    factor = math.expm1(-h) if exponential else -h
    moved = x * math.exp(-h) - estimates[0] * math.expm1(-h)
    parts = [(item - lams[0]) / h for item in lams[1:]]
    changes = [(item - estimates[0]) / part for item, part in zip(estimates[1:], parts, strict=True)]
    if reached is not None:
        parts, changes = [*parts, 1.0], [*changes, reached - estimates[0]]
    if not changes:
        return moved
    # A single unknown is set to the limit of its equation, as the paper does.
    weights = [0.5] if len(parts) == 1 else _solved(parts, h, factor)
    return moved - sum_of(changes, weights) * factor


def _solved(parts: Sequence[float], h: float, factor: float) -> list[float]:
    phi = math.expm1(-h) / -h - 1
    factorial = 1
    wanted: list[float] = []
    for power in range(1, len(parts) + 1):
        wanted.append(phi * factorial / factor)
        factorial *= power + 1
        phi = phi / -h - 1 / factorial
    matrix = np.vander(np.array(parts), increasing=True).T
    return [float(weight) for weight in np.linalg.solve(matrix, np.array(wanted))]


@solver(noise="gaussian", look_ahead=2)
def sa_solver(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    order: int = 3,
) -> Iterator[State]:
    """Stochastic Adams: predictor of order 3, corrector of order 4 over the estimates; see `_adams`.

    Noise (τ = η) acts between 20 and 80 % of the way, outside the steps are those of τ = 0:
    Xue et al., "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models" (2023), alg. 1.
    """
    return _sa_solver(denoise, sigmas, noise, state, eta, s_noise, order, again=False)


@solver(noise="gaussian", look_ahead=2, inner=True)
def sa_solver_pece(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    order: int = 3,
) -> Iterator[State]:
    """`sa_solver` that asks again where a step was mended: predict, evaluate, correct, evaluate."""
    return _sa_solver(denoise, sigmas, noise, state, eta, s_noise, order, again=True)


def _sa_solver(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    eta: float,
    s_noise: float,
    order: int,
    *,
    again: bool,
) -> Iterator[State]:
    levels = below_one(sigmas)
    last = len(levels) - 1
    lams = [log_snr(sigmas, item) for item in levels if item > 0]
    x, history = state.x, state.history
    for k in range(state.step, last):
        sigma, target = levels[k], levels[k + 1]
        # Where the schedule ends at 0, orders fall towards it.
        left = last - k if levels[-1] == 0 else order + 1
        denoised = denoise(x, sigma)
        estimates = (denoised, *history[1:])[: order + 1]
        if history and (target > 0 or again):
            used = min(order + 1, len(estimates), left)
            weights = _adams(lams[k - used + 1 : k + 1], lams[k - 1], lams[k], _tau(sigmas, sigma, eta))
            x = history[0] + sum_of(estimates[:used], weights) * alpha(sigmas, sigma)
            if again:
                denoised = denoise(x, sigma)
                estimates = (denoised, *estimates[1:])
        if target == 0:
            x = carried = denoised
        else:
            used = min(order, len(estimates), left - 1)
            tau, h = _tau(sigmas, target, eta), lams[k + 1] - lams[k]
            weights = _adams(lams[k - used + 1 : k + 1], lams[k], lams[k + 1], tau)
            carried = x * (target / sigma * math.exp(-(tau**2) * h))
            if tau > 0:
                spread = math.sqrt(-math.expm1(-2 * tau**2 * h))
                carried = carried + noise(sigma, target) * (target * spread * s_noise)
            x = carried + sum_of(estimates[:used], weights) * alpha(sigmas, target)
        history = (carried, *estimates[:order])
        yield State(k + 1, x, history)


def _tau(sigmas: Sigmas, target: float, eta: float) -> float:
    """Strength of the noise in a step to `target`."""
    first, last = (_edge(sigmas.sampling, part) for part in (0.2, 0.8))
    return eta if first >= target >= last else 0.0


def _edge(sampling: Sampling, progress: float) -> float:
    """The level at a part of the way; from a table in single precision, as tools compare it with levels."""
    if sampling.flow:
        return sampling.at(progress)
    time = torch.tensor((1 - progress) * (len(sampling.table) - 1))
    below = int(time)
    logs = torch.log(torch.tensor(sampling.table[below : below + 2]))
    return float(torch.exp((1 - time.frac()) * logs[0] + time.frac() * logs[-1]))


def _adams(nodes: Sequence[float], start: float, end: float, tau: float) -> list[float]:
    """Weights of the estimates at `nodes` (rising; the weights come newest first), without the factor α′.

    (1 + τ²)·∫ e^((1+τ²)(λ−λ′))·ℓᵢ(λ) dλ from `start` to `end`: eq. 15 and 18. The moments about the end are
    found by parts, the weights from them by the condition that every power of λ comes out right.
    """
    rate, h = 1 + tau**2, end - start
    moments = [-math.expm1(-rate * h)]
    for power in range(1, len(nodes)):
        moments.append(-math.exp(-rate * h) * (-h) ** power - power / rate * moments[-1])
    matrix = np.vander(np.array(nodes) - end, increasing=True).T
    return [float(weight) for weight in np.linalg.solve(matrix, np.array(moments))[::-1]]
