"""Nodes that make and change latents."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from studio.api import Latent, Mask, NodeError, Range, node

_PROVISIONAL_CHANNELS = 4
_PROVISIONAL_DOWNSCALE = 8


@node(
    "empty_latent",
    category="Latent",
    synonyms=("EmptyLatentImage", "Empty Latent Image", "size", "batch"),
)
def empty_latent(
    *,
    width: Annotated[int, Range(16, 16384, step=8)] = 512,
    height: Annotated[int, Range(16, 16384, step=8)] = 512,
    batch: Annotated[int, Range(1, 4096)] = 1,
) -> Latent:
    """Make an empty latent: a canvas of pure noise for the sampler to begin with.

    Args:
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        batch: How many pictures are made at once.
    """
    import torch

    for name, size_px in (("width", width), ("height", height)):
        if size_px % _PROVISIONAL_DOWNSCALE:
            raise NodeError(
                f"The {name} is {size_px} px, which is no multiple of {_PROVISIONAL_DOWNSCALE}.",
                f"Set it to {size_px // _PROVISIONAL_DOWNSCALE * _PROVISIONAL_DOWNSCALE} px.",
                socket=name,
            )
    side = _PROVISIONAL_DOWNSCALE
    samples = torch.zeros(batch, _PROVISIONAL_CHANNELS, height // side, width // side)
    return Latent(samples, _PROVISIONAL_DOWNSCALE, blank=True)


@node(
    "set_latent_mask",
    category="Latent",
    synonyms=("SetLatentNoiseMask", "Set Latent Noise Mask", "inpaint"),
)
def set_latent_mask(latent: Latent, mask: Mask) -> Latent:
    """Let the sampler repaint a latent only under a mask.

    Args:
        latent: Latent of the picture to repaint.
        mask: Where to repaint; fitted to the latent's size.
    """
    import torch
    from torch.nn.functional import interpolate

    if mask.shape[0] not in (1, latent.samples.shape[0]):
        raise NodeError(
            f"There are {mask.shape[0]} masks for {latent.samples.shape[0]} pictures.",
            "Give one mask, or one for each picture.",
            socket="mask",
        )
    size = tuple(latent.samples.shape[-2:])
    planes = torch.tensor(mask)[:, None]
    fitted = interpolate(planes, size=size, mode="bilinear", antialias=True)[:, 0]
    return replace(latent, noise_mask=fitted.clamp(0, 1), blank=False)


@node(
    "latent_upscale",
    category="Latent",
    synonyms=("LatentUpscaleBy", "Upscale Latent By", "hires fix"),
)
def latent_upscale(
    latent: Latent,
    *,
    factor: Annotated[float, Range(0.1, 8, step=0.25)] = 1.5,
    method: Literal["bicubic", "bilinear", "area", "nearest"] = "bicubic",
) -> Latent:
    """Enlarge a latent without decoding it; sample it again afterwards with a denoise of about 0.5.

    Args:
        latent: Latent to enlarge.
        factor: How many times wider and higher.
        method: How the values between are found.
    """
    from studio.diffusion.latents import resized

    rows, columns = (max(1, round(side * factor)) for side in latent.samples.shape[-2:])
    return resized(latent, rows, columns, method)


@node("resize_latent", category="Latent", synonyms=("LatentUpscale", "Upscale Latent", "hires fix"))
def resize_latent(
    latent: Latent,
    *,
    width: Annotated[int, Range(16, 16384, step=8)] = 768,
    height: Annotated[int, Range(16, 16384, step=8)] = 768,
    method: Literal["bicubic", "bilinear", "area", "nearest"] = "bicubic",
) -> Latent:
    """Bring a latent to the size of a picture, without decoding it; its proportions may change.

    Args:
        latent: Latent to resize.
        width: Width of the picture in pixels, rounded to whole latent pixels.
        height: Height of the picture in pixels, rounded to whole latent pixels.
        method: How the values between are found.
    """
    from studio.diffusion.latents import resized

    rows, columns = (max(1, round(side / latent.downscale)) for side in (height, width))
    return resized(latent, rows, columns, method)
