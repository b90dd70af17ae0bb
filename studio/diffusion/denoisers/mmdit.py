"""The denoiser of Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from studio.diffusion.api import Check, Perturb
from studio.diffusion.denoisers.perturbed import perturbed
from studio.diffusion.denoisers.transformer import Facts, Told, Transformer

_THOUSAND = 1000
_WORSE = (7, 8, 9)


class Mmdit(Transformer):
    """``SD3Transformer2DModel`` as a denoiser.

    Source: Esser et al., “Scaling Rectified Flow Transformers for High-Resolution Image Synthesis”, 2024.
    """

    def __init__(self, network: Any, source: Mapping[str, torch.Tensor], facts: Facts, check: Check) -> None:
        super().__init__(network, source, facts, int(network.config.in_channels), check)

    def _perturbed(self, perturb: Perturb | None) -> Any:
        return perturbed(self._network, ("transformer_blocks",), perturb, _WORSE)

    def _velocity(self, x: torch.Tensor, sigma: float, told: Told) -> torch.Tensor:
        arguments: dict[str, Any] = {
            "hidden_states": x,
            "encoder_hidden_states": told.tokens,
            "pooled_projections": told.pooled,
            "timestep": torch.full((len(x),), sigma * _THOUSAND, device=x.device, dtype=torch.float32),
        }
        return self._network(**arguments, **self._samples(arguments, told), return_dict=False)[0]

    def _samples(self, arguments: Mapping[str, Any], told: Told) -> dict[str, Any]:
        """What control networks add to the blocks."""
        if not any(entry.controls for entry in told.entries):
            return {}
        from studio.diffusion.control.transformers import Call, block_samples

        size = tuple(arguments["hidden_states"].shape[-2:])
        blocks = (len(self._network.transformer_blocks), 0)
        call = Call(told.entries, told.count, size, arguments, blocks, self._network.pos_embed)
        return block_samples(self.networks, call)
