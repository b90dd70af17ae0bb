"""Noise from a seed: drawn on the CPU, whole batches at once, so that no card changes a picture."""

from __future__ import annotations

import torch

_SEEDS = 2**64


def initial(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The noise a trajectory begins with: one float32 draw for the whole batch."""
    return torch.randn(shape, generator=_generator(seed), device="cpu")


class Gaussian:
    """A solver's own noise: one draw of the whole batch for every call."""

    def __init__(self, like: torch.Tensor, seed: int, draws: int = 0) -> None:
        self._like = like
        self._generator = _generator(seed)
        self.draws = 0
        for _ in range(draws):
            self._draw()

    def __call__(self, sigma: float, sigma_next: float) -> torch.Tensor:
        """Draw; see `studio.diffusion.api.Noise`."""
        return self._draw().to(self._like.device)

    def _draw(self) -> torch.Tensor:
        self.draws += 1
        return torch.randn(self._like.shape, generator=self._generator, device="cpu")


def _generator(seed: int) -> torch.Generator:
    # torch takes −2⁶³ … 2⁶⁴−1; a seed one above the largest (an ancestral solver's) begins again at 0.
    return torch.Generator("cpu").manual_seed(seed % _SEEDS)
