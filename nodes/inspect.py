"""Nodes that look inside: at latents and their channels, at numbers, at what differs."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np

from studio.api import Context, Image, Latent, Model, Range, Text, Vae, node

T = TypeVar("T")
Gain = Annotated[float, Range(0.1, 1000, step=1)]


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


class ImageDifference(NamedTuple):
    """How two pictures differ.

    Attributes:
        difference: How far each colour is apart, times the gain.
        psnr: Peak signal-to-noise ratio in decibels; 200 where nothing differs.
        ssim: Structural similarity; 1 where nothing differs.
    """

    difference: Image
    psnr: float
    ssim: float


class LatentDifference(NamedTuple):
    """How two latents differ.

    Attributes:
        difference: How far the values of all channels are apart on average, times the gain.
        psnr: Peak signal-to-noise ratio in decibels, over the span of the first; 200 where nothing differs.
        ssim: Structural similarity; 1 where nothing differs.
        rms: Root of the mean squared difference.
    """

    difference: Image
    psnr: float
    ssim: float
    rms: float


class Reconstruction(NamedTuple):
    """What is left of a picture behind a VAE, and behind plain resampling.

    Attributes:
        comparison: The picture, both results and their differences side by side, with numbers.
        decoded: The picture encoded and decoded.
        resampled: The picture made smaller and enlarged again.
        psnr: Peak signal-to-noise ratio of the VAE's in decibels.
        ssim: Structural similarity of the VAE's.
        resampled_psnr: Peak signal-to-noise ratio of the resampled one in decibels.
        resampled_ssim: Structural similarity of the resampled one.
    """

    comparison: Image
    decoded: Image
    resampled: Image
    psnr: float
    ssim: float
    resampled_psnr: float
    resampled_ssim: float


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


@node("compare_images", category="Look inside", shows=True, synonyms=("difference", "diff", "PSNR", "SSIM"))
def compare_images(first: Image, second: Image, *, gain: Gain = 4.0) -> ImageDifference:
    """Show and measure how two pictures differ.

    Args:
        first: One picture.
        second: The other, of the same size.
        gain: How many times the difference is brightened.
    """
    from studio.raster.compare import check_sizes, difference, likeness

    check_sizes(first, second)
    measured = likeness(first, second)
    return ImageDifference(difference(first, second, gain), measured.psnr, measured.ssim)


@node("compare_latents", category="Look inside", shows=True, synonyms=("difference", "diff", "PSNR", "RMS"))
def compare_latents(first: Latent, second: Latent, *, gain: Gain = 1.0) -> LatentDifference:
    """Show and measure how two latents differ.

    Args:
        first: One latent.
        second: The other, of the same size.
        gain: How many times the difference is brightened; at 1, a mean difference of 1 is white.
    """
    from studio.diffusion.looking import apart
    from studio.raster.measures import psnr, rms, ssim

    one, other, span = apart(first, second)
    seen = (np.abs(one - other).mean(3, keepdims=True) * np.float32(gain)).clip(0, 1)
    side = first.downscale
    shown = np.repeat(seen, 3, 3).repeat(side, 1).repeat(side, 2)
    return LatentDifference(shown, psnr(one, other, span), ssim(one, other, span), rms(one, other))


@node("vae_reconstruction", category="Look inside", title="VAE reconstruction", device=True, shows=True)
def vae_reconstruction(
    ctx: Context,
    vae: Vae,
    image: Image,
    *,
    against: Literal["the latent's size", "as many numbers"] = "the latent's size",
    gain: Gain = 4.0,
) -> Reconstruction:
    """Show what a VAE keeps of a picture, beside plain resampling.

    Args:
        vae: Autoencoder to test.
        image: Picture to encode and decode.
        against: How small the other one is made: as the latent, or so that both hold equally many numbers.
        gain: How many times differences are brightened.
    """
    from studio.diffusion.looking import through
    from studio.raster import compare

    picture, decoded, side, channels = through(ctx, vae, image)
    factor = side if against == "the latent's size" else side * (3 / channels) ** 0.5
    plain = compare.resampled(picture, factor)
    ours, theirs = compare.likeness(picture, decoded), compare.likeness(picture, plain)
    shown = compare.reconstructions(picture, decoded, plain, factor, gain)
    return Reconstruction(shown, decoded, plain, ours.psnr, ours.ssim, theirs.psnr, theirs.ssim)


@node(
    "compare_grid",
    category="Look inside",
    shows=True,
    synonyms=("ImageGrid", "contact sheet", "XY plot", "side by side", "montage"),
)
def compare_grid(
    first: list[Image],
    second: list[Image] | None = None,
    third: list[Image] | None = None,
    fourth: list[Image] | None = None,
    *,
    labels: Annotated[str, Text(multiline=True)] = "",
    columns: Annotated[int, Range(0, 64, step=1)] = 0,
) -> Image:
    """Lay pictures side by side with labels.

    Args:
        first: Pictures; lists and batches are laid out one by one.
        second: More pictures.
        third: More pictures.
        fourth: More pictures.
        labels: One line for each picture, in order.
        columns: Pictures in a row; 0 makes the grid about square.
    """
    from studio.raster.compare import grid_of

    batches = [batch for group in (first, second, third, fourth) for batch in group or []]
    return grid_of(batches, labels.splitlines(), columns)


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
