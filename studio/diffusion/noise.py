"""Noise from a seed: drawn on the CPU, whole batches at once, so that no card changes a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from studio.diffusion.schedules import Sigmas
from studio.diffusion.solving import Noise, NoiseKind

_SEEDS = 2**64
_DIGITS = 6
"""To which the library rounds the times of a path."""


@dataclass(frozen=True)
class Batch:
    """Which pictures of a batch are made: noise is drawn for all of them, and these are kept.

    Attributes:
        size: Pictures in the whole batch.
        kept: Their indices.
    """

    size: int
    kept: tuple[int, ...]

    def shape(self, part: torch.Size | tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the whole batch's tensor, from that of the kept part's."""
        return (self.size, *part[1:])

    def part(self, whole: torch.Tensor) -> torch.Tensor:
        """The kept pictures."""
        return whole[list(self.kept)]


def initial(shape: tuple[int, ...], seed: int, batch: Batch | None = None) -> torch.Tensor:
    """The noise a trajectory begins with: one float32 draw for the whole batch, of which `batch` is kept."""
    return _kept(shape, _generator(seed), batch)


class Gaussian:
    """A solver's own noise: one draw of the whole batch for every call."""

    def __init__(self, like: torch.Tensor, seed: int, draws: int = 0, batch: Batch | None = None) -> None:
        self._like = like
        self._batch = batch
        self._generator = _generator(seed)
        self.draws = 0
        for _ in range(draws):
            self._draw()

    def __call__(self, sigma: float, sigma_next: float) -> torch.Tensor:
        """Draw; see `studio.diffusion.api.Noise`."""
        return self._draw().to(self._like.device)

    def _draw(self) -> torch.Tensor:
        self.draws += 1
        return _kept(self._like.shape, self._generator, self._batch)


class Brownian:
    """Increments of one Brownian path over the levels of a schedule, divided by the root of their length.

    The path is a function of the seed, the batch's shape and the extreme sigmas: what was asked before does
    not change an answer.
    """

    def __init__(
        self,
        like: torch.Tensor,
        seed: int,
        sigmas: Sigmas,
        draws: int = 0,
        batch: Batch | None = None,
    ) -> None:
        self._like = like
        self._batch = batch
        self._seed = seed % _SEEDS
        low, high = extremes(sigmas)
        self._low, self._high = (round(_single(item), _DIGITS) for item in (low, high))
        self.draws = draws

    def __call__(self, sigma: float, sigma_next: float) -> torch.Tensor:
        """Draw; see `studio.diffusion.api.Noise`."""
        from torchsde import BrownianTree  # pyright: ignore[reportMissingTypeStubs]

        self.draws += 1
        shape = self._batch.shape(self._like.shape) if self._batch else tuple(self._like.shape)
        # A tree of its own for every answer: the library's keeps what it found on the way, and is as quick.
        tree = BrownianTree(self._low, torch.zeros(shape), self._high, entropy=self._seed)
        start, end = (min(max(_single(item), self._low), self._high) for item in (sigma_next, sigma))
        # From high sigma to low the path runs backwards.
        drawn = -cast("torch.Tensor", tree(start, end)) / math.sqrt(end - start)
        return (self._batch.part(drawn) if self._batch else drawn).to(self._like.device)


def extremes(sigmas: Sigmas) -> tuple[float, float]:
    """The smallest sigma above zero, and the largest."""
    return min(item for item in sigmas if item > 0), max(sigmas)


def source(
    kind: NoiseKind, sigmas: Sigmas, seed: int, batch: Batch | None = None
) -> Callable[[torch.Tensor, int], Noise]:
    """Where a solver run with `seed` has its noise from, given x and the count of draws already made.

    Gaussian noise takes the seed after: with the seed itself, its first draw would be the very tensor of the
    initial noise. A Brownian path is another function of the seed, and takes the seed itself.
    """
    if kind == "brownian":
        return lambda x, draws: Brownian(x, seed, sigmas, draws, batch)
    return lambda x, draws: Gaussian(x, seed + 1, draws, batch)


def _kept(
    shape: torch.Size | tuple[int, ...], generator: torch.Generator, batch: Batch | None
) -> torch.Tensor:
    if batch is None:
        return torch.randn(shape, generator=generator, device="cpu")
    return batch.part(torch.randn(batch.shape(shape), generator=generator, device="cpu"))


def _single(value: float) -> float:
    return float(np.float32(value))


def _generator(seed: int) -> torch.Generator:
    # torch takes −2⁶³ … 2⁶⁴−1; a seed one above the largest (an ancestral solver's) begins again at 0.
    return torch.Generator("cpu").manual_seed(seed % _SEEDS)
