"""Nodes that make masks from pictures, numbers and other masks."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from studio.api import Image, Mask, Range, node

Side = Annotated[int, Range(1, 16384, step=8)]


@node(
    "mask_from_image",
    category="Mask",
    synonyms=("ImageToMask", "Convert Image to Mask", "alpha", "channel", "Load Image (as Mask)"),
)
def mask_from_image(
    image: Image,
    *,
    channel: Literal["luminance", "red", "green", "blue", "alpha", "transparency"] = "luminance",
) -> Mask:
    """Take a channel of a picture for a mask.

    Args:
        image: Picture to read.
        channel: Which; “alpha” marks what is opaque, “transparency” what is not.
    """
    from studio.raster.mask import from_image

    return from_image(image, channel)


@node(
    "mask_from_colour", category="Mask", synonyms=("ImageColorToMask", "chroma key", "green screen", "color")
)
def mask_from_colour(
    image: Image,
    *,
    colour: str = "#00ff00",
    tolerance: Annotated[float, Range(0, 1, step=0.01)] = 0.1,
    softness: Annotated[float, Range(0, 1, step=0.01)] = 0.05,
) -> Mask:
    """Mark what has about a certain colour.

    Args:
        image: Picture to read.
        colour: The colour, as #rrggbb.
        tolerance: How far from it a colour may be; 1 is from black to white.
        softness: Over how much more the mask fades.
    """
    from studio.raster.colour import parsed
    from studio.raster.mask import from_colour

    return from_colour(image, parsed(colour, "colour"), tolerance, softness)


@node(
    "mask_from_brightness", category="Mask", synonyms=("luminance range", "levels", "shadows", "highlights")
)
def mask_from_brightness(
    image: Image,
    *,
    low: Annotated[float, Range(0, 1, step=0.01)] = 0.5,
    high: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
    softness: Annotated[float, Range(0, 1, step=0.01)] = 0.05,
) -> Mask:
    """Mark what is about as bright as a range.

    Args:
        image: Picture to read.
        low: Darkest brightness that is marked.
        high: Brightest brightness that is marked.
        softness: Over how much more the mask fades on both sides.
    """
    from studio.raster.mask import from_brightness

    return from_brightness(image, low, high, softness)


@node("mask_to_image", category="Mask", synonyms=("MaskToImage", "Convert Mask to Image", "grey"))
def mask_to_image(mask: Mask) -> Image:
    """Show a mask as a grey picture: white where it repaints.

    Args:
        mask: Mask to show.
    """
    return np.repeat(mask[..., None], 3, axis=3)


@node("solid_mask", category="Mask", synonyms=("SolidMask", "empty mask", "constant"))
def solid_mask(
    *, width: Side = 512, height: Side = 512, value: Annotated[float, Range(0, 1, step=0.01)] = 1.0
) -> Mask:
    """Make a mask that is the same everywhere.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        value: How much is repainted: 1 all, 0 nothing.
    """
    return np.full((1, height, width), value, np.float32)


@node("shape_mask", category="Mask", synonyms=("rectangle", "ellipse", "circle", "box", "draw"))
def shape_mask(
    *,
    width: Side = 512,
    height: Side = 512,
    shape: Literal["rectangle", "ellipse"] = "ellipse",
    left: Annotated[float, Range(-1, 2, step=0.01)] = 0.25,
    top: Annotated[float, Range(-1, 2, step=0.01)] = 0.25,
    right: Annotated[float, Range(-1, 2, step=0.01)] = 0.75,
    bottom: Annotated[float, Range(-1, 2, step=0.01)] = 0.75,
    turn: Annotated[float, Range(-180, 180, step=1)] = 0.0,
    corner: Annotated[float, Range(0, 1, step=0.05)] = 0.0,
) -> Mask:
    """Draw a rectangle or an ellipse as a mask.

    Args:
        width: Width of the mask in pixels.
        height: Height of the mask in pixels.
        shape: What is drawn.
        left: Its left side, in parts of the width.
        top: Its upper side, in parts of the height.
        right: Its right side, in parts of the width.
        bottom: Its lower side, in parts of the height.
        turn: Degrees by which it is turned clockwise.
        corner: How round the corners of a rectangle are.
    """
    from studio.raster.shapes import shape as drawn

    return drawn(width, height, shape, (left, top, right - left, bottom - top), turn, corner)


@node("gradient_mask", category="Mask", synonyms=("linear gradient", "radial gradient", "ramp", "vignette"))
def gradient_mask(
    *,
    width: Side = 512,
    height: Side = 512,
    kind: Literal["linear", "radial"] = "linear",
    turn: Annotated[float, Range(-180, 180, step=1)] = 0.0,
    begin: Annotated[float, Range(-1, 2, step=0.01)] = 0.0,
    end: Annotated[float, Range(-1, 2, step=0.01)] = 1.0,
) -> Mask:
    """Draw a slope as a mask.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        kind: From left to right, or from the corners to the middle.
        turn: Degrees by which a linear slope is turned clockwise; 90 leads from top to bottom.
        begin: Part of the way at which it begins to rise.
        end: Part of the way at which it is full; below “begin”, it falls.
    """
    from studio.raster.shapes import gradient

    return gradient(width, height, kind, turn, begin, end)


@node("grow_mask", category="Mask", synonyms=("GrowMask", "expand", "shrink", "dilate", "erode"))
def grow_mask(
    mask: Mask,
    *,
    pixels: Annotated[int, Range(-1024, 1024, step=1)] = 8,
    shape: Literal["round", "square", "diamond"] = "round",
) -> Mask:
    """Widen a mask, or narrow it.

    Args:
        mask: Mask to change.
        pixels: By how much; below 0 it is narrowed.
        shape: How corners become.
    """
    from studio.raster.mask import grown

    return grown(mask, pixels, shape)


@node("feather_mask", category="Mask", synonyms=("FeatherMask", "soft edge", "falloff"))
def feather_mask(
    mask: Mask,
    *,
    pixels: Annotated[float, Range(0, 1024, step=1)] = 16.0,
    side: Literal["inside", "both", "outside"] = "both",
) -> Mask:
    """Make the edge of a mask a slope of a certain width.

    Args:
        mask: Mask to change; it is cut at one half first.
        pixels: Width of the slope.
        side: On which side of the edge it lies.
    """
    from studio.raster.mask import feathered

    return feathered(mask, pixels, side)


@node("blur_mask", category="Mask", synonyms=("Gaussian blur", "soften", "mask blur"))
def blur_mask(mask: Mask, *, radius: Annotated[float, Range(0, 512, step=1)] = 4.0) -> Mask:
    """Blur a mask.

    Args:
        mask: Mask to blur.
        radius: Standard deviation of the Gaussian in pixels.
    """
    from studio.raster.mask import blurred

    return blurred(mask, radius)


@node("threshold_mask", category="Mask", synonyms=("ThresholdMask", "binarise", "cut"))
def threshold_mask(mask: Mask, *, level: Annotated[float, Range(0, 1, step=0.01)] = 0.5) -> Mask:
    """Make a mask all or nothing.

    Args:
        mask: Mask to cut.
        level: From which value on it repaints.
    """
    from studio.raster.mask import thresholded

    return thresholded(mask, level)


@node("combine_masks", category="Mask", synonyms=("MaskComposite", "add", "subtract", "union", "xor", "and"))
def combine_masks(
    first: Mask,
    second: Mask,
    *,
    how: Literal["add", "subtract", "intersect", "difference", "multiply", "mean"] = "add",
) -> Mask:
    """Put two masks together.

    Args:
        first: Mask that gives the size.
        second: Mask that is fitted to it.
        how: What is repainted: what either marks, what only the first marks, what both mark, what one of
            them alone marks, their product, or their mean.
    """
    from studio.raster.batch import together
    from studio.raster.mask import combined

    return combined(*together(first, second), how)


@node("fill_holes", category="Mask", synonyms=("fill mask", "close"))
def fill_holes(mask: Mask) -> Mask:
    """Mark what a mask encloses on all sides.

    Args:
        mask: Mask to fill; what is below one half counts as not marked.
    """
    from studio.raster.mask import filled

    return filled(mask)


@node("remove_islands", category="Mask", synonyms=("despeckle", "small regions", "clean mask"))
def remove_islands(mask: Mask, *, smallest: Annotated[int, Range(0, 1_000_000, step=16)] = 64) -> Mask:
    """Unmark small separate spots.

    Args:
        mask: Mask to clean.
        smallest: Spots of fewer pixels go.
    """
    from studio.raster.mask import without_islands

    return without_islands(mask, smallest)


@node("resize_mask", category="Mask", synonyms=("ResizeMask", "scale mask"))
def resize_mask(
    mask: Mask,
    *,
    width: Side = 512,
    height: Side = 512,
    method: Literal["smooth", "nearest"] = "smooth",
) -> Mask:
    """Bring a mask to another size.

    Args:
        mask: Mask to resize.
        width: New width in pixels.
        height: New height in pixels.
        method: Soft between the pixels, or as they are.
    """
    from studio.raster.mask import resized

    return resized(mask, width, height, smooth=method == "smooth")
