"""Guiders: how the estimates under several conditionings become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from studio.diffusion.api import Denoiser
from studio.errors import NodeError
from studio.types import Conditioning, ConditioningEntry

Ranged = tuple[tuple[float, float], str]


class ClassifierFree:
    """Goes from the negative estimate through the positive one, `scale` times as far.

    Attributes:
        state: What it remembers from step to step: nothing.
    """

    state: tuple[torch.Tensor, ...] = ()

    def __init__(
        self, denoiser: Denoiser, positive: Conditioning, negative: Conditioning, scale: float
    ) -> None:
        self._denoiser = denoiser
        self._scale = scale
        self._positive = positive.entries
        # At scale 1, or where both say the same, the negative estimate cancels out: half the work.
        idle = scale == 1 or _said(positive.entries) == _said(negative.entries)
        self._negative = () if idle else negative.entries

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Estimate the picture.

        Raises:
            NodeError: No positive entry acts at this point of the trajectory.
        """
        progress = self._denoiser.sampling.progress(sigma)
        positive = [entry for entry in self._positive if _acts(entry.span, progress)]
        negative = [entry for entry in self._negative if _acts(entry.span, progress)]
        if not positive:
            raise NodeError(
                f"No prompt acts {progress:.0%} of the way from noise to picture.",
                "Let a positive prompt act over the whole range.",
                socket="positive",
            )
        estimates = self._denoiser(x, sigma, positive + negative)
        wanted = _mean(positive, estimates[: len(positive)])
        if not negative:
            return wanted
        unwanted = _mean(negative, estimates[len(positive) :])
        return unwanted + (wanted - unwanted) * self._scale

    def ranged(self) -> Iterator[Ranged]:
        """All that acts on the trajectory, each with its range: what the keys of steps are made of."""
        if self._negative:
            yield (0.0, 1.0), f"guidance {self._scale.hex()}"
        for sign, entries in (("+", self._positive), ("-", self._negative)):
            for entry in entries:
                yield entry.span, f"{sign} {float(entry.strength).hex()} {entry.digest}"


def _said(entries: Sequence[ConditioningEntry]) -> list[tuple[str, float, tuple[float, float]]]:
    return [(entry.digest, entry.strength, entry.span) for entry in entries]


def _acts(span: tuple[float, float], progress: float) -> bool:
    return span[0] <= progress < span[1] or (progress >= 1 and span[1] >= 1)


def _mean(entries: Sequence[ConditioningEntry], estimates: Sequence[torch.Tensor]) -> torch.Tensor:
    if len(estimates) == 1:
        return estimates[0]
    total = sum(entry.strength for entry in entries)
    weighted = [
        estimate * (entry.strength / total) for entry, estimate in zip(entries, estimates, strict=True)
    ]
    return torch.stack(weighted).sum(0)
