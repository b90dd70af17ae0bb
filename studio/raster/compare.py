"""Pictures held against one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.errors import NodeError
from studio.files.resample import resize
from studio.raster.cells import enlarged, within
from studio.raster.colour import luminance
from studio.raster.grid import side_by_side, stacked
from studio.raster.measures import psnr, ssim
from studio.raster.plots import Curve, colours, histogram
from studio.raster.text import GROUND, Pixels
from studio.types import Image

_BINS = 256
_RGB = (("red", (240, 104, 96)), ("green", (104, 205, 112)), ("blue", (110, 160, 250)))
_CELL_PX, _LEAST_PX = 1024, 192


@dataclass(frozen=True, slots=True)
class Likeness:
    """Peak signal-to-noise ratio in decibels, and structural similarity."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        return f"{self.psnr:.2f} dB, SSIM {self.ssim:.4f}"


def likeness(first: Image, second: Image) -> Likeness:
    """Compare two batches of one size; alpha counts where both have it."""
    channels = min(first.shape[3], second.shape[3])
    one, other = first[..., :channels], second[..., :channels]
    return Likeness(psnr(one, other), ssim(one, other))


def check_sizes(first: Image, second: Image) -> None:
    """See that two batches can be compared.

    Raises:
        NodeError: They are of different sizes or numbers.
    """
    if first.shape[:3] == second.shape[:3]:
        return
    one, other = (f"{len(item)} of {item.shape[2]}×{item.shape[1]} px" for item in (first, second))
    raise NodeError(
        f"The pictures cannot be compared: {one}, and {other}.",
        "Bring them to one size with a Resize image node.",
        socket="second",
    )


def difference(first: Image, second: Image, gain: float) -> Image:
    """How far each colour is apart, times `gain`: black where nothing is."""
    return (np.abs(first[..., :3] - second[..., :3]) * np.float32(gain)).clip(0, 1)


def resampled(image: Image, factor: float) -> Image:
    """A picture made smaller by `factor` and enlarged again, both bicubic."""
    height, width = image.shape[1:3]
    sides = (max(1, round(width / factor)), max(1, round(height / factor)))
    return resize(resize(image, *sides, "stretch", "bicubic"), width, height, "stretch", "bicubic")


def grid_of(batches: list[Image], labels: list[str], columns: int) -> Image:
    """All pictures of some batches in one, with a label each; transparent parts are black."""
    tiles = [picture for batch in batches for picture in batch]
    flat = [tile[..., :3] * tile[..., 3:] if tile.shape[2] == 4 else tile for tile in tiles]
    return side_by_side([within(tile, _CELL_PX) for tile in flat], labels, columns)[None]


def reconstructions(picture: Image, decoded: Image, plain: Image, factor: float, gain: float) -> Image:
    """For each of a batch: picture, what a VAE and what resampling make of it, and what either loses.

    Args:
        picture: ``[N, H, W, 3]``.
        decoded: Through the VAE, of the same shape.
        plain: Through resampling by `factor`, of the same shape.
        factor: Told in the label.
        gain: How many times differences are brightened.
    """
    nothing = np.broadcast_to(np.array(GROUND, np.float32) / 255, picture[:1].shape)
    grids: list[Pixels] = []
    for index in range(len(picture)):
        here, ours, theirs = (item[index : index + 1] for item in (picture, decoded, plain))
        tiles = [here, ours, theirs, nothing, difference(here, ours, gain), difference(here, theirs, gain)]
        words = [
            "picture",
            f"VAE: {likeness(here, ours)}",
            f"bicubic 1/{factor:.3g}: {likeness(here, theirs)}",
        ]
        words += ["", f"VAE's error × {gain:g}", f"bicubic's error × {gain:g}"]
        least = [enlarged(tile[0], _LEAST_PX) for tile in tiles]
        grids.append(side_by_side([within(tile, _CELL_PX) for tile in least], words, 3))
    return stacked(grids)


def image_histogram(image: Image, logarithmic: bool) -> Image:
    """How often each brightness occurs in red, green, blue and to the eye, over a whole batch."""
    planes = [*np.moveaxis(image[..., :3], 3, 0), luminance(image)]
    names = [*_RGB, ("brightness", (222, 224, 228))]
    curves = [
        Curve(name, colour, _counted(plane, 0, 1, logarithmic))
        for plane, (name, colour) in zip(planes, names, strict=True)
    ]
    return histogram(curves, 0, 1)[None]


def channel_histogram(planes: Image, logarithmic: bool) -> Image:
    """How often each value occurs in every channel of ``[N, H, W, C]``."""
    values = np.nan_to_num(planes)
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 1, high + 1
    curves = [
        Curve(f"channel {index}", colour, _counted(values[..., index], low, high, logarithmic))
        for index, colour in enumerate(colours(values.shape[3]))
    ]
    return histogram(curves, low, high)[None]


def _counted(plane: Image, low: float, high: float, logarithmic: bool) -> Image:
    bins = min(_BINS, max(16, int(np.sqrt(plane.size))))
    counts = np.histogram(plane, bins, (low, high))[0].astype(np.float32)
    return np.log1p(counts) if logarithmic else counts
