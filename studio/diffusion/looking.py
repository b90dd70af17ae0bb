"""Latents made visible: as pictures, channel by channel, and beside one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from studio.diffusion.autoencoder import decode, encode
from studio.diffusion.latents import Statistics, statistics
from studio.errors import NodeError
from studio.raster.cells import diverging, enlarged
from studio.raster.grid import side_by_side, stacked
from studio.types import Image, Latent, Model, Vae

if TYPE_CHECKING:
    from studio.context import Context

_SURE = 99.5
_CELL_PX = 128


def planes_of(latent: Latent) -> NDArray[np.float32]:
    """The values ``[N, C, H, W]``; of a film, the first frame of each."""
    samples = latent.samples[:, :, 0] if latent.samples.ndim == 5 else latent.samples
    return cast("NDArray[np.float32]", samples.numpy())


def by_model(ctx: Context, latent: Latent, model: Model) -> Image:
    """Colours ``[N, H, W, 3]`` as the model's own previews give them.

    Raises:
        NodeError: The latent is of another family.
    """
    with ctx.weights.use(ctx, model.recipe) as network:
        factors: NDArray[np.float32] = network.preview.float().cpu().numpy()
    if len(factors) != latent.channels + 1:
        raise NodeError(
            f"The latent has {latent.channels} channels, the model's have {len(factors) - 1}.",
            "Use the model that made the latent.",
            socket="model",
        )
    colours = np.einsum("nchw,cr->nhwr", planes_of(latent), factors[:-1]) + factors[-1]
    return np.nan_to_num(colours).clip(0, 1).astype(np.float32)


def by_components(latent: Latent) -> Image:
    """Colours ``[N, H, W, 3]``: the three directions in which channels vary most, as red, green and blue.

    The same directions for all of a batch; each spreads over ±2.5 standard deviations.
    """
    values = planes_of(latent).astype(np.float64)
    count, channels, height, width = values.shape
    flat = np.nan_to_num(values.transpose(0, 2, 3, 1).reshape(-1, channels))
    flat = flat - flat.mean(0)
    _, directions = np.linalg.eigh(flat.T @ flat)
    directions = directions[:, ::-1][:, :3]
    # A direction and its opposite vary alike: the sign is chosen by the largest part, so that it stays.
    largest = np.abs(directions).argmax(0)
    directions = directions * np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1, 1)
    seen = flat @ directions
    seen = (0.5 + seen / np.maximum(5 * seen.std(0), 1e-9)).clip(0, 1)
    seen = np.pad(seen, ((0, 0), (0, 3 - seen.shape[1])), constant_values=0.5)
    return seen.reshape(count, height, width, 3).astype(np.float32)


def channel_grids(latent: Latent, limit: float) -> Image:
    """Each channel as a picture, blue below 0 and red above, with its numbers: one grid for each of a batch.

    Args:
        latent: Any family's.
        limit: Value shown in full colour; 0 takes one that all but a few values are within.
    """
    planes = planes_of(latent)
    reach = limit or float(np.percentile(np.abs(planes), _SURE)) or 1.0
    grids: list[NDArray[np.float32]] = []
    for item in planes:
        tiles = [enlarged(diverging(plane, reach), _CELL_PX) for plane in item]
        labels = [f"{index}: {_signed(plane.mean())} ± {plane.std():.2f}" for index, plane in enumerate(item)]
        grids.append(side_by_side(tiles, labels))
    return stacked(grids)


def told(latent: Latent) -> str:
    """Size and numbers of a latent in lines of text."""
    whole, channels = statistics(latent)
    sides = "×".join(str(side) for side in latent.samples.shape)
    lines = [f"{sides}, {latent.downscale} px a latent pixel", f"all: {_numbers(whole)}"]
    return "\n".join([*lines, *(f"channel {index}: {_numbers(item)}" for index, item in enumerate(channels))])


def _signed(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _numbers(item: Statistics) -> str:
    return f"{item.mean:.3f} ± {item.deviation:.3f}, {item.minimum:.3f} to {item.maximum:.3f}"


def through(ctx: Context, vae: Vae, image: Image) -> tuple[Image, Image, int, int]:
    """Encode and decode a picture.

    Returns:
        What of the picture was encoded (cropped to whole latent pixels), what came back, the pixels of a
        latent pixel's side, and its channels.
    """
    latent = encode(ctx, vae, image)
    back = decode(ctx, vae, latent)
    top, left = ((image.shape[axis] - back.shape[axis]) // 2 for axis in (1, 2))
    cropped = image[:, top : top + back.shape[1], left : left + back.shape[2], :3]
    return np.ascontiguousarray(cropped), back, latent.downscale, latent.channels


def apart(first: Latent, second: Latent) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Both latents as ``[N, H, W, C]``, and the span of the first one's values.

    Raises:
        NodeError: They are of different shapes.
    """
    if first.samples.shape != second.samples.shape:
        sizes = ["×".join(str(side) for side in item.samples.shape) for item in (first, second)]
        raise NodeError(
            f"The latents are of different sizes: {sizes[0]} and {sizes[1]}.",
            "Compare latents of one size and number.",
            socket="second",
        )
    one, other = (np.moveaxis(planes_of(item), 1, -1) for item in (first, second))
    least, greatest = torch.aminmax(first.samples)
    return one, other, float(greatest - least)
