"""DPM-Solver with steps of its own between the extremes of the schedule: as many calls, or as few as will do.

In t = −log σ, with ε = d: x(t′) = x − σ′·(e^h − 1)·ε + …; Lu et al., "DPM-Solver: A Fast ODE Solver for
Diffusion Probabilistic Model Sampling in Around 10 Steps" (2022), alg. 1 and 2, app. B and C. Both end at
the smallest sigma above zero. A state's `step` is the first sigma of the schedule below all calls so far.

Times and weights are in single precision: so they go through a state's history unchanged, and the error of
an adaptive step, a difference of nearly equal pictures, comes out as in other tools.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from studio.diffusion.api import Denoise, Noise, Sigmas, State, solver
from studio.diffusion.noise import extremes
from studio.diffusion.solvers.arithmetic import slope, toward

_ALL = 10_000
_ACCEPTED = 0.81
_Slope = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
    times = torch.linspace(float(_time(high)), float(_time(low)), count + 1)
    x = state.x
    for index in range(int(state.history[0]) if state.history else 0, count):
        time, end = times[index], times[index + 1]
        _, x = _steps(_slopes(denoise, []), x, time, end, orders[index])
        passed = _passed(sigmas, math.exp(-float(end))) if index < count - 1 else calls
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
    end, last = _time(low), len(sigmas) - 1
    x, before = state.x, state.x
    time, stride, reached = _time(high), torch.tensor(0.05), torch.tensor(high)
    if state.history:
        before, remembered = state.history
        time, stride, reached = remembered.cpu().unbind()
    if low == high:
        yield State(last, toward(x, denoise(x, high), high, sigmas[-1]))
        return
    while float(time) < float(end) - 1e-5:
        target = torch.minimum(end, time + stride)
        asked: list[float] = []
        coarse, fine = _steps(_slopes(denoise, asked), x, time, target, order)
        reached = torch.minimum(reached, torch.tensor(min(asked)))
        allowed = torch.clamp(torch.maximum(coarse.abs(), before.abs()) * rtol, min=atol)
        error = math.sqrt(float(((coarse - fine) / allowed).square().mean()))
        if not math.isfinite(error):
            yield State(last, fine)
            return
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / order) - 1)
        stride = stride * factor
        if factor >= _ACCEPTED:
            x, before, time = fine, coarse, target
            done = float(time) >= float(end) - 1e-5
            passed = last if done else min(_passed(sigmas, float(reached)), last - 1)
            yield State(passed, x, (before, torch.stack([time, stride, reached]).to(x.device)))


def _steps(
    eps: _Slope, x: torch.Tensor, time: torch.Tensor, end: torch.Tensor, order: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A step of `order` − 1 and one of `order` from t to `end`, the calls shared."""
    h, sigma = end - time, torch.exp(-end)
    first = eps(x, time)
    plain = x - first * float(sigma * torch.expm1(h))
    if order == 1:
        return x, plain
    part = 1 / 3 if order == 3 else 1 / 2
    middle = time + part * h
    change = eps(x - first * float(torch.exp(-middle) * torch.expm1(part * h)), middle) - first
    second = plain - change * float(sigma / (2 * part) * torch.expm1(h))
    if order == 2:
        return plain, second
    wide = 2 / 3 * h
    middle = time + wide
    there = x - first * float(torch.exp(-middle) * torch.expm1(wide))
    there = there - change * float(torch.exp(-middle) * 2 * (torch.expm1(wide) / wide - 1))
    change = eps(there, middle) - first
    return second, plain - change * float(sigma * 1.5 * (torch.expm1(h) / h - 1))


def _slopes(denoise: Denoise, asked: list[float]) -> _Slope:
    """The slope at a time t; `asked` gathers the levels."""

    def eps(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        sigma = float(torch.exp(-time))
        asked.append(sigma)
        return slope(x, denoise(x, sigma), sigma)

    return eps


def _time(sigma: float) -> torch.Tensor:
    return -torch.log(torch.tensor(sigma))


def _passed(sigmas: Sigmas, lowest: float) -> int:
    """Index of the first sigma that is not above `lowest`, but for rounding."""
    return next(index for index, sigma in enumerate(sigmas) if sigma <= lowest * (1 + 1e-6))
