"""Planes of numbers as pictures of another size, and colours for numbers."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.raster.text import GROUND, Pixels

_COLD = np.array((0.13, 0.36, 0.78), np.float32)
_NEUTRAL = np.array((0.95, 0.95, 0.94), np.float32)
_WARM = np.array((0.80, 0.20, 0.13), np.float32)


def enlarged(plane: Pixels, least_px: int) -> Pixels:
    """Repeat the pixels of a small picture so often that its longer side has at least `least_px`."""
    times = max(1, -(-least_px // max(plane.shape[:2])))
    return plane.repeat(times, 0).repeat(times, 1)


def fitted(tile: Pixels, width: int, height: int) -> Pixels:
    """Put a picture in the middle of a cell of that size, which it must not exceed."""
    cell = np.full((height, width, 3), np.array(GROUND, np.float32) / 255, np.float32)
    top, left = (height - tile.shape[0]) // 2, (width - tile.shape[1]) // 2
    cell[top : top + tile.shape[0], left : left + tile.shape[1]] = tile[..., :3]
    return cell


def within(tile: Pixels, most_px: int) -> Pixels:
    """Make a picture smaller whose longer side is more than `most_px`."""
    scale = most_px / max(tile.shape[:2])
    if scale >= 1:
        return tile
    size = (max(1, round(tile.shape[1] * scale)), max(1, round(tile.shape[0] * scale)))
    return cast("Pixels", cv2.resize(np.array(tile), size, interpolation=cv2.INTER_AREA))


def diverging(plane: NDArray[np.float32], limit: float) -> Pixels:
    """Colours of numbers: blue at −`limit` and below, near white at 0, red at `limit` and above."""
    part = (np.nan_to_num(plane) / max(limit, 1e-12)).clip(-1, 1)[..., None]
    end = np.where(part < 0, _COLD, _WARM)
    return (_NEUTRAL + (end - _NEUTRAL) * np.abs(part)).astype(np.float32)
