"""How far two pictures are apart, in numbers."""

from __future__ import annotations

import math
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.floating[Any]]
EQUAL_DB = 200.0
"""Peak signal-to-noise ratio told for pictures without any difference, which is infinite."""
_SIGMA, _WINDOW = 1.5, 11
_K1, _K2 = 0.01, 0.03


def rms(first: Planes, second: Planes) -> float:
    """Root of the mean squared difference."""
    difference = first.astype(np.float64) - second
    return math.sqrt(float(np.mean(difference * difference)))


def psnr(first: Planes, second: Planes, span: float = 1.0) -> float:
    """Peak signal-to-noise ratio in decibels: 20 log10(span / rms), `EQUAL_DB` at most.

    Args:
        first: Of any shape.
        second: Of the same shape.
        span: From the least to the greatest value there can be.
    """
    error = rms(first, second)
    if error <= 0 or span <= 0:
        return EQUAL_DB
    return min(EQUAL_DB, 20 * math.log10(span / error))


def ssim(first: Planes, second: Planes, span: float = 1.0) -> float:
    """Structural similarity, 1 for equal pictures (Wang, Bovik, Sheikh, Simoncelli 2004).

    Means, variances and covariance under a Gaussian window of 11 pixels (σ = 1.5; smaller where the picture
    is), averaged over all places where the window lies inside, and over batch and channels.

    Args:
        first: ``[N, H, W, C]``.
        second: Of the same shape.
        span: From the least to the greatest value there can be.
    """
    window = min(_WINDOW, *(side - 1 + side % 2 for side in first.shape[1:3]))
    values = [
        _ssim_plane(first[index, :, :, channel], second[index, :, :, channel], span, window)
        for index in range(first.shape[0])
        for channel in range(first.shape[3])
    ]
    return float(np.mean(values))


def _ssim_plane(first: Planes, second: Planes, span: float, window: int) -> float:
    x, y = first.astype(np.float64), second.astype(np.float64)

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return cast("NDArray[np.float64]", cv2.GaussianBlur(plane, (window, window), _SIGMA))

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (_K1 * span) ** 2 + 1e-30, (_K2 * span) ** 2 + 1e-30
    similar = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    edge = window // 2
    height, width = similar.shape
    return float(similar[edge : height - edge, edge : width - edge].mean())
