"""Nodes that enlarge pictures: by resampling, or with a network made for it."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from studio.api import (
    Conditioning,
    Context,
    Extension,
    File,
    Image,
    Latent,
    NodeError,
    Range,
    UpscaleModel,
    node,
)

_MAX_PX = 16384

upscaler = Extension(
    "family",
    "upscaler",
    "studio.diffusion.families.upscaler:FAMILY",
    "Networks that enlarge pictures: ESRGAN, Real-ESRGAN, compact ones; others through spandrel.",
)

latent_upscaler = Extension(
    "family",
    "latent_upscaler",
    "studio.diffusion.families.latent_upscaler:FAMILY",
    "The ×2 latent upscaler: a UNet that is shown a latent, and one CLIP text encoder.",
)

Method = Literal["lanczos", "bicubic", "bilinear", "area", "nearest"]


class ShownLatent(NamedTuple):
    """What guides the sampler, and the latent to begin with.

    Attributes:
        positive: What the picture should show.
        negative: What it should not show.
        latent: Where to begin: twice as wide and high.
    """

    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node(
    "load_upscale_model",
    category="Loaders",
    instant=True,
    synonyms=("UpscaleModelLoader", "Load Upscale Model", "ESRGAN", "upscaler", "super resolution"),
)
def load_upscale_model(
    ctx: Context, *, path: Annotated[str, File(content="model", kinds=("upscaler",))] = ""
) -> UpscaleModel:
    """Name a network that enlarges pictures; its weights are loaded when they are first needed.

    Args:
        path: Model file: ESRGAN, Real-ESRGAN or compact; other kinds where spandrel is installed.
    """
    from studio.diffusion.families.upscaler import recipe_of

    return UpscaleModel(recipe_of(path, ctx))


@node(
    "upscale_with_model",
    category="Image",
    device=True,
    synonyms=("ImageUpscaleWithModel", "Upscale Image (using Model)", "ESRGAN", "extras"),
)
def upscale_with_model(
    ctx: Context,
    upscale_model: UpscaleModel,
    image: Image,
    *,
    tile: Annotated[int, Range(0, 8192, step=64)] = 256,
    overlap: Annotated[int, Range(0, 1024, step=8)] = 32,
) -> Image:
    """Enlarge a picture with a network, as many times as the network was made for.

    Args:
        upscale_model: The network.
        image: Picture to enlarge; its alpha is kept, and resampled.
        tile: Side of the pieces in pixels of the small picture; smaller takes less memory, 0 takes it whole.
        overlap: Pixels that neighbouring pieces share and are faded over.
    """
    from studio.diffusion.upscaling.upscale import upscale

    return upscale(ctx, upscale_model.recipe, image, tile=tile, overlap=overlap)


@node(
    "latent_upscale_conditioning",
    category="Conditioning",
    title="Latent upscale conditioning",
    synonyms=("x2 latent upscaler", "sd-x2-latent-upscaler", "StableDiffusionLatentUpscalePipeline"),
)
def latent_upscale_conditioning(
    positive: Conditioning, latent: Latent, negative: Conditioning | None = None
) -> ShownLatent:
    """Show the ×2 latent upscaler a latent; sample with guidance 1 for a faithful enlargement.

    Args:
        positive: What the picture shows; may be empty.
        latent: Latent to enlarge: of Stable Diffusion 1 or 2.
        negative: What it should not show.
    """
    from studio.diffusion.denoisers.latent_upscaler import doubling

    both, empty = doubling([positive, negative or Conditioning(())], latent)
    return ShownLatent(both[0], both[1], empty)


@node("scale_image", category="Image", synonyms=("ImageScaleBy", "Upscale Image By", "factor", "zoom"))
def scale_image(
    image: Image,
    *,
    factor: Annotated[float, Range(0.01, 16, step=0.25)] = 2.0,
    method: Method = "lanczos",
) -> Image:
    """Make a picture so many times wider and higher.

    Args:
        image: Picture to scale.
        factor: How many times; below 1 makes it smaller.
        method: How pixels between are found; “area” takes the mean of what falls together.
    """
    return _resized(image, factor, 1, method, "factor")


@node(
    "scale_to_megapixels",
    category="Image",
    synonyms=("ImageScaleToTotalPixels", "Scale Image to Total Pixels", "resolution"),
)
def scale_to_megapixels(
    image: Image,
    *,
    megapixels: Annotated[float, Range(0.01, 256, step=0.25)] = 1.0,
    multiple: Annotated[int, Range(1, 256, step=8)] = 8,
    method: Method = "lanczos",
) -> Image:
    """Bring a picture to a number of pixels; its proportions stay.

    Args:
        image: Picture to scale.
        megapixels: How many pixels it shall have; 1 is 1024×1024.
        multiple: Both sides are rounded to multiples of this many pixels.
        method: How pixels between are found; “area” takes the mean of what falls together.
    """
    factor = math.sqrt(megapixels * 2**20 / (image.shape[1] * image.shape[2]))
    return _resized(image, factor, multiple, method, "megapixels")


def _resized(image: Image, factor: float, multiple: int, method: str, socket: str) -> Image:
    from studio.files.resample import resize

    height, width = (max(multiple, round(side * factor / multiple) * multiple) for side in image.shape[1:3])
    if max(height, width) > _MAX_PX:
        raise NodeError(
            f"The result would be {width}×{height} px.",
            f"Keep both sides within {_MAX_PX:,} px.",
            socket=socket,
        )
    return resize(image, width, height, "stretch", method)
