"""Nodes that look inside: at latents and their channels, at values and how often they occur."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np

from studio.api import Context, Image, Latent, Model, Range, node

T = TypeVar("T")


class LatentNumbers(NamedTuple):
    """What the values of a latent are like.

    Attributes:
        text: All of it in words, channel by channel.
        mean: Mean of all values.
        deviation: Standard deviation of all values.
        minimum: Least value.
        maximum: Greatest value.
    """

    text: str
    mean: float
    deviation: float
    minimum: float
    maximum: float


@node(
    "latent_picture",
    category="Look inside",
    device=True,
    shows=True,
    synonyms=("LatentPreview", "preview latent", "latent to RGB", "TAESD"),
)
def latent_picture(
    ctx: Context,
    latent: Latent,
    model: Model | None = None,
    *,
    pixels: Annotated[int, Range(1, 32, step=1)] = 8,
) -> Image:
    """Show a latent without decoding it.

    Args:
        latent: Latent to show.
        model: Gives the colours of its previews; unwired, the channels' main directions are shown as colours.
        pixels: How many pixels wide and high each latent pixel is drawn.
    """
    from studio.diffusion.looking import by_components, by_model

    picture = by_components(latent) if model is None else by_model(ctx, latent, model)
    return picture.repeat(pixels, 1).repeat(pixels, 2)


@node("latent_channels", category="Look inside", shows=True, synonyms=("feature maps", "channel grid"))
def latent_channels(latent: Latent, *, limit: Annotated[float, Range(0, 100, step=0.5)] = 0.0) -> Image:
    """Show every channel of a latent: blue below 0, red above, with mean and deviation.

    Args:
        latent: Latent to show.
        limit: Value that is shown in full colour; 0 finds one.
    """
    from studio.diffusion.looking import channel_grids

    return channel_grids(latent, limit)


@node("latent_histogram", category="Look inside", shows=True, synonyms=("distribution", "values"))
def latent_histogram(latent: Latent, *, counts: Literal["linear", "logarithmic"] = "linear") -> Image:
    """Show how often each value occurs in the channels of a latent.

    Args:
        latent: Latent to count.
        counts: How heights are drawn; logarithmic shows rare values too.
    """
    from studio.diffusion.looking import planes_of
    from studio.raster.compare import channel_histogram

    return channel_histogram(np.moveaxis(planes_of(latent), 1, -1), counts == "logarithmic")


@node("image_histogram", category="Look inside", shows=True, synonyms=("histogram", "levels", "exposure"))
def image_histogram(image: Image, *, counts: Literal["linear", "logarithmic"] = "linear") -> Image:
    """Show how often each brightness occurs in a picture.

    Args:
        image: Picture to count.
        counts: How heights are drawn; logarithmic shows rare values too.
    """
    from studio.raster.compare import image_histogram as drawn

    return drawn(image, counts == "logarithmic")


@node(
    "latent_numbers", category="Look inside", synonyms=("statistics", "mean", "std", "latent info", "shape")
)
def latent_numbers(latent: Latent) -> LatentNumbers:
    """Tell mean, deviation and range of a latent's values.

    Args:
        latent: Latent to measure.
    """
    from studio.diffusion.latents import statistics
    from studio.diffusion.looking import told

    whole, _ = statistics(latent)
    return LatentNumbers(told(latent), whole.mean, whole.deviation, whole.minimum, whole.maximum)


@node(
    "edit_latent_channel",
    category="Look inside",
    synonyms=("LatentMultiply", "LatentAdd", "channel shift", "latent offset", "color grading"),
)
def edit_latent_channel(
    latent: Latent,
    *,
    channel: Annotated[int, Range(0, 255, step=1)] = 0,
    change: Literal["scale", "offset", "zero", "swap", "copy"] = "offset",
    amount: Annotated[float, Range(-100, 100, step=0.1)] = 0.0,
    other: Annotated[int, Range(0, 255, step=1)] = 0,
) -> Latent:
    """Change one channel of a latent.

    Args:
        latent: Latent to change.
        channel: Which channel, counted from 0.
        change: Multiply it, add to it, clear it, exchange it with another, or copy another into it.
        amount: What it is multiplied by, or what is added.
        other: Channel it is exchanged with or copied from.
    """
    from studio.diffusion.latents import edited

    return edited(latent, channel, change, amount, other)


@node(
    "show_value",
    category="Look inside",
    shows=True,
    synonyms=("ShowText", "Preview Any", "PreviewAny", "display", "print", "number", "debug"),
)
def show_value(value: T) -> Image:  # pyright: ignore[reportInvalidTypeVarUse] - any wire
    """Write a text, a number or what else a wire carries on a card.

    Args:
        value: Anything; of pictures, masks and latents, size and range are told.
    """
    from studio.raster.telling import told
    from studio.raster.text import card

    return card(told(value), 512)[None]
