"""The ×2 latent upscaler: it sees the small latent beside its own, and gives one of twice the sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.diffusion.families.latent_unet import LatentUnet, Told, Words, preview_at, sampling_of
from studio.diffusion.families.stable_diffusion import PREVIEW
from studio.diffusion.schedules import Sampling, scaled_linear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.diffusion.api import Loader
    from studio.models.kinds import Kind
    from studio.types import Json, Recipe


class LatentUpscalerFamily(LatentUnet):
    """A family of UNets whose denoiser and text encoder are called in a way of their own."""

    def _unet(self, path: Path, kind: Kind, loader: Loader) -> Any:
        from studio.diffusion.denoisers.latent_upscaler import LatentUpscaler
        from studio.diffusion.denoisers.unet import Facts
        from studio.diffusion.files import pieces

        tensors, config = pieces.tensors_at(path, kind, "unet")
        told = Told(path.name.lower(), kind.variant, tensors, {}, frozenset())
        scheduler = pieces.scheduler_at(path)
        facts = Facts(
            sampling_of(scheduler) if scheduler else self.predicts(told),
            pieces.downscale_at(path, kind, self.downscale),
            preview_at(path, self.preview),
            self.defaults(told),
        )
        network, source = pieces.unet_network(tensors, config, self.name, loader, path.name)
        return LatentUpscaler(network, source, facts, loader.check)

    def _text_encoder(self, recipe: Recipe, loader: Loader) -> Any:
        from studio.diffusion.text import clip

        network = loader.get(recipe.members[0])
        words: Any = clip.Use(network, network.tokenizer, bare=True)
        return clip.Joined({"l": words}, [network], clip.only)


def _predicts(told: Told) -> Sampling:
    return Sampling(scaled_linear(0.00085, 0.012, 1000), "sample")


def _defaults(told: Told) -> Mapping[str, Json]:
    return {"steps": 20, "guidance": 1.0, "solver": "euler", "size_px": 1024}


FAMILY = LatentUpscalerFamily(
    name="latent_upscaler",
    words={"clip_l": Words()},
    scale=0.18215,
    downscale=8,
    preview=PREVIEW,
    predicts=_predicts,
    defaults=_defaults,
)
