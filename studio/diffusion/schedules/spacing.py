"""Schedules that choose sigmas by a rule of their own from any denoiser's table. Free of torch.

Levels are those of single precision, spaced in it, so that they are bit for bit what other tools have: a
Brownian path tells levels apart that differ by the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from studio.diffusion.schedules.levels import Sampling, Sigmas

Schedule = Callable[[Sampling, int], Sigmas]


def normal(sampling: Sampling, steps: int) -> Sigmas:
    """Timesteps run evenly from the last to the first."""
    return _at_times(sampling, _even(*_times(sampling), steps))


def sgm_uniform(sampling: Sampling, steps: int) -> Sigmas:
    """Timesteps run evenly over one point more, the last of which is left out."""
    return _at_times(sampling, _even(*_times(sampling), steps + 1)[:-1])


def simple(sampling: Sampling, steps: int) -> Sigmas:
    """Every n-th entry of the table, from the top."""
    stride = len(sampling.table) / steps
    return ended(sampling, [sampling.table[-(1 + int(index * stride))] for index in range(steps)])


def ddim_uniform(sampling: Sampling, steps: int) -> Sigmas:
    """Entries of the table at a whole stride; one step more where the count does not divide the table."""
    stride = max(len(sampling.table) // steps, 1)
    return ended(sampling, sampling.table[1::stride][::-1])


def karras(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the seventh root of sigma."""
    return ended(sampling, even_in_root(sampling.low, sampling.high, steps, 7.0))


def even_in_root(low: float, high: float, steps: int, rho: float) -> list[float]:
    """Sigmas from `high` to `low`, even in their ρ-th root: Karras et al. (2022), eq. 5."""
    ends = float(_single(low)) ** (1 / rho), float(_single(high)) ** (1 / rho)
    taken = _single(_even(0, 1, steps) * _single(ends[0] - ends[1]))
    return _single(_single(taken + _single(ends[1])) ** rho).tolist()


def exponential(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the logarithm of sigma."""
    return ended(sampling, np.exp(_even(_log(sampling.high), _log(sampling.low), steps)))


def even_in_log(low: float, high: float, steps: int, rho: float) -> list[float]:
    """Sigmas from `high` to `low`, their logarithms even for ρ = 1, denser at the low end for a larger ρ."""
    parts = _single(_even(1, 0, steps) ** rho)
    return _single(np.exp(_single(parts * (_log(high) - _log(low)) + _log(low)))).tolist()


def beta(sampling: Sampling, steps: int) -> Sigmas:
    """Quantiles of Beta(0.6, 0.6) over the table; where two fall on one entry, one is left out."""
    return beta_quantiles(sampling, steps, 0.6, 0.6)


def beta_quantiles(sampling: Sampling, steps: int, a: float, b: float) -> Sigmas:
    """Quantiles of Beta(a, b) over the table: Lee et al., "Beta Sampling is All You Need" (2024)."""
    from scipy.special import betaincinv  # pyright: ignore[reportMissingTypeStubs]

    parts = 1 - np.linspace(0, 1, steps, endpoint=False)
    quantiles = cast("NDArray[np.float64]", betaincinv(a, b, parts))
    entries = [round(float(part) * (len(sampling.table) - 1)) for part in quantiles]
    return ended(sampling, [sampling.table[index] for index in dict.fromkeys(entries)])


def kl_optimal(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the angle whose tangent is sigma: Sabour et al., "Align Your Steps" (2024), theorem 3.1."""
    parts = _single(np.arange(steps) / max(steps - 1, 1))
    last, first = (_single(math.atan(_single(sigma))) for sigma in (sampling.low, sampling.high))
    return ended(sampling, np.tan(_single(_single(parts * last) + _single((1 - parts) * first))))


def linear_quadratic(sampling: Sampling, steps: int) -> Sigmas:
    """Half of the steps take away the first fortieth of the noise evenly, the rest goes by squares: Mochi."""
    if steps == 1:
        return ended(sampling, [sampling.high])
    first, threshold = steps // 2, 0.025
    rest = steps - first
    gap = first - threshold * steps
    square, slope = gap / (first * rest**2), threshold / first - 2 * gap / rest**2
    taken = [index * threshold / first for index in range(first)]
    taken += [square * index**2 + slope * index + square * first**2 for index in range(first, steps)]
    return ended(sampling, [(1 - part) * sampling.high for part in taken])


def _times(sampling: Sampling) -> tuple[float, float]:
    return sampling.timestep(sampling.high), sampling.timestep(sampling.low)


def _at_times(sampling: Sampling, times: NDArray[np.float64]) -> Sigmas:
    """`Sampling.sigma`, in single precision."""
    if sampling.flow:
        part = _single(times / len(sampling.table))
        return ended(
            sampling, _single(sampling.shift * part) / _single(1 + _single((sampling.shift - 1) * part))
        )
    logs = _single(np.log(_single(sampling.table)))
    below = np.clip(np.floor(times).astype(int), 0, len(logs) - 1)
    above = np.minimum(below + 1, len(logs) - 1)
    part = times - below
    return ended(sampling, np.exp(_single(_single((1 - part) * logs[below]) + _single(part * logs[above]))))


def ended(sampling: Sampling, values: Iterable[float]) -> Sigmas:
    """Levels for a denoiser, in single precision, with a last one of 0 put behind them."""
    levels: list[float] = _single(list(values)).tolist()
    return Sigmas((*levels, 0.0), flow=sampling.flow, sampling=sampling)


def _even(start: float, stop: float, count: int) -> NDArray[np.float64]:
    """Even points, spaced in single precision from both ends to the middle, as tensors are filled."""
    stride = _single(_single(_single(stop) - _single(start)) / max(count - 1, 1))
    index = np.arange(count)
    rising, falling = _single(start) + stride * index, _single(stop) - stride * (count - 1 - index)
    return _single(np.where((index < count // 2) | (count == 1), rising, falling))


def _log(value: float) -> float:
    return math.log(_single(value))


def _single(values: ArrayLike) -> NDArray[np.float64]:
    """Numbers rounded to single precision."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def denoised_part(
    schedule: Schedule, sampling: Sampling, steps: int, denoise: float, *, drop_last: bool = False
) -> Sigmas:
    """The last `steps` steps of a schedule long enough that they make up the part `denoise` of it.

    Args:
        schedule: The schedule.
        sampling: Of the denoiser.
        steps: Steps to be taken.
        denoise: Part of the noise, above 0 and at most 1.
        drop_last: Ask for one step more, and leave out the last sigma above zero.
    """
    total = steps if denoise > 0.9999 else int(steps / denoise)
    sigmas = schedule(sampling, total + 1 if drop_last else total)
    if drop_last:
        sigmas = Sigmas((*sigmas[:-2], sigmas[-1]), flow=sigmas.flow, sampling=sampling)
    return sigmas if denoise > 0.9999 else sigmas.part(max(0, len(sigmas) - (steps + 1)))
