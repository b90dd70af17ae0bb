"""Pictures beside the latent: what models for inpainting, editing, depth and enlarging are told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import interpolate, pixel_unshuffle

from studio.diffusion.autoencoder import encode
from studio.diffusion.conditioning import changed, each
from studio.diffusion.kl import Kl
from studio.diffusion.noise import initial
from studio.diffusion.schedules import scaled_linear
from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.types import Conditioning, ConditioningEntry, Image, Latent, Mask, Vae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studio.context import Context

_GREY = 0.5
_FEW_CHANNELS = 4
_UPSCALE = 4


def inpainting(
    ctx: Context, told: Sequence[Conditioning], vae: Vae, image: Image, mask: Mask, *, keep: bool
) -> tuple[list[Conditioning], Latent]:
    """Tell models made for inpainting the picture without what is to be repainted.

    With latents of 4 channels, the mask goes before the latent of the masked picture, and is taken at one
    pixel in each square; with more, as Flux Fill takes them, it goes behind, a channel for every pixel.

    Args:
        ctx: The call's context.
        told: Conditionings to tell it with.
        vae: Autoencoder of the model.
        image: The whole picture.
        mask: What is to be repainted.
        keep: Whether the rest of the latent is kept as it is.

    Raises:
        NodeError: Image and mask are not of one number.
        Cancelled: Between blocks.
    """
    where = _mask_over(image, mask)
    hidden = np.where(where[..., None] > _GREY, np.float32(_GREY), image[..., :3])
    seen = encode(ctx, vae, hidden)
    whole = encode(ctx, vae, image)
    side = seen.downscale
    height, width = (rows * side for rows in seen.samples.shape[-2:])
    top, left = (where.shape[1] - height) // 2, (where.shape[2] - width) // 2
    cut = borrow(where)[:, None, top : top + height, left : left + width]
    sharp = (cut > _GREY).float().expand(len(seen.samples), -1, -1, -1)
    if seen.channels == _FEW_CHANNELS:
        hint = torch.cat([interpolate(sharp, size=seen.samples.shape[-2:]), seen.samples], dim=1)
    else:
        hint = torch.cat([seen.samples, pixel_unshuffle(sharp, side)], dim=1)
    noise_mask = None
    if keep:
        noise_mask = interpolate(cut, size=seen.samples.shape[-2:], mode="bilinear", antialias=True)[:, 0]
        noise_mask = noise_mask.clamp(0, 1)
    return _beside(told, hint), Latent(whole.samples, side, noise_mask)


def editing(
    ctx: Context, told: Sequence[Conditioning], vae: Vae, image: Image
) -> tuple[list[Conditioning], Latent]:
    """Tell models that edit a picture, or follow it as a whole, its latent.

    Those with latents of 4 channels (InstructPix2Pix) take it as the autoencoder gives it, the others (Flux
    Canny and Depth) in the denoiser's scale.

    Raises:
        NodeError: The autoencoder does not know its scale.
        Cancelled: Between blocks.
    """
    latent = encode(ctx, vae, image)
    hint = latent.samples
    if latent.channels == _FEW_CHANNELS:
        with ctx.weights.use(ctx, vae.recipe) as network:
            if not isinstance(network, Kl):
                raise NodeError(
                    "A tiny VAE does not tell the scale that the model was trained with.",
                    "Wire the model's own VAE.",
                    socket="vae",
                )
            hint = hint / network.scale + network.shift
    return _beside(told, hint), Latent(torch.zeros_like(latent.samples), latent.downscale)


def depth(told: Sequence[Conditioning], image: Image, latent: Latent) -> list[Conditioning]:
    """Tell models made for it how near everything is: the picture's brightness, spread to −1–1."""
    grey = borrow(image)[..., :3].mean(-1)[:, None]
    fitted = interpolate(grey, size=latent.samples.shape[-2:], mode="bicubic", align_corners=False)
    low, high = fitted.amin((1, 2, 3), keepdim=True), fitted.amax((1, 2, 3), keepdim=True)
    # A picture without any depth is all at the same distance: in the middle.
    spread = torch.where(high > low, (fitted - low) / (high - low).clamp(min=1e-12), torch.tensor(_GREY))
    return _beside(told, spread * 2 - 1)


def enlarging(
    told: Sequence[Conditioning], image: Image, noise_level: int, seed: int
) -> tuple[list[Conditioning], Latent]:
    """Tell the ×4 upscaler the small picture, noised to a level of 1,000, and the level."""
    pixels = borrow(image)[..., :3].permute(0, 3, 1, 2) * 2 - 1
    sigma = scaled_linear(0.0001, 0.02, 1000)[noise_level]
    kept = 1 / math.sqrt(1 + float(sigma) ** 2)
    noise = initial(tuple(pixels.shape), seed)
    hint = pixels * kept + noise * math.sqrt(1 - kept**2)
    levelled = [
        each(item, lambda entry: changed(entry, extra={**entry.extra, "noise_level": noise_level}))
        for item in told
    ]
    empty = torch.zeros(len(pixels), _FEW_CHANNELS, *pixels.shape[-2:])
    return _beside(levelled, hint), Latent(empty, _UPSCALE, blank=True)


def referring(conditioning: Conditioning, latent: Latent) -> Conditioning:
    """Let models that look at a picture (Flux Kontext) look at one more, to the right of those before.

    Raises:
        NodeError: It is not as high as the one before it.
    """

    def with_reference(entry: ConditioningEntry) -> ConditioningEntry:
        shown = latent.samples
        before = entry.hints.get("reference")
        if before is not None:
            if before.shape[:-1] != shown.shape[:-1]:
                raise NodeError(
                    f"The picture is {shown.shape[-2] * latent.downscale} px high, the one before it "
                    f"{before.shape[-2] * latent.downscale} px: they are shown side by side.",
                    "Give both the same height.",
                    socket="latent",
                )
            shown = torch.cat([before, shown], dim=-1)
        return changed(entry, hints={**entry.hints, "reference": shown})

    return each(conditioning, with_reference)


def _beside(told: Sequence[Conditioning], hint: torch.Tensor) -> list[Conditioning]:
    whole = hint.contiguous()
    return [each(item, lambda entry: changed(entry, hints={**entry.hints, "concat": whole})) for item in told]


def _mask_over(image: Image, mask: Mask) -> Mask:
    if len(mask) not in (1, len(image)):
        raise NodeError(
            f"There are {len(mask)} masks for {len(image)} pictures.",
            "Give one mask, or one for each picture.",
            socket="mask",
        )
    if mask.shape[1:] == image.shape[1:3]:
        return mask
    fitted = interpolate(borrow(mask)[:, None], size=image.shape[1:3], mode="bilinear", antialias=True)
    return np.ascontiguousarray(fitted[:, 0].numpy())
