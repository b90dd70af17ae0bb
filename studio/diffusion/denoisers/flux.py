"""The denoiser of Flux.1: dev, schnell, Fill, Canny, Depth and Kontext."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import interpolate

from studio.diffusion.api import Check, Perturb
from studio.diffusion.denoisers.perturbed import perturbed
from studio.diffusion.denoisers.transformer import Facts, Told, Transformer, even
from studio.errors import NodeError
from studio.types import ConditioningEntry

_THOUSAND = 1000
_SQUARE = 4  # pixels of a latent in a token
_GUIDANCE = 3.5
_WORSE = (7, 8, 9)


class Flux(Transformer):
    """``FluxTransformer2DModel`` as a denoiser.

    Hints of an entry: ``concat``, channels beside the latent's own (of Fill, the latent of the masked picture
    and 64 channels of the mask, one for each pixel of a square of 8 × 8, or one channel of mask and then
    the latent; of Canny and Depth, the picture's latent), and ``reference``, latents that are looked at
    (Kontext). ``extra["guidance"]`` is what models distilled with guidance are told, by default
    ``defaults["distilled_guidance"]``.
    """

    def __init__(self, network: Any, source: Mapping[str, torch.Tensor], facts: Facts, check: Check) -> None:
        super().__init__(network, source, facts, int(network.out_channels) // _SQUARE, check)
        self._beside = int(network.config.in_channels) // _SQUARE - self.channels
        self._takes = ("reference", "concat") if self._beside else ("reference",)
        self._moment: tuple[torch.Tensor, ...] = ()
        network.time_text_embed.register_forward_pre_hook(self._exactly)

    def _perturbed(self, perturb: Perturb | None) -> Any:
        lists = ("transformer_blocks", "single_transformer_blocks")
        return perturbed(self._network, lists, perturb, _WORSE)

    def _velocity(self, x: torch.Tensor, sigma: float, told: Told) -> torch.Tensor:
        height, width = x.shape[-2:]
        own = (height // 2) * (width // 2)
        hidden = packed(x if not self._beside else torch.cat([x, self._concatenated(x, told)], dim=1))
        ids = places(height, width, 0, x.device)
        arguments: dict[str, Any] = {
            "hidden_states": hidden,
            "encoder_hidden_states": told.tokens,
            "pooled_projections": told.pooled,
            "timestep": torch.full((len(x),), sigma, device=x.device, dtype=torch.float32),
            "img_ids": ids,
            "txt_ids": torch.zeros(told.tokens.shape[1], 3, device=x.device),
            "guidance": self._guidance(told, x.device),
        }
        given = (arguments["timestep"], arguments["guidance"])
        self._moment = tuple(value * _THOUSAND for value in given if value is not None)
        added = self._samples(arguments, told, (height, width))
        reference = told.entries[0].hints.get("reference")
        if reference is not None:
            shown = even(_rows([entry.hints["reference"] for entry in told.entries], told.count, x))
            looked = packed(shown)
            arguments["hidden_states"] = torch.cat([hidden, looked], dim=1)
            theirs = places(shown.shape[2], shown.shape[3], 1, x.device)
            arguments["img_ids"] = torch.cat([ids, theirs])
            added = {
                name: [_longer(part, looked.shape[1]) for part in parts] for name, parts in added.items()
            }
        given = self._network(**arguments, **added, return_dict=False)[0]
        return unpacked(given[:, :own], height, width)

    def _exactly(self, module: object, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Time and guidance in float32, which the network would round to three digits in bfloat16."""
        return (*self._moment, given[-1])

    def _guidance(self, told: Told, device: torch.device) -> torch.Tensor | None:
        if not self._network.config.guidance_embeds:
            return None
        scales = [self._scale(entry) for entry in told.entries]
        return torch.tensor(scales, device=device).repeat_interleave(told.count)

    def _scale(self, entry: ConditioningEntry) -> float:
        told = entry.extra.get("guidance", self.defaults.get("distilled_guidance"))
        return float(told) if isinstance(told, int | float) else _GUIDANCE

    def _concatenated(self, x: torch.Tensor, told: Told) -> torch.Tensor:
        """Channels that this kind of model takes beside the latent's own."""
        parts: list[torch.Tensor] = []
        for entry in told.entries:
            hint = entry.hints.get("concat")
            if hint is None:
                hint = torch.zeros(1, self._beside, *x.shape[-2:])
                hint[:, self.channels :] = 1  # without a picture, all of it is to be painted
            elif hint.shape[1] == self.channels + 1 < self._beside:
                mask = hint[:, :1].expand(-1, self._beside - self.channels, -1, -1)
                hint = torch.cat([hint[:, 1:], mask], dim=1)
            if hint.shape[1] != self._beside:
                raise NodeError(
                    f"The model takes {self._beside} channels beside the latent, the conditioning "
                    f"brings {hint.shape[1]}.",
                    "Use the conditioning node made for this kind of model.",
                    socket="positive",
                )
            if hint.shape[-2:] != x.shape[-2:]:
                hint = interpolate(hint.float(), size=x.shape[-2:], mode="nearest")
            parts.append(hint)
        return _rows(parts, told.count, x)

    def _samples(
        self, arguments: Mapping[str, Any], told: Told, size: tuple[int, int]
    ) -> dict[str, list[torch.Tensor]]:
        """What control networks add to the blocks."""
        if not any(entry.controls for entry in told.entries):
            return {}
        from studio.diffusion.control.transformers import Call, block_samples

        blocks = (len(self._network.transformer_blocks), len(self._network.single_transformer_blocks))
        own = dict(arguments)
        if self._beside:
            # Control networks see the latent alone.
            own["hidden_states"] = arguments["hidden_states"][..., : self.channels * _SQUARE]
        return block_samples(self.networks, Call(told.entries, told.count, size, own, blocks))


def packed(latents: torch.Tensor) -> torch.Tensor:
    """Squares of 2 × 2 as tokens: ``[N, C, H, W]`` → ``[N, H/2 · W/2, 4C]``."""
    count, channels, height, width = latents.shape
    squares = latents.reshape(count, channels, height // 2, 2, width // 2, 2)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(count, -1, channels * _SQUARE)


def unpacked(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Turn `packed` back."""
    squares = tokens.reshape(len(tokens), height // 2, width // 2, -1, 2, 2)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, height, width)


def places(height: int, width: int, picture: int, device: torch.device) -> torch.Tensor:
    """Where each token of a latent lies: number of the picture, row, column; ``[tokens, 3]``."""
    rows, columns = torch.arange(height // 2), torch.arange(width // 2)
    grid = torch.cartesian_prod(rows, columns)
    return torch.cat([torch.full((len(grid), 1), picture), grid], dim=1).to(device, torch.float32)


def _rows(parts: list[torch.Tensor], count: int, like: torch.Tensor) -> torch.Tensor:
    """A tensor for each entry, repeated for every picture of the batch."""
    each = [part if len(part) == 1 else part[torch.arange(count) % len(part)] for part in parts]
    return torch.cat([part.to(like).expand(count, -1, -1, -1) for part in each])


def _longer(part: torch.Tensor, tokens: int) -> torch.Tensor:
    """Nothing is added to the tokens of pictures that are only looked at."""
    return torch.cat([part, part.new_zeros(len(part), tokens, part.shape[2])], dim=1)
