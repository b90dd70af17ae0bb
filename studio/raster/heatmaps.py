"""People cut out for pose networks, and joints found in what those give."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Left, top, width and height."""
_MARGIN = 1.25
_SMOOTH = 0.8


def crop_for(
    picture: NDArray[np.float32], box: Box, size_px: tuple[int, int]
) -> tuple[NDArray[np.float32], Box]:
    """Cut a person out, with a margin, in the proportions the network takes.

    Args:
        picture: ``[H, W, 3]``; what lies outside of it is black.
        box: Of the person, in parts of the sides.
        size_px: Height and width of the result.

    Returns:
        The crop, and the box it shows in pixels of the picture, from the middle of its first pixel to the
        middle of its last (“unbiased” as in Huang et al. 2020).
    """
    rows, columns = picture.shape[:2]
    height, width = size_px
    left, top, wide, high = box[0] * columns, box[1] * rows, box[2] * columns, box[3] * rows
    middle = (left + wide / 2, top + high / 2)
    wide, high = max(wide, high * width / height) * _MARGIN, max(high, wide * height / width) * _MARGIN
    area = (middle[0] - wide / 2, middle[1] - high / 2, wide, high)
    across, down = (width - 1) / wide, (height - 1) / high
    matrix = np.array([[across, 0, -area[0] * across], [0, down, -area[1] * down]])
    crop = cv2.warpAffine(np.array(picture), matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.float32), area


def joints_of(
    planes: NDArray[np.float32], area: Box, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the highest place of each plane, to parts of a pixel.

    Args:
        planes: ``[joints, h, w]``: how likely each joint is at each place of a crop.
        area: Of the crop in pixels of the picture, as `crop_for` gives it.
        size: Width and height of the picture in pixels.

    Returns:
        Places ``[joints, 2]`` in parts of the picture's sides, and the heights there ``[joints]``.
    """
    rows, columns = planes.shape[1:]
    peaks = np.array([_peak(plane) for plane in planes])
    scale = np.array([area[2] / max(1, columns - 1), area[3] / max(1, rows - 1)])
    places = (peaks * scale + np.array(area[:2])) / np.array(size)
    return places, planes.max((1, 2)).astype(np.float64)


def _peak(plane: NDArray[np.float32]) -> tuple[float, float]:
    """Place of the maximum, to parts of a pixel by a parabola through logarithms (Zhang et al. 2020)."""
    row, column = (int(part) for part in np.unravel_index(int(plane.argmax()), plane.shape))
    smooth = cast("NDArray[np.float32]", cv2.GaussianBlur(np.array(plane), (3, 3), _SMOOTH))
    logs = np.log(np.pad(smooth, 1, mode="edge").clip(1e-3))[row : row + 3, column : column + 3]
    slope = np.array([logs[1, 2] - logs[1, 0], logs[2, 1] - logs[0, 1]]) / 2
    twist = (logs[2, 2] - logs[2, 0] - logs[0, 2] + logs[0, 0]) / 4
    bend = np.array(
        [
            [logs[1, 2] - 2 * logs[1, 1] + logs[1, 0], twist],
            [twist, logs[2, 1] - 2 * logs[1, 1] + logs[0, 1]],
        ]
    )
    if np.linalg.det(bend) <= 1e-9 or bend[0, 0] >= 0:
        return float(column), float(row)  # no top, but a slope or a plain
    step = -np.linalg.solve(bend, slope).clip(-1, 1)
    return column + float(step[0]), row + float(step[1])
