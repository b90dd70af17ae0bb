"""Masks: made, grown, softened and put together. float32 ``[N, H, W]``, 0–1; nothing given is written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.raster.colour import luminance
from studio.types import Image, Mask

Plane = NDArray[np.float32]
_STEP_PX = 8


def from_image(image: Image, channel: str) -> Mask:
    """Take a channel of a picture for a mask.

    Args:
        image: ``[N, H, W, 3 or 4]``.
        channel: ``red``, ``green``, ``blue``, ``luminance``, ``alpha`` (1 where opaque; all 1 without
            alpha) or ``transparency`` (1 where transparent).
    """
    if channel == "luminance":
        return luminance(image)
    if channel in ("alpha", "transparency"):
        opaque = image[..., 3] if image.shape[3] == 4 else np.ones(image.shape[:3], np.float32)
        return (opaque if channel == "alpha" else 1 - opaque).astype(np.float32)
    return np.ascontiguousarray(image[..., ("red", "green", "blue").index(channel)])


def from_colour(image: Image, colour: tuple[float, float, float], tolerance: float, softness: float) -> Mask:
    """Mark what is near a colour: 1 within `tolerance`, falling to 0 over `softness`.

    Distances are Euclidean in sRGB and divided by that from black to white, so they run from 0 to 1.
    """
    distance = np.linalg.norm(image[..., :3] - np.array(colour, np.float32), axis=-1) / np.sqrt(3)
    return _falling(distance, tolerance, softness)


def from_brightness(image: Image, low: float, high: float, softness: float) -> Mask:
    """Mark what is as bright as `low` to `high`, falling to 0 over `softness` outside."""
    bright = luminance(image)
    return _falling(np.maximum(low - bright, bright - high), 0.0, softness)


def _falling(distance: NDArray[np.floating], limit: float, softness: float) -> Mask:
    if softness <= 0:
        return (distance <= limit).astype(np.float32)
    return (1 - (distance - limit) / softness).clip(0, 1).astype(np.float32)


def grown(mask: Mask, pixels: int, shape: str) -> Mask:
    """Widen a mask by so many pixels, or narrow it by a negative number; grey values are kept.

    Args:
        mask: The mask.
        pixels: How far; what lies outside the picture counts as neither repainted nor kept.
        shape: ``round``, ``square`` or ``diamond``.
    """
    radius, widen = abs(pixels), pixels > 0
    change = cv2.dilate if widen else cv2.erode

    def change_plane(plane: Plane) -> Plane:
        if shape == "round" and np.isin(plane, (0, 1)).all():
            return _binary_grown(plane > 0, radius, widen)
        # A large disc, square or diamond is a sum of small ones, which cost far less.
        for done in range(0, radius, _STEP_PX):
            plane = cast("Plane", change(plane, _kernel(min(_STEP_PX, radius - done), shape)))
        return plane

    return _each(mask, change_plane) if pixels else mask


def _binary_grown(within: NDArray[np.bool_], radius: int, widen: bool) -> Plane:
    near = radius + 0.5
    grown = _distance(~within) < near if widen else _distance(within) > near
    return grown.astype(np.float32)


def _kernel(radius: int, shape: str) -> NDArray[np.uint8]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    if shape == "round":
        return (x**2 + y**2 <= (radius + 0.5) ** 2).astype(np.uint8)
    if shape == "diamond":
        return (abs(x) + abs(y) <= radius).astype(np.uint8)
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


def feathered(mask: Mask, pixels: float, side: str) -> Mask:
    """Make the edge of a mask a straight slope, measured by the distance to the edge.

    Args:
        mask: Cut at one half first.
        pixels: Width of the slope.
        side: Where the slope lies: ``inside``, ``outside`` or ``both`` sides of the edge.
    """
    if pixels <= 0:
        return thresholded(mask, 0.5)
    shift = {"inside": 0.0, "both": 0.5, "outside": 1.0}[side]

    def soften(plane: Plane) -> Plane:
        within = plane >= 0.5
        if within.all() or not within.any():
            return within.astype(np.float32)
        # Half a pixel each: the edge lies between two pixels.
        signed = np.where(within, _distance(within) - 0.5, 0.5 - _distance(~within))
        return (signed / pixels + shift).clip(0, 1).astype(np.float32)

    return _each(mask, soften)


def _distance(within: NDArray[np.bool_]) -> Plane:
    """To the nearest pixel that is not marked."""
    return cast("Plane", cv2.distanceTransform(within.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def blurred(mask: Mask, sigma: float) -> Mask:
    """Blur by a Gaussian of standard deviation `sigma` pixels; the border is continued by its last value."""
    if sigma <= 0:
        return mask
    return _each(mask, lambda plane: _gaussian(plane, sigma)).clip(0, 1)


def _gaussian(plane: Plane, sigma: float) -> Plane:
    return cast("Plane", cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def thresholded(mask: Mask, level: float) -> Mask:
    """1 where the mask is at least `level`, 0 elsewhere."""
    return (mask >= level).astype(np.float32)


def combined(first: Mask, second: Mask, how: str) -> Mask:
    """Put two masks of one size together.

    Args:
        first: The mask that is changed.
        second: The mask that changes it.
        how: ``add`` (the larger), ``subtract`` (first without second), ``intersect`` (the smaller),
            ``difference`` (in one of them only), ``multiply``, ``mean``.
    """
    rules: dict[str, Callable[[Mask, Mask], NDArray[np.floating]]] = {
        "add": np.maximum,
        "subtract": lambda a, b: np.minimum(a, 1 - b),
        "intersect": np.minimum,
        "difference": lambda a, b: np.abs(a - b),
        "multiply": np.multiply,
        "mean": lambda a, b: (a + b) / 2,
    }
    return rules[how](first, second).astype(np.float32)


def filled(mask: Mask) -> Mask:
    """Mark holes too: what is not marked (below one half) and has no way to the border of the picture."""

    def fill(plane: Plane) -> Plane:
        open_ = np.pad((plane < 0.5).astype(np.uint8), 1, constant_values=1)
        _, labels = cv2.connectedComponents(open_, connectivity=4)
        hole = (open_ > 0) & (labels != labels[0, 0])
        return np.where(hole[1:-1, 1:-1], np.float32(1), plane)

    return _each(mask, fill)


def without_islands(mask: Mask, smallest: int) -> Mask:
    """Unmark connected parts (one half or more, corners touch) of less than `smallest` pixels."""

    def sift(plane: Plane) -> Plane:
        _, labels, facts, _ = cv2.connectedComponentsWithStats(
            (plane >= 0.5).astype(np.uint8), connectivity=8
        )
        small = np.asarray(facts)[:, cv2.CC_STAT_AREA] < smallest
        small[0] = False  # what is not marked
        return np.where(small[np.asarray(labels, np.intp)], np.float32(0), plane)

    return _each(mask, sift)


def resized(mask: Mask, width: int, height: int, *, smooth: bool = True) -> Mask:
    """Bring a mask to another size: by mean or straight line, or by the nearest pixel."""
    rows, columns = mask.shape[1:]
    if (rows, columns) == (height, width):
        return mask
    kind = cv2.INTER_NEAREST_EXACT if not smooth else cv2.INTER_LINEAR
    if smooth and width <= columns and height <= rows:
        kind = cv2.INTER_AREA
    return _each(mask, lambda plane: cast("Plane", cv2.resize(plane, (width, height), interpolation=kind)))


def box_of(mask: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what any mask of a batch marks (above 0); None where nothing is."""
    most = mask.max(0)
    rows, columns = np.flatnonzero(most.max(1) > 0), np.flatnonzero(most.max(0) > 0)
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _each(mask: Mask, change: Callable[[Plane], Plane]) -> Mask:
    """Change every mask of a batch by itself."""
    return np.stack([np.asarray(change(np.array(plane)), np.float32) for plane in mask])
