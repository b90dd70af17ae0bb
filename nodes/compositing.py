"""Nodes that cut pictures out, put them back and widen them, under masks."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from studio.api import Image, Mask, NodeError, Range, node

Place = Annotated[int, Range(-16384, 16384, step=8)]
Room = Annotated[int, Range(0, 8192, step=8)]


class Crop(NamedTuple):
    """A part of a picture, and where it was.

    Attributes:
        image: The part.
        mask: The mask of that part.
        left: Pixels left of it in the whole picture.
        top: Pixels above it in the whole picture.
        width: Its width in pixels.
        height: Its height in pixels.
    """

    image: Image
    mask: Mask
    left: int
    top: int
    width: int
    height: int


class Widened(NamedTuple):
    """A picture with room around it.

    Attributes:
        image: The larger picture.
        mask: 1 in the new room, fading into the old picture.
    """

    image: Image
    mask: Mask


@node("crop_image", category="Image", synonyms=("ImageCrop", "cut", "region"))
def crop_image(
    image: Image,
    *,
    left: Annotated[int, Range(0, 16384, step=8)] = 0,
    top: Annotated[int, Range(0, 16384, step=8)] = 0,
    width: Annotated[int, Range(1, 16384, step=8)] = 512,
    height: Annotated[int, Range(1, 16384, step=8)] = 512,
) -> Image:
    """Cut a part out of a picture; what would lie outside of it is left away.

    Args:
        image: Picture to cut.
        left: Pixels left of the part.
        top: Pixels above the part.
        width: Width of the part in pixels.
        height: Height of the part in pixels.
    """
    rows, columns = image.shape[1:3]
    if left >= columns or top >= rows:
        raise NodeError(
            f"The part begins at {left}, {top}; the picture is {columns}×{rows} px.",
            "Begin inside the picture.",
            socket="left" if left >= columns else "top",
        )
    return image[:, top : top + height, left : left + width].copy()


@node("crop_to_mask", category="Image", synonyms=("MaskToRegion", "inpaint crop", "only masked", "CropMask"))
def crop_to_mask(
    image: Image,
    mask: Mask,
    *,
    padding: Annotated[int, Range(0, 4096, step=8)] = 32,
    multiple: Annotated[int, Range(1, 256, step=8)] = 8,
    square: bool = False,
) -> Crop:
    """Cut out the part of a picture that a mask marks, to work on it alone.

    Args:
        image: Picture to cut.
        mask: What to cut out; fitted to the picture.
        padding: Pixels around it that come along.
        multiple: Both sides become multiples of this many pixels.
        square: Make the part as high as wide, where the picture is large enough.
    """
    from studio.raster.batch import check_counts
    from studio.raster.crop import around
    from studio.raster.mask import resized

    check_counts(image, mask, "mask")
    mask = resized(mask, image.shape[2], image.shape[1])
    box = around(mask, padding, multiple, square)
    if box is None:
        raise NodeError("The mask marks nothing.", "Mark what is to be cut out.", socket="mask")
    part = image[:, box.rows, box.columns].copy(), mask[:, box.rows, box.columns].copy()
    return Crop(*part, box.left, box.top, box.width, box.height)


@node(
    "composite_images",
    category="Image",
    synonyms=("ImageCompositeMasked", "paste", "uncrop", "stitch", "overlay", "layer"),
)
def composite_images(
    below: Image, above: Image, mask: Mask | None = None, *, left: Place = 0, top: Place = 0
) -> Image:
    """Lay a picture over another, under a mask; a part that was cut out is put back with its left and top.

    Args:
        below: Picture that gives the size.
        above: Picture that is laid over it; where it is transparent, the lower one is seen.
        mask: Where the upper one is seen; fitted to it. Unwired, all of it.
        left: Pixels between the left borders of both.
        top: Pixels between the upper borders of both.
    """
    from studio.raster.batch import check_counts
    from studio.raster.crop import composite

    check_counts(below, above, "above")
    if mask is not None:
        check_counts(above if len(above) > 1 else below, mask, "mask")
    return composite(below, above, mask, left, top)


@node(
    "pad_for_outpainting",
    category="Image",
    synonyms=("ImagePadForOutpaint", "Pad Image for Outpainting", "outpaint", "extend canvas", "uncrop"),
)
def pad_for_outpainting(
    image: Image,
    *,
    left: Room = 0,
    top: Room = 0,
    right: Room = 128,
    bottom: Room = 0,
    feather: Room = 40,
    fill: Literal["grey", "edge", "mirror"] = "grey",
) -> Widened:
    """Add room around a picture, with a mask of what is to be painted.

    Args:
        image: Picture to widen.
        left: Pixels added on the left.
        top: Pixels added above.
        right: Pixels added on the right.
        bottom: Pixels added below.
        feather: How far the mask fades into the old picture, in pixels.
        fill: What stands in the new room meanwhile.
    """
    from studio.raster.crop import widened

    return Widened(*widened(image, (left, top, right, bottom), feather, fill))


@node(
    "fill_masked",
    category="Image",
    synonyms=("INPAINT_MaskedFill", "masked content", "infill", "neutral", "erase"),
)
def fill_masked(
    image: Image,
    mask: Mask,
    *,
    method: Literal["blur", "border", "grey", "black", "white"] = "blur",
    radius: Annotated[float, Range(1, 256, step=1)] = 16.0,
) -> Image:
    """Put something plain where a mask marks a picture, before it is painted anew there.

    Args:
        image: Picture to fill.
        mask: Where; fitted to the picture.
        method: The colours around drawn in softly, lines continued from the border, or one colour.
        radius: How soft, or how far around is looked, in pixels.
    """
    from studio.raster.batch import check_counts
    from studio.raster.fill import filled
    from studio.raster.mask import resized

    check_counts(image, mask, "mask")
    return filled(image, resized(mask, image.shape[2], image.shape[1]), method, radius)
