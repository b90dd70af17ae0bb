"""DPM-Solver with steps of its own between the extremes of the schedule: as many calls, or as few as will do.

In t = −log σ, with ε = d: x(t′) = x − σ′·(e^h − 1)·ε + …; Lu et al., "DPM-Solver: A Fast ODE Solver for
Diffusion Probabilistic Model Sampling in Around 10 Steps" (2022), alg. 1 and 2, app. B and C. Both end at
the smallest sigma above zero. A state's `step` is the first sigma of the schedule below all calls so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from studio.diffusion.api import Denoise, Noise, Sigmas, State, solver
from studio.diffusion.noise import extremes
from studio.diffusion.solvers.arithmetic import slope, toward

_ALL = 10_000
_Slope = Callable[[torch.Tensor, float], torch.Tensor]


@solver(inner=True, look_ahead=_ALL, own_steps=True)
def dpm_fast(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """As many calls as the schedule has steps, in steps of third order and a lower one at the end.

    Even strides in t: DPM-Solver-fast, app. D.
    """
    calls = len(sigmas) - 1
    low, high = extremes(sigmas)
    if low == high:
        yield State(1, toward(state.x, denoise(state.x, high), high, sigmas[-1]))
        return
    count = calls // 3 + 1
    orders = [3] * (count - 2) + [2, 1] if calls % 3 == 0 else [3] * (count - 1) + [calls % 3]
    times = np.linspace(-math.log(high), -math.log(low), count + 1)
    x = state.x
    for index in range(int(state.history[0]) if state.history else 0, count):
        time, end = float(times[index]), float(times[index + 1])
        _, x = _steps(_slopes(denoise, []), x, time, end, orders[index])
        passed = _passed(sigmas, math.exp(-end)) if index < count - 1 else calls
        yield State(passed, x, (torch.tensor(index + 1, device=x.device),))


@solver(inner=True, look_ahead=_ALL, own_steps=True)
def dpm_adaptive(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
) -> Iterator[State]:
    """Steps as long as the difference of two orders stays within the tolerances.

    With E = ‖(x_low − x_high) / max(atol, rtol·max(|x_low|, |x_low before|))‖ / √n the stride is multiplied
    by 1 + atan(E^(−1/order) − 1), and the step taken again where that is below 0.81: DPM-Solver-23 (order 3)
    or -12 (order 2), app. C, its stride limited after Söderlind. The error is that of the whole batch.
    """
    low, high = extremes(sigmas)
    end, last = -math.log(low), len(sigmas) - 1
    x, before = state.x, state.history[0] if state.history else state.x
    # Kept in single precision, in which they go through a state's history unchanged.
    time, stride, reached = _remembered(state) if state.history else (_single(-math.log(high)), 0.05, high)
    if low == high:
        yield State(last, toward(x, denoise(x, high), high, sigmas[-1]))
        return
    while time < end - 1e-5:
        target = min(end, time + stride)
        asked: list[float] = []
        coarse, fine = _steps(_slopes(denoise, asked), x, time, target, order)
        reached = min(reached, _single(min(asked)))
        allowed = torch.clamp(torch.maximum(coarse.abs(), before.abs()) * rtol, min=atol)
        error = math.sqrt(float(((coarse - fine) / allowed).square().mean()))
        if not math.isfinite(error):
            yield State(last, fine)
            return
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / order) - 1)
        stride = _single(stride * factor)
        if factor >= 0.81:
            x, before, time = fine, coarse, _single(target)
            done = time >= end - 1e-5
            told = torch.tensor([time, stride, reached], dtype=torch.float32, device=x.device)
            yield State(last if done else min(_passed(sigmas, reached), last - 1), x, (before, told))


def _remembered(state: State) -> tuple[float, float, float]:
    time, stride, reached = (float(item) for item in state.history[1])
    return time, stride, reached


def _steps(
    eps: _Slope, x: torch.Tensor, time: float, end: float, order: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A step of `order` − 1 and one of `order` from t to `end`, the calls shared."""
    h, sigma_end = end - time, math.exp(-end)
    first = eps(x, time)
    plain = x - first * (sigma_end * math.expm1(h))
    if order == 1:
        return x, plain
    part = 1 / 3 if order == 3 else 1 / 2
    there = x - first * (math.exp(-time - part * h) * math.expm1(part * h))
    change = eps(there, time + part * h) - first
    second = plain - change * (sigma_end / (2 * part) * math.expm1(h))
    if order == 2:
        return plain, second
    wide = 2 * h / 3
    sigma = math.exp(-time - wide)
    there = x - first * (sigma * math.expm1(wide)) - change * (sigma * 2 * (math.expm1(wide) / wide - 1))
    change = eps(there, time + wide) - first
    return second, plain - change * (sigma_end * 1.5 * (math.expm1(h) / h - 1))


def _slopes(denoise: Denoise, asked: list[float]) -> _Slope:
    """The slope at a time t; `asked` gathers the levels."""

    def eps(x: torch.Tensor, time: float) -> torch.Tensor:
        sigma = math.exp(-time)
        asked.append(sigma)
        return slope(x, denoise(x, sigma), sigma)

    return eps


def _passed(sigmas: Sigmas, lowest: float) -> int:
    """Index of the first sigma that is not above `lowest`, but for rounding."""
    return next(index for index, sigma in enumerate(sigmas) if sigma <= lowest * (1 + 1e-6))


def _single(value: float) -> float:
    return float(np.float32(value))
