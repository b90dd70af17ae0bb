"""The denoiser of the ×2 latent upscaler, and what it is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import interpolate

from studio.diffusion.api import Check, Perturb
from studio.diffusion.conditioning import changed, each
from studio.diffusion.denoisers.unet import Batch, Facts, UNet
from studio.diffusion.files import loading
from studio.types import Conditioning, ConditioningEntry, Latent

_BLOCKS = ("ResnetBlockCondNorm2D", "KAttentionBlock")
_BETWEEN = ("KUpsample2D", "KDownsample2D")
_LEVEL_WIDTH = 64
_TIMES = 2


class LatentUpscaler(UNet):
    """The denoiser; see `studio.diffusion.api.Denoiser`. Control networks and image prompts are none of its.

    Its network is preconditioned as in Karras et al. 2022 (table 1), tells a variance in a last channel that
    nobody uses, and is told the pooled text beside a noise level of the small latent, which is always 0.
    """

    def __init__(self, network: Any, source: Mapping[str, torch.Tensor], facts: Facts, check: Check) -> None:
        _fill_filters(network)
        super().__init__(network, source, facts, check)
        self.channels = int(network.config.out_channels) - 1
        loading.stop_inside(network, _BLOCKS, lambda: self.check())

    def _together(
        self, x: torch.Tensor, sigma: float, entries: Sequence[ConditioningEntry], perturb: Perturb | None
    ) -> list[torch.Tensor]:
        """See `UNet`; the latent is estimated among what the network says of its own certainty."""
        self.attention.check(perturb)
        scale = 1 / math.sqrt(sigma**2 + 1)
        batch = self._batch(x * scale, sigma, entries)
        given = self._network(
            self._concatenated(batch),
            torch.tensor(math.log(sigma) / 4, device=self.device),
            batch.tokens,
            timestep_cond=self._told_once(batch),
            return_dict=False,
        )[0].float()[:, :-1]
        return [x * scale**2 + part * (sigma * scale) for part in given.chunk(len(entries))]

    def _told_once(self, batch: Batch) -> torch.Tensor:
        """What is added to the time: the noise level of the small latent, and the pooled text."""
        width = int(self._network.config.time_cond_proj_dim)
        told = torch.zeros(len(batch.entries), width)
        told[:, :_LEVEL_WIDTH] = 1  # cos 0; the sines beside them are 0
        for row, entry in enumerate(batch.entries):
            if entry.pooled is not None:
                told[row, 2 * _LEVEL_WIDTH :] = entry.pooled[0]
        return told.to(self.device, batch.x.dtype).repeat_interleave(batch.count, dim=0)


def _fill_filters(network: Any) -> None:
    """Give the layers between sizes their binomial filters, which no file holds."""
    line = torch.tensor([[1.0, 3.0, 3.0, 1.0]]) / 8
    device = network.conv_in.weight.device
    for module in network.modules():
        if type(module).__name__ in _BETWEEN:
            gain = _TIMES**2 if type(module).__name__ == "KUpsample2D" else 1
            module.kernel = (line.T @ line * gain).to(device)


def doubling(told: Sequence[Conditioning], latent: Latent) -> tuple[list[Conditioning], Latent]:
    """Show the upscaler a latent, and give an empty one of twice its sides."""
    large = interpolate(latent.samples, scale_factor=_TIMES, mode="nearest")
    shown = [
        each(item, lambda entry: changed(entry, hints={**entry.hints, "concat": large})) for item in told
    ]
    return shown, Latent(torch.zeros_like(large), latent.downscale, blank=True)
