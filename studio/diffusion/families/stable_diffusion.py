"""Stable Diffusion 1 and its kin, from a diffusers folder: UNet, one CLIP text encoder, VAE.

Recognising needs no torch; it is imported where networks are built and called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio.diffusion.schedules import Prediction, Sampling, linear, scaled_linear
from studio.errors import NodeError

if TYPE_CHECKING:
    import torch

    from studio.diffusion.api import Autoencoder, Check, Denoiser, Encoder, Loader
    from studio.types import Recipe

_PARTS = {
    # How far the VAE shrinks pictures, and its colours, are the denoiser's to tell.
    "unet": ("unet", "scheduler", "vae/config.json", "vae/preview.json"),
    "text_encoder": ("text_encoder", "tokenizer"),
    "vae": ("vae",),
}
# Latent → RGB 0–1 of the usual SD 1 autoencoder; a folder may bring its own (vae/preview.json).
_PREVIEW = (
    (0.1756, 0.1149, 0.1614),
    (0.1625, 0.2487, 0.1175),
    (-0.1415, 0.0881, 0.1361),
    (-0.1060, -0.1308, -0.3589),
    (0.5, 0.5, 0.5),
)
_VAE_BLOCKS = ("ResnetBlock2D", "Attention", "Downsample2D", "Upsample2D")


class StableDiffusion:
    """The family, as registered."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read model_index.json; see `studio.diffusion.api.Family`."""
        try:
            index = json.loads((path / "model_index.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        match index:
            case {"text_encoder_2": _}:
                return None
            case {
                "unet": [_, "UNet2DConditionModel"],
                "text_encoder": [_, "CLIPTextModel"],
                "vae": [_, "AutoencoderKL"],
            }:
                return _PARTS
            case _:
                return None

    def load(self, recipe: Recipe, loader: Loader) -> Denoiser | Encoder | Autoencoder:
        """Build one part; see `studio.diffusion.api.Family`."""
        build = {"unet": unet, "text_encoder": clip, "vae": Kl}[recipe.part]
        try:
            return build(Path(recipe.path), loader)
        except (TypeError, KeyError, AttributeError, IndexError) as error:
            raise NodeError(
                f"The configuration of {recipe.part} in {recipe.path} cannot be used: {error}.",
                "Download the model again, or choose another.",
            ) from error


FAMILY = StableDiffusion()


def unet(path: Path, loader: Loader) -> Denoiser:
    """Build the denoiser of a diffusers folder."""
    import torch

    from studio.diffusion import loading
    from studio.diffusion.unet import Facts, UNet

    library = loading.imported("diffusers.models.unets.unet_2d_condition", loader.check)
    settings = dict(loading.config(path / "unet/config.json"))
    with torch.device("meta"):
        network: Any = library.UNet2DConditionModel.from_config(settings)
    source = loading.fill(network, loading.files_of(path / "unet"), loader.place, loader.check)
    vae = loading.config(path / "vae/config.json")
    facts = Facts(
        sampling_of(loading.config(path / "scheduler/scheduler_config.json")),
        2 ** (len(vae["block_out_channels"]) - 1),
        _preview(path),
        {"steps": 20, "guidance": 7.0},
    )
    return UNet(network, source, facts, loader.check)


def clip(path: Path, loader: Loader) -> Encoder:
    """Build the text encoder of a diffusers folder."""
    import torch

    from studio.diffusion import loading
    from studio.diffusion.clip import Clip, Single
    from studio.diffusion.tokenizer import clip_in

    library = loading.imported("transformers.models.clip", loader.check)
    settings: Any = library.CLIPTextConfig(**loading.config(path / "text_encoder/config.json"))
    with torch.device("meta"):
        network: Any = library.CLIPTextModel(settings)
    source = loading.fill(network, loading.files_of(path / "text_encoder"), loader.place, loader.check)
    positions = torch.arange(settings.max_position_embeddings, device=loader.place.device)
    network.embeddings.position_ids = positions[None]
    tokenizer = clip_in(path / "tokenizer", window=int(settings.max_position_embeddings))
    return cast("Encoder", Single("l", Clip(network, source, "clip_l", tokenizer, loader.check)))


class Kl:
    """The autoencoder; see `studio.diffusion.api.Autoencoder`."""

    def __init__(self, path: Path, loader: Loader) -> None:
        import torch

        from studio.diffusion import loading

        self.check: Check = loader.check
        library = loading.imported("diffusers.models.autoencoders.autoencoder_kl", loader.check)
        settings = dict(loading.config(path / "vae/config.json"))
        with torch.device("meta"):
            network: Any = library.AutoencoderKL.from_config(settings)
        source = loading.fill(network, loading.files_of(path / "vae"), loader.place, loader.check)
        self.modules: Mapping[str, torch.nn.Module] = {"vae": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"vae": source}
        loading.stop_inside(network, _VAE_BLOCKS, lambda: self.check())
        self._network = network
        self.nbytes = loading.nbytes(network)
        self.channels = int(network.config.latent_channels)
        self.downscale = 2 ** (len(network.config.block_out_channels) - 1)
        self._scale = float(network.config.scaling_factor)
        self._shift = float(network.config.shift_factor or 0.0)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels into the middle of what they may mean: no noise is drawn."""
        given = self._network.encode(pixels.to(self._network.device, self._network.dtype))
        return ((given.latent_dist.mode().float() - self._shift) * self._scale).cpu()

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Decode latents into pixels."""
        plain = samples.to(self._network.device) / self._scale + self._shift
        return self._network.decode(plain.to(self._network.dtype), return_dict=False)[0].float().cpu()


def sampling_of(settings: Mapping[str, Any]) -> Sampling:
    """What a diffusers scheduler's configuration says of the training.

    Raises:
        NodeError: It names a noise schedule or prediction unknown here.
    """
    tables = {"scaled_linear": scaled_linear, "linear": linear}
    kind, prediction = settings.get("beta_schedule"), settings.get("prediction_type", "epsilon")
    if kind not in tables or prediction not in ("epsilon", "v_prediction", "sample"):
        raise NodeError(
            f"The model was trained with the noise schedule “{kind}” and predicts “{prediction}”, "
            "which is unknown here.",
            "Choose another model.",
        )
    table = tables[kind](
        float(settings["beta_start"]),
        float(settings["beta_end"]),
        int(settings["num_train_timesteps"]),
        zero_snr=bool(settings.get("rescale_betas_zero_snr", False)),
    )
    return Sampling(table, cast("Prediction", prediction))


def _preview(path: Path) -> tuple[tuple[float, ...], ...]:
    try:
        rows = json.loads((path / "vae/preview.json").read_bytes())
        return tuple(tuple(float(value) for value in row) for row in rows)
    except (OSError, ValueError, TypeError):
        return _PREVIEW
