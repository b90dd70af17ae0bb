"""A denoiser that can be reckoned by hand: it sees the mean of what it is told, more so in the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from studio.diffusion import conditioning
from studio.diffusion.api import Perturb
from studio.diffusion.schedules import Sampling, scaled_linear
from studio.types import Conditioning, ConditioningEntry, Json

SD = Sampling(scaled_linear(0.00085, 0.012, 1000), "epsilon")


class Echo:
    """Estimates ``told + x · (0.5 / (1 + σ²))``, where told is the mean of an entry's embeddings.

    Attributes:
        calls: Shape of x, entries and perturbation of every call.
    """

    def __init__(self, sampling: Sampling = SD, most: int = 2**30) -> None:
        self.sampling = sampling
        self.channels, self.downscale, self.nbytes = 4, 8, 0
        self.preview = torch.zeros(5, 3)
        self.device = torch.device("cpu")
        self.networks: Mapping[str, Any] = {}
        self.defaults: Mapping[str, Json] = {}
        self.calls: list[tuple[tuple[int, ...], tuple[ConditioningEntry, ...], Perturb | None]] = []
        self._most = most

    def check(self) -> None:
        """Nobody waits."""

    def __call__(
        self,
        x: torch.Tensor,
        sigma: float,
        entries: Sequence[ConditioningEntry],
        perturb: Perturb | None = None,
    ) -> list[torch.Tensor]:
        if len(entries) > self._most:
            raise torch.OutOfMemoryError("no room")
        self.calls.append((tuple(x.shape), tuple(entries), perturb))
        seen = x * (0.5 / (1 + sigma**2)) * (0.5 if perturb else 1)
        return [seen + entry.embeddings.mean() for entry in entries]


def entry(level: float, **fields: Any) -> ConditioningEntry:
    """An entry that tells a level."""
    return conditioning.changed(conditioning.entry(torch.full((1, 2, 3), level)), **fields)


def told(*entries: ConditioningEntry) -> Conditioning:
    return Conditioning(entries)
