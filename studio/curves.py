"""Curves over steps, drawn as a picture with axes that can be read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a200")
"""Of the curves, in order and over again: colours that stay apart for those who see few."""
_PAPER, _INK, _GRID = "#ffffff", "#1f1f1f", "#dcdcdc"
_TEXT_PX = 14
_LINES = 6


def drawn(
    curves: Sequence[Sequence[float]],
    *,
    width: int,
    height: int,
    across: str,
    up: str,
    names: Sequence[str] = (),
    logarithmic: bool = False,
) -> NDArray[np.float32]:
    """Draw curves over 0, 1, 2, …, each value as a dot.

    Args:
        curves: Values, none below 0; at least one curve with a value.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        across: Name of the axis of steps.
        up: Name of the axis of values.
        names: Of the curves, for a legend; none are told where this is empty.
        logarithmic: Decades take equal room; values of 0 are left out.

    Returns:
        float32 ``[1, height, width, 3]``, 0–1.
    """
    picture = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT_PX)
    ticks = _decades(curves) if logarithmic else _even(max(max(curve) for curve in curves))
    steps = max(1, max(len(curve) for curve in curves) - 1)
    labels = [f"{tick:.6g}" for tick in ticks]
    left = 2 * _TEXT_PX + int(max(pen.textlength(label, font) for label in labels))
    box = (left, 2 * _TEXT_PX, max(width - _TEXT_PX, left + 1), max(height - 3 * _TEXT_PX, 2 * _TEXT_PX + 1))

    def x_of(step: float) -> float:
        return box[0] + (box[2] - box[0]) * step / steps

    def y_of(value: float) -> float:
        low, high, at = (math.log(item) if logarithmic else item for item in (ticks[0], ticks[-1], value))
        return box[3] - (box[3] - box[1]) * (at - low) / (high - low)

    for tick, label in zip(ticks, labels, strict=True):
        pen.line([(box[0], y_of(tick)), (box[2], y_of(tick))], _GRID)
        pen.text((box[0] - 6, y_of(tick)), label, _INK, font, anchor="rm")
    for step in range(0, steps + 1, max(1, math.ceil(steps / 12))):
        pen.line([(x_of(step), box[1]), (x_of(step), box[3])], _GRID)
        pen.text((x_of(step), box[3] + 6), str(step), _INK, font, anchor="mt")
    pen.line([(box[0], box[1]), (box[0], box[3]), (box[2], box[3])], _INK)
    pen.text((6, 6), up, _INK, font)
    pen.text((box[2], height - 6), across, _INK, font, anchor="rb")
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        shown = [(x_of(k), y_of(value)) for k, value in enumerate(curve) if value > 0 or not logarithmic]
        pen.line(shown, colour, 2, joint="curve")
        for x, y in shown:
            pen.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), colour)
    for index, name in enumerate(names):
        place = (box[2] - 6, box[1] + 6 + index * (_TEXT_PX + 6))
        pen.text(place, name, COLOURS[index % len(COLOURS)], font, anchor="rt")
    return np.asarray(picture, dtype=np.float32)[None] / np.float32(255)


def _even(highest: float) -> list[float]:
    """Round values from 0 to at least the highest, evenly spread."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / _LINES
    size = 10.0 ** math.floor(math.log10(rough))
    stride = next(part * size for part in (1, 2, 2.5, 5, 10) if part * size >= rough)
    return [index * stride for index in range(math.ceil(highest / stride - 1e-9) + 1)]


def _decades(curves: Sequence[Sequence[float]]) -> list[float]:
    """Powers of ten around all values above 0."""
    values = [value for curve in curves for value in curve if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]
