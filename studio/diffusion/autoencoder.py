"""Pixels to latents and back, in pieces that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.types import Image, Latent, Vae

if TYPE_CHECKING:
    from studio.context import Context

_PIECE_PIXELS = 2**20


def decode(ctx: Context, vae: Vae, latent: Latent) -> Image:
    """Decode a latent, a few pictures at a time.

    Raises:
        NodeError: The latent is of another family.
        Cancelled: Between blocks.
    """
    pictures: list[Image] = []
    with ctx.weights.use(ctx, vae.recipe) as network, torch.inference_mode():
        if latent.channels != network.channels:
            raise NodeError(
                f"The latent has {latent.channels} channels, the VAE takes {network.channels}.",
                "Use the VAE of the model that made the latent.",
                socket="vae",
            )
        parts = _pieces(latent.samples, network.downscale**2)
        ctx.weights.fit(network, tuple(parts[0].shape))
        for index, part in enumerate(parts):
            ctx.progress(index, len(parts))
            pixels = (
                ctx.weights.stepping_down(network, lambda part=part: network.decode(part))
                .div_(2)
                .add_(0.5)
                .clamp_(0, 1)
            )
            pictures.append(np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy()))
    if not all(np.isfinite(picture).all() for picture in pictures):
        raise NodeError("The VAE gave values that are no numbers.", "Use another VAE, or another device.")
    return np.concatenate(pictures)


def encode(ctx: Context, vae: Vae, image: Image) -> Latent:
    """Encode a picture, cropped in the middle to whole latent pixels, without its alpha.

    Raises:
        NodeError: The picture is smaller than one latent pixel.
        Cancelled: Between blocks.
    """
    with ctx.weights.use(ctx, vae.recipe) as network, torch.inference_mode():
        side = network.downscale
        height, width = image.shape[1] // side * side, image.shape[2] // side * side
        if not height or not width:
            raise NodeError(
                f"The picture is {image.shape[2]}×{image.shape[1]} px, less than the VAE's {side}×{side} px.",
                "Add a Resize image node.",
                socket="image",
            )
        top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
        pixels = borrow(image)[:, top : top + height, left : left + width, :3]
        parts = _pieces(pixels.permute(0, 3, 1, 2), 1)
        latents: list[torch.Tensor] = []
        ctx.weights.fit(network, (len(parts[0]), network.channels, height // side, width // side))
        for index, part in enumerate(parts):
            ctx.progress(index, len(parts))
            latents.append(ctx.weights.stepping_down(network, lambda part=part: network.encode(part * 2 - 1)))
    return Latent(torch.cat(latents).clone(), side)


def _pieces(planes: torch.Tensor, pixels_each: int) -> tuple[torch.Tensor, ...]:
    """A batch in pieces of about a megapixel."""
    area = planes.shape[-1] * planes.shape[-2] * pixels_each
    return torch.split(planes, max(1, _PIECE_PIXELS // area))
