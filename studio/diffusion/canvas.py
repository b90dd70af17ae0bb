"""The latent that a trajectory begins with, the noise over it, and the mask that keeps parts of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from studio.diffusion.guidance.estimates import Span, acts
from studio.diffusion.guidance.regions import fitted_mask, to_batch
from studio.diffusion.noise import Batch, initial
from studio.errors import NodeError
from studio.types import Latent, Noise

if TYPE_CHECKING:
    from studio.diffusion.api import Denoiser, Sigmas
    from studio.diffusion.guidance.guiders import Ranged
    from studio.diffusion.trajectory import Guider


class Canvas:
    """Begins trajectories over a latent, and ends them.

    Attributes:
        latent: As given, see `fitted`.
        noise: As asked for.
        sampling: Of the denoiser.
        mask: ``[N or 1, 1, (1,) H, W]``, 1 = repaint; None = everything.
    """

    def __init__(self, denoiser: Denoiser, latent: Latent, noise: Noise) -> None:
        self.latent, self.noise = latent, noise
        self.sampling = denoiser.sampling
        samples = self.latent.samples
        self._samples = samples.to(denoiser.device)
        self._noise = torch.zeros_like(self._samples)
        if noise.added:
            drawn = initial(tuple(samples.shape), noise.seed, self.batch)
            self._noise = drawn.to(denoiser.device)
        mask = self.latent.noise_mask
        if mask is not None:
            mask = fitted_mask(mask, (samples.shape[-2], samples.shape[-1])).to(denoiser.device)
            mask = to_batch(mask, len(samples))
            mask = mask.view(len(mask), *(1,) * (samples.ndim - 3), *mask.shape[-2:])
        self.mask = mask

    @property
    def batch(self) -> Batch | None:
        """The batch for which noise is drawn, where the latent is a part of one."""
        latent, count = self.latent, len(self.latent.samples)
        if latent.first == 0 and latent.of in (0, count):
            return None
        kept = range(latent.first, latent.first + count)
        return Batch(max(latent.of, kept.stop), tuple(kept))

    def said(self) -> list[object]:
        """What of it enters the origin of a trajectory."""
        mask, latent = self.latent.noise_mask, self.latent
        return [
            latent.samples.numpy(),
            None if mask is None else mask.numpy(),
            [self.noise.seed, self.noise.added],
            [latent.first, latent.of],
        ]

    def begin(self, sigmas: Sigmas) -> torch.Tensor:
        """X at the first noise level."""
        high = self.sampling.high
        if not sigmas.flow and sigmas[0] >= high * (1 - 1e-5):
            return self._noise * math.sqrt(1 + sigmas[0] ** 2) + self._samples
        return self._noised(sigmas[0])

    def end(self, x: torch.Tensor, sigmas: Sigmas) -> torch.Tensor:
        """The latent that x at the last noise level stands for: a flow's, so that `begin` gives x again."""
        return x / (1 - sigmas[-1]) if sigmas.flow and 0 < sigmas[-1] < 1 else x

    def _noised(self, sigma: float) -> torch.Tensor:
        return self._noise * sigma + self._samples * (1 - sigma if self.sampling.flow else 1.0)

    def hidden(self, x: torch.Tensor, sigma: float, mask: torch.Tensor) -> torch.Tensor:
        """Put the latent, noised, where a mask keeps it."""
        return torch.lerp(self._noised(sigma), x, mask)

    def kept(self, denoised: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Put the latent where a mask keeps it."""
        return torch.lerp(self._samples, denoised, mask)


class Masked:
    """A guider that sees and gives the latent as it was wherever the canvas's mask keeps it."""

    def __init__(
        self, guider: Guider, canvas: Canvas, sigmas: Sigmas, differential: Iterable[Span] = ()
    ) -> None:
        self._guider = guider
        self._canvas = canvas
        self._sigmas = sigmas
        self._differential = tuple(differential)

    @property
    def state(self) -> tuple[torch.Tensor, ...]:
        """What the guider remembers."""
        return self._guider.state

    @state.setter
    def state(self, state: tuple[torch.Tensor, ...]) -> None:
        self._guider.state = state

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Estimate the picture, with what the mask keeps of it."""
        mask = self._mask(sigma)
        return self._canvas.kept(self._guider(self._canvas.hidden(x, sigma, mask), sigma), mask)

    def unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture as guided, with what the mask keeps, and the negative estimate as it is."""
        mask = self._mask(sigma)
        guided, unwanted = self._guider.unguided(self._canvas.hidden(x, sigma, mask), sigma)
        return self._canvas.kept(guided, mask), unwanted

    def ranged(self) -> Iterable[Ranged]:
        """What acts: the mask is part of the origin."""
        return self._guider.ranged()

    def _mask(self, sigma: float) -> torch.Tensor:
        """The mask, or under differential diffusion (Levin and Fried, 2023) what is free by now of it."""
        mask = self._canvas.mask
        assert mask is not None
        sampling = self._canvas.sampling
        if not any(acts(span, sampling.progress(sigma)) for span in self._differential):
            return mask
        first, last = self._sigmas[0], max(self._sigmas[-1], sampling.low)
        begin, end, now = (sampling.timestep(level) for level in (first, last, sigma))
        left = (now - end) / (begin - end) if begin != end else 0.0
        # In the last step nothing is left, and what is black would be free as well.
        return ((mask >= left) & (mask > 0)).to(mask.dtype)


def fitted(latent: Latent, denoiser: Denoiser) -> Latent:
    """The latent, checked against the model; an empty one takes the model's channels and downscale.

    Raises:
        NodeError: It is another model's.
    """
    if latent.blank:
        rows, columns = (
            max(1, side * latent.downscale // denoiser.downscale) for side in latent.samples.shape[-2:]
        )
        empty = torch.zeros(latent.samples.shape[0], denoiser.channels, rows, columns)
        return replace(latent, samples=empty, downscale=denoiser.downscale, blank=False)
    if (latent.channels, latent.downscale) != (denoiser.channels, denoiser.downscale):
        raise NodeError(
            f"The latent has {latent.channels} channels at 1/{latent.downscale} of the picture's size, "
            f"the model takes {denoiser.channels} at 1/{denoiser.downscale}.",
            "Encode the picture with the VAE of this model.",
            socket="latent",
        )
    return latent
