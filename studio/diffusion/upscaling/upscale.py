"""Enlarging pictures with a network, tile by tile where a picture is large."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import pad

from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.files.pictures import LIMIT_PIXELS
from studio.files.resample import resize
from studio.types import Image, Recipe

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.upscaling.upscaler import Upscaler

_ALIGN = 8
_LEAST = 1e-6  # no pixel is left without weight, even where only outer quarters meet


@dataclass(frozen=True, slots=True)
class Tile:
    """A box of the small picture, in pixels: rows `top` to `bottom`, columns `left` to `right`."""

    top: int
    bottom: int
    left: int
    right: int


def upscale(ctx: Context, recipe: Recipe, image: Image, *, tile: int, overlap: int) -> Image:
    """Enlarge every picture of a batch with the network of a recipe.

    Args:
        ctx: The call's context; looked at between tiles and between the blocks of the network.
        recipe: Of an upscale network.
        image: ``[N, H, W, 3 or 4]``; alpha is enlarged by Lanczos resampling.
        tile: Side of a tile in pixels of the small picture; 0 takes the picture whole.
        overlap: Pixels that neighbouring tiles share; they are faded into one another there.

    Raises:
        NodeError: The network takes no colour pictures, or the result would be too large.
        Cancelled: Between blocks.
    """
    with ctx.weights.use(ctx, recipe) as network, torch.inference_mode():
        _check(network, image)
        height, width = image.shape[1:3]
        tiles = list(tiles_of(height, width, tile, overlap))
        enlarged: list[Image] = []
        for index, picture in enumerate(image):
            colours = borrow(picture)[None, :, :, :3].permute(0, 3, 1, 2)
            canvas = _Canvas(network.scale, height, width)
            for done, box in enumerate(tiles):
                ctx.progress(index * len(tiles) + done, len(image) * len(tiles))
                canvas.add(box, _enlarged(network, colours, box), overlap)
            enlarged.append(canvas.picture())
        result = np.stack(enlarged)
    if not np.isfinite(result).all():
        raise NodeError("The upscale model gave values that are no numbers.", "Use another model or device.")
    if image.shape[3] == 4:
        alpha = np.repeat(image[..., 3:], 3, axis=3)
        size = (width * network.scale, height * network.scale)
        result = np.concatenate([result, resize(alpha, *size, "stretch", "lanczos")[..., :1]], axis=3)
    return result


def tiles_of(height: int, width: int, tile: int, overlap: int) -> Iterator[Tile]:
    """Cover a picture with tiles that begin at multiples of 8 px and share at least `overlap`.

    Raises:
        NodeError: The tiles would share more than half of themselves.
    """
    if tile and overlap * 2 > tile:
        raise NodeError(
            f"Tiles of {tile} px cannot overlap by {overlap} px.",
            f"Set the overlap to {tile // 2} px or less.",
            socket="overlap",
        )
    for top, bottom in _spans(height, tile, overlap):
        for left, right in _spans(width, tile, overlap):
            yield Tile(top, bottom, left, right)


def _spans(size: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    if not tile or size <= tile:
        return [(0, size)]
    stride = max(_ALIGN, (tile - overlap) // _ALIGN * _ALIGN)
    count = 1 + math.ceil((size - tile) / stride)
    return [(index * stride, min(size, index * stride + tile)) for index in range(count)]


def _check(network: Upscaler, image: Image) -> None:
    if network.channels != 3:
        raise NodeError(
            f"The upscale model takes pictures of {network.channels} channels, not of colours.",
            "Choose another upscale model.",
            socket="upscale_model",
        )
    height, width = (side * network.scale for side in image.shape[1:3])
    if height * width > LIMIT_PIXELS:
        raise NodeError(
            f"The result would be {width}×{height} px: {height * width / 1e6:,.0f} megapixels, of which "
            f"{LIMIT_PIXELS / 1e6:,.0f} can be held.",
            "Make the picture smaller first.",
            socket="image",
        )


def _enlarged(network: Upscaler, colours: torch.Tensor, box: Tile) -> torch.Tensor:
    """One tile through the network, padded by mirroring to the sides the network takes, and cut again."""
    part = colours[:, :, box.top : box.bottom, box.left : box.right]
    height, width = part.shape[-2:]
    below, right = -height % network.multiple, -width % network.multiple
    if below or right:
        mode = "reflect" if below < height and right < width else "replicate"
        part = pad(part, (0, right, 0, below), mode=mode)
    try:
        whole = network(part.contiguous(memory_format=torch.channels_last))
    except torch.OutOfMemoryError as error:
        raise NodeError(
            f"There is not enough memory for a tile of {width}×{height} px.",
            "Make the tiles smaller.",
            socket="tile",
        ) from error
    return whole[0, :, : height * network.scale, : width * network.scale]


class _Canvas:
    """Where tiles are added up, each weighed by how far it is from an edge inside the picture."""

    def __init__(self, scale: int, height: int, width: int) -> None:
        self._scale, self._height, self._width = scale, height, width
        self._sum = torch.zeros(3, height * scale, width * scale)
        self._weight = torch.zeros(height * scale, width * scale)

    def add(self, box: Tile, enlarged: torch.Tensor, overlap: int) -> None:
        """Add one tile ``[3, H, W]``."""
        rows = _ramp(box.top, box.bottom, self._height, overlap, self._scale)
        columns = _ramp(box.left, box.right, self._width, overlap, self._scale)
        weight = rows[:, None] * columns
        at = (
            slice(box.top * self._scale, box.bottom * self._scale),
            slice(box.left * self._scale, box.right * self._scale),
        )
        self._sum[(slice(None), *at)] += enlarged * weight
        self._weight[at] += weight

    def picture(self) -> Image:
        """The weighed mean, ``[H, W, 3]``."""
        return np.ascontiguousarray((self._sum / self._weight).permute(1, 2, 0).numpy())


def _ramp(begin: int, end: int, size: int, overlap: int, scale: int) -> torch.Tensor:
    """Weights along one side of a tile: rising over the overlap, but for its outer quarter.

    There the network saw least of what lies around.
    """
    place = torch.arange((end - begin) * scale, dtype=torch.float32) + 0.5
    margin, rise = overlap * scale / 4, max(overlap * scale / 2, 1.0)
    weight = torch.ones_like(place)
    if begin > 0:
        weight = weight * ((place - margin) / rise).clamp(_LEAST, 1)
    if end < size:
        weight = weight * ((len(place) - place - margin) / rise).clamp(_LEAST, 1)
    return weight
