"""Curves drawn on a ground of their own, so that they can be read wherever they are shown."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.raster.text import FAINT, INK, Bytes, Colour, Pixels, as_pixels, sheet_of, width_of, write

_SHIFT = 4
_LINE: Colour = (58, 62, 70)
_LEFT, _RIGHT, _TOP, _BOTTOM = 16, 16, 14, 30
_LEGEND_PX, _LETTERS_PX = 20, 13


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot.

    Attributes:
        name: Told in the legend.
        colour: Of the line and its name.
        heights: One for each bin, in any unit.
    """

    name: str
    colour: Colour
    heights: NDArray[np.floating]


def colours(count: int) -> list[Colour]:
    """As many colours as are wanted, far apart, light enough for a dark ground."""
    hues = [index / max(count, 1) for index in range(count)]
    wheel = [colorsys.hls_to_rgb((0.58 + hue) % 1, 0.66, 0.75) for hue in hues]
    return [(round(red * 255), round(green * 255), round(blue * 255)) for red, green, blue in wheel]


def ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) between two numbers, at most so many."""
    rough = (high - low) / most
    if not rough > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def histogram(
    curves: Sequence[Curve], low: float, high: float, *, width: int = 640, height: int = 320
) -> Pixels:
    """Draw how often values occur.

    Args:
        curves: All with as many bins, from `low` to `high`; the highest reaches the top.
        low: Value at the left end.
        high: Value at the right end.
        width: Of the picture in pixels.
        height: Of the picture in pixels, without the legend.

    Returns:
        ``[H, width, 3]``, 0–1.
    """
    places = _legend_places(curves, width)
    head = _TOP + _LEGEND_PX * (1 + max((row for row, _ in places), default=0))
    total = head + height
    sheet = sheet_of(total, width)
    right, floor = width - _RIGHT, total - _BOTTOM
    for value in ticks(low, high):
        x = _LEFT + (value - low) / (high - low) * (right - _LEFT)
        _line(sheet, [x, x], [head, floor], _LINE)
        word = f"{value:g}".replace("-", "−")
        write(sheet, word, x - width_of(word, _LETTERS_PX) / 2, floor + 18, _LETTERS_PX, FAINT)
    top = max((float(curve.heights.max()) for curve in curves), default=0.0) or 1.0
    for curve in curves:
        x = np.linspace(_LEFT, right, len(curve.heights))
        _line(sheet, x, floor - curve.heights / top * (floor - head - 6), curve.colour, 2)
    _line(sheet, [_LEFT, right], [floor, floor], INK)
    for (row, left), curve in zip(places, curves, strict=True):
        write(sheet, curve.name, left, _TOP + 6 + row * _LEGEND_PX, _LETTERS_PX, curve.colour)
    return as_pixels(sheet)


def _line(
    sheet: Bytes,
    x: Sequence[float] | NDArray[np.floating],
    y: Sequence[float] | NDArray[np.floating],
    colour: Colour,
    thickness: int = 1,
) -> None:
    """Draw a smooth line through points given in pixels."""
    points = np.rint(np.stack([np.asarray(x), np.asarray(y)], 1) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(sheet, [points], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def _legend_places(curves: Sequence[Curve], width: int) -> list[tuple[int, float]]:
    """Row and left end of each name, in as many rows as it takes."""
    places: list[tuple[int, float]] = []
    row, x = 0, float(_LEFT)
    for curve in curves:
        wide = width_of(curve.name, _LETTERS_PX) + 18
        if x + wide > width - _RIGHT and x > _LEFT:
            row, x = row + 1, float(_LEFT)
        places.append((row, x))
        x += wide
    return places
