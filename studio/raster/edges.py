"""Lines and edges of pictures, white on black, by filters alone: no network looks at the picture.

Each takes ``[N, H, W, 3 or 4]`` and gives ``[N, H, W, 3]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.raster.colour import luminance
from studio.types import Image, Mask

Plane = NDArray[np.float32]
_BYTE = 255.0


def canny(image: Image, low: float = 0.4, high: float = 0.8, blur: float = 0.0) -> Image:
    """Find thin edges (Canny 1986): where brightness changes most, followed along.

    Args:
        image: The picture.
        low: How strong an edge must be to go on, 0–1.
        high: How strong it must be to begin, 0–1.
        blur: Standard deviation in pixels of a Gaussian before it.
    """

    def edges(plane: Plane) -> Plane:
        grey = np.rint(_blurred(plane, blur) * _BYTE).astype(np.uint8)
        return np.asarray(cv2.Canny(grey, low * _BYTE, high * _BYTE), np.float32) / np.float32(_BYTE)

    return _drawn(image, edges)


def line_art(image: Image, width: float = 1.5, gain: float = 1.0) -> Image:
    """Draw what is darker than its surroundings as lines, by the difference of two blurs.

    Args:
        image: The picture.
        width: About the width of lines, in pixels.
        gain: How bright they become.
    """

    def lines(plane: Plane) -> Plane:
        around = _blurred(plane, 4 * width)
        darker = np.maximum(around - _blurred(plane, width / 2), 0)
        strong = darker[darker > 0.02]
        # By its own middle strength, so that faint drawings and hard prints come out alike.
        scale = max(0.06, float(np.median(strong)) if strong.size else 0.0)
        return (0.8 * gain * darker / scale - 0.15).clip(0, 1)

    return _drawn(image, lines)


def soft_edge(image: Image, detail: float = 0.5, gain: float = 1.0) -> Image:
    """Draw broad soft edges from how fast colours change at three sizes.

    What the networks HED and PiDiNet draw has fewer edges inside of textures.

    Args:
        image: The picture.
        detail: Share of the fine sizes, 0–1.
        gain: How bright edges become.
    """
    weights = (detail, 0.5, 1 - detail)
    edges = np.stack([_soft(picture, weights) for picture in image[..., :3]])
    return _three((gain * edges).clip(0, 1))


def _soft(picture: Plane, weights: tuple[float, float, float]) -> Plane:
    short = min(picture.shape[:2])
    lab = _lab(picture)
    total = np.zeros(picture.shape[:2], np.float32)
    for weight, part in zip(weights, (0.002, 0.005, 0.012), strict=True):
        slope = _slope(lab, max(0.7, part * short))
        total += weight * slope / (slope + 0.5 * max(1e-3, float(np.percentile(slope, 98))))
    return np.asarray(_blurred(total / sum(weights) * 1.4, max(0.5, 0.002 * short)), np.float32)


def _lab(picture: Plane) -> Plane:
    """CIE L*a*b* in parts of 100, in which equal distances look about equal."""
    return np.asarray(cv2.cvtColor(np.array(picture), cv2.COLOR_RGB2Lab), np.float32) / np.float32(100)


def _slope(planes: Plane, sigma: float) -> Plane:
    """Change per pixel of all channels together, after a blur of `sigma`, times `sigma`."""
    smooth = _blurred(planes, sigma)
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    squares = np.square(np.asarray(across)) + np.square(np.asarray(down))
    return np.sqrt(squares.sum(2)).astype(np.float32) * np.float32(sigma)


def scribble(image: Image, threshold: float = 0.4, width: int = 3) -> Image:
    """Draw coarse strokes along the strongest soft edges.

    Args:
        image: The picture.
        threshold: How strong an edge must be, 0–1.
        width: Of the strokes in pixels.
    """
    soft = soft_edge(image, detail=0.0)[..., 0]
    return _three(np.stack([_strokes(plane, threshold, width) for plane in soft]))


def _strokes(plane: Plane, threshold: float, width: int) -> Plane:
    """Ridges of a soft edge map, thinned across their direction and drawn again at one width."""
    smooth = _blurred(plane, 1.5)
    bends: list[Plane] = []
    tops: list[NDArray[np.bool_]] = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before = np.roll(smooth, (dy, dx), (0, 1))
        after = np.roll(smooth, (-dy, -dx), (0, 1))
        bends.append((before + after - 2 * smooth) * np.float32(1 / (dy * dy + dx * dx)))
        tops.append((smooth > before) & (smooth >= after))
    # A ridge is a top across the direction in which it bends most; elsewhere tops are its own bumps.
    across = np.argmin(bends, axis=0)[None]
    ridge = np.take_along_axis(np.array(tops), across, axis=0)[0]
    thin = (ridge & (smooth >= threshold)).astype(np.uint8)
    thin = _without_specks(thin)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return np.asarray(cv2.dilate(thin, disc), np.float32)


def _without_specks(thin: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, labels, facts, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    long = np.asarray(facts)[:, cv2.CC_STAT_AREA] >= max(8, min(thin.shape) // 32)
    long[0] = False
    return long[np.asarray(labels, np.intp)].astype(np.uint8)


def thresholded(image: Image, level: float = 0.5) -> Image:
    """White where a picture is at least so bright, else black."""
    return _three((luminance(image) >= level).astype(np.float32))


def _blurred(plane: Plane, sigma: float) -> Plane:
    if sigma <= 0:
        return plane
    return cast("Plane", cv2.GaussianBlur(np.array(plane), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def _drawn(image: Image, draw: Callable[[Plane], Plane]) -> Image:
    return _three(np.stack([draw(plane) for plane in luminance(image)]))


def _three(mask: Mask) -> Image:
    return np.repeat(np.asarray(mask, np.float32)[..., None], 3, axis=3)
