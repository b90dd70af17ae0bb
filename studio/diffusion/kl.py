"""Image autoencoders: the usual one, whose latents are drawn towards a normal distribution, and tiny ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from studio.diffusion.api import Loader
from studio.diffusion.files import loading
from studio.errors import NodeError
from studio.models import configs

_BLOCKS = ("ResnetBlock2D", "Attention", "Downsample2D", "Upsample2D")
_TINY_BLOCKS = ("AutoencoderTinyBlock",)


class Kl:
    """The usual autoencoder; see `studio.diffusion.api.Autoencoder` and `Network`.

    Attributes:
        channels: Of its latents.
        scale: Factor that brings what the network gives, less `shift`, to the denoiser's scale.
        shift: What is taken away first.
    """

    def __init__(
        self, network: Any, source: Mapping[str, torch.Tensor], scale: float, shift: float, loader: Loader
    ) -> None:
        self.check = loader.check
        self.modules: Mapping[str, torch.nn.Module] = {"vae": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"vae": source}
        self.nbytes = loading.nbytes(network)
        self.channels = int(network.config.latent_channels)
        self.downscale = 2 ** (len(network.config.block_out_channels) - 1)
        loading.stop_inside(network, _BLOCKS, lambda: self.check())
        self._network = network
        self.scale, self.shift = scale, shift

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels into the middle of what they may mean: no noise is drawn."""
        given = self._network.encode(pixels.to(self._network.device, self._network.dtype))
        return ((given.latent_dist.mode().float() - self.shift) * self.scale).cpu()

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Decode latents into pixels."""
        plain = samples.to(self._network.device) / self.scale + self.shift
        return self._network.decode(plain.to(self._network.dtype), return_dict=False)[0].float().cpu()


class Tiny:
    """A tiny autoencoder, whose latents are in the denoiser's scale as they are.

    See `studio.diffusion.api.Autoencoder` and `Network`.

    Attributes:
        channels: Of its latents.
    """

    def __init__(self, network: Any, source: Mapping[str, torch.Tensor], loader: Loader) -> None:
        self.check = loader.check
        self.modules: Mapping[str, torch.nn.Module] = {"vae": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"vae": source}
        self.nbytes = loading.nbytes(network)
        self.channels = int(network.config.latent_channels)
        self.downscale = 2 ** (len(network.config.decoder_block_out_channels) - 1)
        loading.stop_inside(network, _TINY_BLOCKS, lambda: self.check())
        self._network = network

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels.

        Raises:
            NodeError: Its file holds the decoder alone.
        """
        if self._network.encoder is None:
            raise NodeError(
                "This tiny VAE only decodes: its encoder is in a file of its own.",
                "Put the encoder's file beside it, or encode with another VAE.",
                socket="vae",
            )
        given = self._network.encode(pixels.to(self._network.device, self._network.dtype))
        return given.latents.float().cpu()

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Decode latents into pixels."""
        latents = samples.to(self._network.device, self._network.dtype)
        return self._network.decode(latents, return_dict=False)[0].float().cpu()


def build(
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any] | None,
    scale: tuple[float, float],
    loader: Loader,
    name: str,
) -> Kl:
    """Build an autoencoder with its weights.

    Args:
        tensors: Under the names of AutoencoderKL.
        config: Its arguments; None to read them from the tensors' shapes.
        scale: Factor that brings its latents to the denoiser's scale, and what is taken from them before.
        loader: Where it goes.
        name: Of the file or folder it comes from, for sentences.
    """
    library = loading.imported("diffusers.models.autoencoders.autoencoder_kl", loader.check)
    if config is None:
        config = configs.kl({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    network: Any = loading.hollow(library.AutoencoderKL, config)
    # In float16 it overflows on some pictures, and few say so in their configuration.
    dtype = "float32" if loader.place.dtype == "float16" else loader.place.dtype
    source = loading.give(network, tensors, replace(loader.place, dtype=dtype), loader.check, name)
    return Kl(network, source, *scale, loader)


def build_tiny(
    tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any] | None, loader: Loader, name: str
) -> Tiny:
    """Build a tiny autoencoder with its weights; arguments as those of `build`."""
    library = loading.imported("diffusers.models.autoencoders.autoencoder_tiny", loader.check)
    if config is None:
        config = configs.tiny({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    network: Any = loading.hollow(library.AutoencoderTiny, config)
    if "encoder.layers.0.weight" not in tensors:
        network.encoder = None
    source = loading.give(network, tensors, loader.place, loader.check, name)
    return Tiny(network, source, loader)
