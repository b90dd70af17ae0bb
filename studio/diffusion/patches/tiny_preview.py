"""Pictures of what is being sampled, decoded by a tiny autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import interpolate

from studio.diffusion.device import Place
from studio.diffusion.patches.runs import Undo
from studio.errors import NodeError
from studio.models.identity import combined
from studio.types import Recipe

if TYPE_CHECKING:
    from studio.diffusion.kl import Tiny
    from studio.types import Patch

_LATENT_SIDE = 64


@dataclass
class _Loader:
    """What the network is built with; see `studio.diffusion.api.Loader`."""

    place: Place

    def check(self) -> None:
        """Its few megabytes are read in one go."""

    def get(self, recipe: Recipe) -> Any:
        """It has no members."""
        raise LookupError(recipe.part)


class TinyPreview:
    """A patch that lets a tiny autoencoder show what a denoiser is at; no result depends on it."""

    kind = "run"

    def apply(self, denoiser: Any, patch: Patch) -> Undo:
        """Give the denoiser a `previewer`; what is returned takes it away.

        Raises:
            NodeError: The autoencoder's file has changed, or it is one of other channels.
        """
        network = _loaded(patch, torch.device(denoiser.device))
        if network.channels != denoiser.channels:
            raise NodeError(
                f"The tiny VAE is for latents of {network.channels} channels, the model's have "
                f"{denoiser.channels}.",
                "Choose the tiny VAE made for this kind of model.",
                socket="vae",
            )
        before = getattr(denoiser, "previewer", None)
        denoiser.previewer = Previewer(network)

        def undo() -> None:
            denoiser.previewer = before

        return undo


class Previewer:
    """Decodes the first element of a batch."""

    def __init__(self, network: Tiny) -> None:
        self._network = network

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """``[N, C, H, W]`` in the denoiser's scale to ``[H', W', 3]``, 0–1, on the CPU; at most 512 px."""
        first = samples[:1].float()
        largest = max(first.shape[-2:])
        if largest > _LATENT_SIDE:
            first = interpolate(first, scale_factor=_LATENT_SIDE / largest, mode="area")
        return self._network.decode(first)[0].div(2).add(0.5).permute(1, 2, 0)


def _loaded(patch: Patch, device: torch.device) -> Tiny:
    from studio.diffusion.files import pieces
    from studio.models.recognise import kind_at

    path = Path(patch.path)
    kind = kind_at(path)
    if kind is None or combined(path, (".",)) != patch.identity:
        raise NodeError(f"{path} has gone or changed since this run began.", "Run again.", socket="vae")
    dtype = "float32" if device.type == "cpu" else "bfloat16"
    return pieces.tiny_at(path, kind, _Loader(Place(str(device), dtype, "", "")))


TINY_PREVIEW = TinyPreview()
