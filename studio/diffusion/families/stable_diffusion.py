"""Stable Diffusion 1 and its kin, from a diffusers folder: UNet, one CLIP text encoder, VAE.

Recognising needs no torch; it is imported where networks are built and called.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio.diffusion.schedules import Prediction, Sampling, linear, scaled_linear
from studio.errors import NodeError

if TYPE_CHECKING:
    import torch

    from studio.diffusion.api import Autoencoder, Check, Denoiser, Encoder
    from studio.diffusion.device import Place
    from studio.types import ConditioningEntry, Recipe

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
_UNET_BLOCKS = ("ResnetBlock2D", "BasicTransformerBlock", "Downsample2D", "Upsample2D")
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

    def load(self, recipe: Recipe, place: Place, check: Check) -> Denoiser | Encoder | Autoencoder:
        """Build one part; see `studio.diffusion.api.Family`."""
        build = {"unet": UNet, "text_encoder": Clip, "vae": Kl}[recipe.part]
        try:
            return build(Path(recipe.path), place, check)
        except (TypeError, KeyError, AttributeError, IndexError) as error:
            raise NodeError(
                f"The configuration of {recipe.part} in {recipe.path} cannot be used: {error}.",
                "Download the model again, or choose another.",
            ) from error


FAMILY = StableDiffusion()


class UNet:
    """The denoiser; see `studio.diffusion.api.Denoiser`."""

    def __init__(self, path: Path, place: Place, check: Check) -> None:
        import torch

        from studio.diffusion import loading

        self.check = check
        library = loading.imported("diffusers.models.unets.unet_2d_condition", check)
        settings = dict(loading.config(path / "unet/config.json"))
        with torch.device("meta"):
            network: Any = library.UNet2DConditionModel.from_config(settings)
        loading.fill(network, loading.files_of(path / "unet"), place, check)
        loading.stop_inside(network, _UNET_BLOCKS, lambda: self.check())
        self._network = network
        self.nbytes = loading.nbytes(network)
        self.sampling = sampling_of(loading.config(path / "scheduler/scheduler_config.json"))
        self.channels = int(network.config.in_channels)
        vae = loading.config(path / "vae/config.json")
        self.downscale = 2 ** (len(vae["block_out_channels"]) - 1)
        self.preview = torch.tensor(_preview(path))
        self.device = torch.device(place.device)
        self._dtype = getattr(torch, place.dtype)
        self._embedded: tuple[tuple[str, ...], int, torch.Tensor] | None = None

    def __call__(
        self, x: torch.Tensor, sigma: float, entries: Sequence[ConditioningEntry]
    ) -> list[torch.Tensor]:
        """Estimate the picture under each entry, all in one call."""
        import torch

        count = len(entries)
        scale = 1 / math.sqrt(sigma**2 + 1)
        batch = torch.cat([x * scale] * count) if count > 1 else x * scale
        time = torch.tensor(self.sampling.timestep(sigma), device=self.device)
        given = self._network(
            batch.to(self._dtype), time, self._embeddings(entries, len(x)), return_dict=False
        )[0].float()
        return [self._estimate(x, part, sigma, scale) for part in given.chunk(count)]

    def _estimate(self, x: torch.Tensor, given: torch.Tensor, sigma: float, scale: float) -> torch.Tensor:
        if self.sampling.prediction == "v_prediction":
            return x * scale**2 - given * (sigma * scale)
        if self.sampling.prediction == "sample":
            return given
        return x - given * sigma

    def _embeddings(self, entries: Sequence[ConditioningEntry], batch: int) -> torch.Tensor:
        """Embeddings of all entries, one after the other; kept until others are asked for."""
        import torch

        name = tuple(entry.digest for entry in entries)
        if self._embedded is None or self._embedded[:2] != (name, batch):
            # Attention over tokens repeated is attention over them once, so that lengths can be made equal.
            tokens = math.lcm(*(entry.embeddings.shape[1] for entry in entries))
            parts = [entry.embeddings.repeat(1, tokens // entry.embeddings.shape[1], 1) for entry in entries]
            width = int(self._network.config.cross_attention_dim)
            for part in parts:
                if part.shape[2] != width:
                    raise NodeError(
                        f"The conditioning is {part.shape[2]} wide, the model takes {width}.",
                        "Encode the prompt with the text encoder of the same model.",
                    )
            both = torch.cat([part.expand(batch, -1, -1) for part in parts])
            self._embedded = (name, batch, both.to(self.device, self._dtype))
        return self._embedded[2]


class Clip:
    """The text encoder; see `studio.diffusion.api.Encoder`."""

    def __init__(self, path: Path, place: Place, check: Check) -> None:
        import torch

        from studio.diffusion import loading

        self.check = check
        library = loading.imported("transformers.models.clip", check)
        settings: Any = library.CLIPTextConfig(**loading.config(path / "text_encoder/config.json"))
        with torch.device("meta"):
            network: Any = library.CLIPTextModel(settings)
        loading.fill(network, loading.files_of(path / "text_encoder"), place, check)
        positions = torch.arange(settings.max_position_embeddings, device=place.device)
        network.embeddings.position_ids = positions[None]
        loading.stop_inside(network, ("CLIPEncoderLayer",), lambda: self.check())
        self._network = network
        self.nbytes = loading.nbytes(network)
        try:
            tokenizer: Any = library.CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
        except (OSError, ValueError) as error:
            raise NodeError(
                f"The tokenizer in {path} cannot be read: {error}.", "Download the model again."
            ) from error
        self.window = int(settings.max_position_embeddings)
        self.begin, self.end = int(tokenizer.bos_token_id), int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id)
        self._tokenizer = tokenizer

    def tokens(self, text: str) -> list[int]:
        """Ids of a text, without begin and end."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def encode(self, chunks: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode chunks of ids; the last layer's output, normalised."""
        import torch

        ids = torch.tensor(chunks, device=self._network.device)
        given = self._network(ids)
        return given.last_hidden_state.float().cpu(), given.pooler_output.float().cpu()


class Kl:
    """The autoencoder; see `studio.diffusion.api.Autoencoder`."""

    def __init__(self, path: Path, place: Place, check: Check) -> None:
        import torch

        from studio.diffusion import loading

        self.check = check
        library = loading.imported("diffusers.models.autoencoders.autoencoder_kl", check)
        settings = dict(loading.config(path / "vae/config.json"))
        with torch.device("meta"):
            network: Any = library.AutoencoderKL.from_config(settings)
        loading.fill(network, loading.files_of(path / "vae"), place, check)
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
