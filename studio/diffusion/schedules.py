"""Noise levels: a model's table of sigmas, and the schedules that choose among them. Free of torch."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

_NEARLY_NO_SIGNAL = 4.9e-8
Prediction = Literal["epsilon", "v_prediction", "sample", "flow"]


class Sigmas(tuple[float, ...]):
    """Noise levels of a trajectory, falling; the last is 0.

    Attributes:
        flow: They mix noise and picture (x = σ·noise + (1−σ)·picture) where others add noise to it.
    """

    flow: bool

    def __new__(cls, values: Iterable[float], *, flow: bool) -> Sigmas:
        """Take levels as they are."""
        sigmas = super().__new__(cls, values)
        sigmas.flow = flow
        return sigmas

    def part(self, start: int) -> Sigmas:
        """The levels from index `start` on."""
        return Sigmas(self[start:], flow=self.flow)


@dataclass(frozen=True)
class Sampling:
    """What a denoiser was trained to do.

    Attributes:
        table: Sigma of every training timestep, rising.
        prediction: What the network gives.
        shift: Of a flow model's time; 1 where it has none.
    """

    table: tuple[float, ...]
    prediction: Prediction
    shift: float = 1.0

    @property
    def flow(self) -> bool:
        """Noise and picture are mixed, not added."""
        return self.prediction == "flow"

    @property
    def low(self) -> float:
        """The smallest sigma it knows."""
        return self.table[0]

    @property
    def high(self) -> float:
        """The largest sigma it knows."""
        return self.table[-1]

    @cached_property
    def _logs(self) -> list[float]:
        return [math.log(sigma) for sigma in self.table]

    def sigma(self, timestep: float) -> float:
        """Sigma at a timestep; between two entries the logarithm runs straight."""
        if self.flow:
            return _shifted(timestep / len(self.table), self.shift)
        low = min(max(math.floor(timestep), 0), len(self.table) - 1)
        high = min(low + 1, len(self.table) - 1)
        part = min(max(timestep - low, 0.0), 1.0)
        return math.exp(self._logs[low] * (1 - part) + self._logs[high] * part)

    def timestep(self, sigma: float) -> float:
        """Timestep whose sigma is nearest, as a network of whole timesteps was trained; a flow's own time."""
        if self.flow:
            return sigma * len(self.table)
        level = math.log(max(sigma, 1e-10))
        above = bisect_left(self._logs, level)
        near = [index for index in (above - 1, above) if 0 <= index < len(self.table)]
        return float(min(near, key=lambda index: abs(self._logs[index] - level)))

    def progress(self, sigma: float) -> float:
        """How far a trajectory is at `sigma`: 0 = pure noise, 1 = finished; the same however many steps."""
        if sigma <= 0:
            return 1.0
        if self.flow:
            return 1.0 - sigma / (self.shift - (self.shift - 1) * sigma)
        level = math.log(sigma)
        above = bisect_left(self._logs, level)
        if above == 0:
            return 1.0
        if above == len(self._logs):
            return 0.0
        low, high = self._logs[above - 1], self._logs[above]
        return 1.0 - (above - 1 + (level - low) / (high - low)) / (len(self.table) - 1)


def scaled_linear(start: float, end: float, count: int, *, zero_snr: bool = False) -> tuple[float, ...]:
    """Sigmas of betas whose roots rise evenly, as Stable Diffusion was trained."""
    return _of_betas(np.linspace(math.sqrt(start), math.sqrt(end), count) ** 2, zero_snr)


def linear(start: float, end: float, count: int, *, zero_snr: bool = False) -> tuple[float, ...]:
    """Sigmas of betas that rise evenly."""
    return _of_betas(np.linspace(start, end, count), zero_snr)


def flow(shift: float, count: int = 1000) -> tuple[float, ...]:
    """Sigmas of a rectified flow with shifted time."""
    return tuple(_shifted((index + 1) / count, shift) for index in range(count))


def _of_betas(betas: NDArray[np.float64], zero_snr: bool) -> tuple[float, ...]:
    products = np.cumprod(1.0 - betas)
    if zero_snr:
        roots = np.sqrt(products)
        products = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
        # The last entry has no signal at all and an infinite sigma; this one is large enough.
        products[-1] = _NEARLY_NO_SIGNAL
    return tuple(float(sigma) for sigma in np.sqrt((1.0 - products) / products))


def _shifted(t: float, shift: float) -> float:
    return shift * t / (1 + (shift - 1) * t)


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
    return _ended(sampling, [sampling.table[-(1 + int(index * stride))] for index in range(steps)])


def ddim_uniform(sampling: Sampling, steps: int) -> Sigmas:
    """Entries of the table at a whole stride; one step more where the count does not divide the table."""
    stride = max(len(sampling.table) // steps, 1)
    return _ended(sampling, sampling.table[1::stride][::-1])


def karras(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the seventh root of sigma."""
    low, high = sampling.low ** (1 / 7), sampling.high ** (1 / 7)
    return _ended(sampling, [(high + part * (low - high)) ** 7 for part in np.linspace(0, 1, steps)])


def exponential(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the logarithm of sigma."""
    logs = np.linspace(math.log(sampling.high), math.log(sampling.low), steps)
    return _ended(sampling, [math.exp(level) for level in logs])


def beta(sampling: Sampling, steps: int) -> Sigmas:
    """Quantiles of Beta(0.6, 0.6) over the table; where two fall on one entry, one is left out."""
    from scipy.special import betaincinv  # pyright: ignore[reportMissingTypeStubs]

    parts = 1 - np.linspace(0, 1, steps, endpoint=False)
    quantiles = cast("NDArray[np.float64]", betaincinv(0.6, 0.6, parts))
    entries = [round(float(part) * (len(sampling.table) - 1)) for part in quantiles]
    return _ended(sampling, [sampling.table[index] for index in dict.fromkeys(entries)])


def kl_optimal(sampling: Sampling, steps: int) -> Sigmas:
    """Even in the angle whose tangent is sigma."""
    angles = np.linspace(math.atan(sampling.high), math.atan(sampling.low), steps)
    return _ended(sampling, [math.tan(angle) for angle in angles])


def linear_quadratic(sampling: Sampling, steps: int) -> Sigmas:
    """Half of the steps take away the first fortieth of the noise evenly, the rest goes by squares."""
    if steps == 1:
        return _ended(sampling, [sampling.high])
    first, threshold = steps // 2, 0.025
    rest = steps - first
    gap = first - threshold * steps
    square, slope = gap / (first * rest**2), threshold / first - 2 * gap / rest**2
    taken = [index * threshold / first for index in range(first)]
    taken += [square * index**2 + slope * index + square * first**2 for index in range(first, steps)]
    return _ended(sampling, [(1 - part) * sampling.high for part in taken])


def _times(sampling: Sampling) -> tuple[float, float]:
    return sampling.timestep(sampling.high), sampling.timestep(sampling.low)


def _at_times(sampling: Sampling, times: Iterable[float]) -> Sigmas:
    return _ended(sampling, [sampling.sigma(float(time)) for time in times])


def _ended(sampling: Sampling, values: Iterable[float]) -> Sigmas:
    return Sigmas((*(float(value) for value in values), 0.0), flow=sampling.flow)


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
        sigmas = Sigmas((*sigmas[:-2], sigmas[-1]), flow=sigmas.flow)
    return sigmas if denoise > 0.9999 else sigmas.part(max(0, len(sigmas) - (steps + 1)))
