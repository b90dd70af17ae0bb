"""Nodes that show and change pictures and masks."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from studio.api import Image, Mask, Range, node


@node(
    "preview_image",
    category="Image",
    passes=True,
    shows=True,
    synonyms=("PreviewImage", "Preview Image", "view", "show"),
)
def preview_image(image: Image) -> Image:
    """Show a picture, and pass it on.

    Args:
        image: Picture to show.
    """
    return image


@node(
    "resize_image",
    category="Image",
    synonyms=("ImageScale", "ImageScaleBy", "Upscale Image", "scale", "crop"),
)
def resize_image(
    image: Image,
    *,
    width: Annotated[int, Range(1, 16384, step=8)] = 512,
    height: Annotated[int, Range(1, 16384, step=8)] = 512,
    fit: Literal["crop", "stretch", "inside"] = "crop",
    method: Literal["lanczos", "bicubic", "bilinear", "nearest"] = "lanczos",
) -> Image:
    """Bring a picture to another size.

    Args:
        image: Picture to resize.
        width: New width in pixels.
        height: New height in pixels.
        fit: Keep the proportions and crop what stands over, stretch, or keep all of it inside.
        method: How pixels between are found; enlarging and reducing both.
    """
    from studio.files.resample import resize

    return resize(image, width, height, fit, method)


@node("invert_mask", category="Mask", synonyms=("InvertMask", "Invert Mask"))
def invert_mask(mask: Mask) -> Mask:
    """Repaint what was kept, and keep what was repainted.

    Args:
        mask: Mask to turn over.
    """
    return np.subtract(1.0, mask, dtype=np.float32)
