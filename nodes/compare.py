"""Nodes that hold pictures and latents against one another, and measure what differs."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np

from studio.api import Context, Image, Latent, Range, Text, Vae, node

Gain = Annotated[float, Range(0.1, 1000, step=1)]


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
