"""Noise levels: what a denoiser was trained on, and those of one trajectory. Free of torch."""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_NEARLY_NO_SIGNAL = 4.9e-8
Prediction = Literal["epsilon", "v_prediction", "sample", "flow"]


class Sigmas(tuple[float, ...]):
    """Noise levels of a trajectory, falling; the last is 0.

    Attributes:
        flow: They mix noise and picture (x = σ·noise + (1−σ)·picture) where others add noise to it.
        sampling: What the denoiser was trained on, for solvers that act in a part of the way only; where
            nobody says, Stable Diffusion's table, or a flow without shift.
    """

    flow: bool
    sampling: Sampling

    def __new__(cls, values: Iterable[float], *, flow: bool, sampling: Sampling | None = None) -> Sigmas:
        """Take levels as they are."""
        sigmas = super().__new__(cls, values)
        sigmas.flow = flow
        sigmas.sampling = sampling or _usual(flow)
        return sigmas

    def part(self, start: int) -> Sigmas:
        """The levels from index `start` on."""
        return Sigmas(self[start:], flow=self.flow, sampling=self.sampling)

    def of(self, sampling: Sampling) -> Sigmas:
        """The same levels for a denoiser trained on `sampling`."""
        return Sigmas(self, flow=self.flow, sampling=sampling)


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

    def at(self, progress: float) -> float:
        """Sigma at which a trajectory is that far: what `progress` turns back."""
        if self.flow:
            return _shifted(1.0 - progress, self.shift)
        return self.sigma((1.0 - progress) * (len(self.table) - 1))


def scaled_linear(start: float, end: float, count: int, *, zero_snr: bool = False) -> tuple[float, ...]:
    """Sigmas of betas whose roots rise evenly, as Stable Diffusion was trained."""
    return _of_betas(np.linspace(math.sqrt(start), math.sqrt(end), count) ** 2, zero_snr)


def linear(start: float, end: float, count: int, *, zero_snr: bool = False) -> tuple[float, ...]:
    """Sigmas of betas that rise evenly."""
    return _of_betas(np.linspace(start, end, count), zero_snr)


def flow(shift: float, count: int = 1000) -> tuple[float, ...]:
    """Sigmas of a rectified flow with shifted time."""
    return tuple(_shifted((index + 1) / count, shift) for index in range(count))


def shifted(sampling: Sampling, shift: float) -> Sampling:
    """The same flow with its time shifted otherwise."""
    return Sampling(flow(shift, len(sampling.table)), sampling.prediction, shift)


def shift_for(
    tokens: float, base: float = 0.5, full: float = 1.15, *, base_tokens: int = 256, full_tokens: int = 4096
) -> float:
    """Shift of a flow's time for a picture of so many tokens: e^μ, μ rising evenly with the tokens.

    Larger pictures keep more of themselves under the same noise, so that more of the way is needed for what
    decides them: Esser et al., "Scaling Rectified Flow Transformers" (2024), section 5.3.2, in the form that
    Flux.1 was published with.

    Args:
        tokens: Of the picture: patches of its latent.
        base: μ at `base_tokens`.
        full: μ at `full_tokens`.
        base_tokens: 256 pixels square, at 16 pixels a token.
        full_tokens: 1024 pixels square.
    """
    return math.exp(base + (full - base) * (tokens - base_tokens) / (full_tokens - base_tokens))


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


@functools.cache
def _usual(is_flow: bool) -> Sampling:
    if is_flow:
        return Sampling(flow(1.0), "flow")
    return Sampling(scaled_linear(0.00085, 0.012, 1000), "epsilon")
