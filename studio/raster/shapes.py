"""Masks drawn from numbers: rectangles, ellipses, gradients. float32 ``[1, H, W]``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from studio.types import Mask


def shape(
    width: int, height: int, kind: str, box: tuple[float, float, float, float], turn: float, corner: float
) -> Mask:
    """Draw a smooth-edged shape.

    Args:
        width: Of the mask, pixels.
        height: Of the mask, pixels.
        kind: ``rectangle`` or ``ellipse``.
        box: Left, top, width and height of the shape in parts of the mask's sides.
        turn: Degrees the shape is turned clockwise about its middle.
        corner: How round a rectangle's corners are: 0 sharp, 1 as round as they can be.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    left, top, wide, high = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    dx, dy = x - (left + wide / 2), y - (top + high / 2)
    angle = math.radians(turn)
    across = np.abs(dx * math.cos(angle) + dy * math.sin(angle))
    down = np.abs(dy * math.cos(angle) - dx * math.sin(angle))
    if wide <= 0 or high <= 0:
        return np.zeros((1, height, width), np.float32)
    if kind == "ellipse":
        outside = _to_ellipse(across, down, wide / 2, high / 2)
    else:
        radius = corner * min(wide, high) / 2
        beyond_x, beyond_y = across - wide / 2 + radius, down - high / 2 + radius
        outside = np.hypot(beyond_x.clip(0), beyond_y.clip(0)) + np.minimum(np.maximum(beyond_x, beyond_y), 0)
        outside -= radius
    return (0.5 - outside).clip(0, 1).astype(np.float32)[None]


def _to_ellipse(
    across: NDArray[np.float32], down: NDArray[np.float32], a: float, b: float
) -> NDArray[np.float32]:
    """About the distance to the edge of an ellipse, negative inside: its equation over its slope."""
    level = np.hypot(across / a, down / b)
    slope = np.hypot(across / a**2, down / b**2)
    return np.where(slope > 0, level * (level - 1) / np.maximum(slope, 1e-12), -min(a, b)).astype(np.float32)


def gradient(width: int, height: int, kind: str, turn: float, begin: float, end: float) -> Mask:
    """Draw a slope from 0 to 1.

    Args:
        width: Pixels.
        height: Pixels.
        kind: ``linear``: 0 to 1 from left to right; ``radial``: 1 in the middle to 0 at the corners.
        turn: Degrees a linear slope is turned clockwise; 90 leads from top to bottom.
        begin: Part of the way at which the slope begins to rise.
        end: Part of the way at which it is done; below `begin`, it falls.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    dx, dy = x - width / 2, y - height / 2
    if kind == "radial":
        way = 1 - np.hypot(dx, dy) / math.hypot(width / 2, height / 2)
    else:
        angle = math.radians(turn)
        cosine, sine = math.cos(angle), math.sin(angle)
        length = abs(width * cosine) + abs(height * sine)
        way = 0.5 + (dx * cosine + dy * sine) / length
    if begin == end:
        return (way >= begin).astype(np.float32)[None]
    return ((way - begin) / (end - begin)).clip(0, 1).astype(np.float32)[None]
