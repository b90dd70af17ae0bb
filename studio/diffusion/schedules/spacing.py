"""Schedules that choose sigmas by a rule of their own from any denoiser's table. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from studio.diffusion.schedules.levels import Sampling, Sigmas

Schedule = Callable[[Sampling, int], Sigmas]


def normal(sampling: Sampling, steps: int) -> Sigmas:
    """Timesteps run evenly from the last to the first."""
    return _at_times(sampling, np.linspace(*_times(sampling), steps))


def sgm_uniform(sampling: Sampling, steps: int) -> Sigmas:
    """Timesteps run evenly over one point more, the last of which is left out."""
    return _at_times(sampling, np.linspace(*_times(sampling), steps + 1)[:-1])


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
    ends = low ** (1 / rho), high ** (1 / rho)
    return [(ends[1] + part * (ends[0] - ends[1])) ** rho for part in np.linspace(0, 1, steps).tolist()]


def exponential(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the logarithm of sigma."""
    return ended(sampling, even_in_log(sampling.low, sampling.high, steps, 1.0))


def even_in_log(low: float, high: float, steps: int, rho: float) -> list[float]:
    """Sigmas from `high` to `low`, their logarithms even for ρ = 1, denser at the low end for a larger ρ."""
    ends = math.log(low), math.log(high)
    return [math.exp(ends[0] + part**rho * (ends[1] - ends[0])) for part in np.linspace(1, 0, steps).tolist()]


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
    angles = np.linspace(math.atan(sampling.high), math.atan(sampling.low), steps)
    return ended(sampling, [math.tan(angle) for angle in angles])


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


def _at_times(sampling: Sampling, times: Iterable[float]) -> Sigmas:
    return ended(sampling, [sampling.sigma(float(time)) for time in times])


def ended(sampling: Sampling, values: Iterable[float]) -> Sigmas:
    """Levels for a denoiser, with a last one of 0 put behind them."""
    return Sigmas((*(float(value) for value in values), 0.0), flow=sampling.flow, sampling=sampling)


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
