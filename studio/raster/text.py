"""Words in pictures: cards with a ground of their own, so that they can be read wherever they are shown."""

from __future__ import annotations

import functools
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]
GROUND: Colour = (24, 26, 30)
INK: Colour = (232, 234, 237)
FAINT: Colour = (140, 146, 156)
_LINES = 400
_MAX_CHARS = 20_000
_WEIGHT = 400


@functools.cache
def _font() -> Any:
    """OpenCV's own font: Latin, Greek, Cyrillic and Chinese letters, wherever the program runs."""
    return cast("Any", cv2).FontFace("sans")


def width_of(text: str, size_px: int) -> int:
    """Width of a text in pixels; blanks at its end count for nothing."""
    left, _, wide, _ = cast("Any", cv2).getTextSize((1, 1), text, (0, 0), _font(), size_px, _WEIGHT)
    return int(left + wide)


def write(sheet: Bytes, text: str, left: float, baseline: float, size_px: int, ink: Colour) -> None:
    """Write a line of text onto ``[H, W, 3]``, of which it changes the pixels."""
    cast("Any", cv2).putText(sheet, text, (round(left), round(baseline)), ink, _font(), size_px, _WEIGHT)


def sheet_of(height: int, width: int, ground: Colour = GROUND) -> Bytes:
    """An empty ground to draw on, ``[H, W, 3]``."""
    return np.full((height, width, 3), np.array(ground, np.uint8), np.uint8)


def wrapped(text: str, width_px: int, size_px: int) -> list[str]:
    """Break a text into lines of at most `width_px`, between words where there are any."""
    lines: list[str] = []
    for paragraph in text[:_MAX_CHARS].expandtabs(4).splitlines() or [""]:
        indent = paragraph[: len(paragraph) - len(paragraph.lstrip())]
        line, empty = indent, True
        for word in paragraph.split():
            longer = line + word if empty else f"{line} {word}"
            if not empty and _too_wide(longer, width_px, size_px):
                lines.append(line)
                longer = indent + word
            line, empty = longer, False
            while len(line) > 1 and _too_wide(line, width_px, size_px):
                fits = _fitting(line, width_px, size_px)
                lines.append(line[:fits])
                line = line[fits:]
        lines.append(line)
    return lines if len(lines) <= _LINES else [*lines[:_LINES], "…"]


def _too_wide(line: str, width_px: int, size_px: int) -> bool:
    # A letter takes two pixels at least, and measuring takes as long as a text is.
    return len(line) > max(1, width_px // 2) or width_of(line, size_px) > width_px


def _fitting(word: str, width_px: int, size_px: int) -> int:
    """How many letters of a word go into a line; at least one."""
    low, high = 1, max(1, min(len(word) - 1, width_px // 2))
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(word[:middle], size_px) <= width_px:
            low = middle
        else:
            high = middle - 1
    return low


def card(text: str, width: int, *, size_px: int = 15, margin: int = 10) -> Pixels:
    """Write a text on a ground, as high as it needs.

    Args:
        text: Broken into lines where it is too wide.
        width: Of the card in pixels.
        size_px: Of the letters.
        margin: Pixels around the text.

    Returns:
        ``[H, width, 3]``, 0–1.
    """
    lines = wrapped(text, max(1, width - 2 * margin), size_px)
    step = round(size_px * 1.4)
    sheet = sheet_of(step * len(lines) + 2 * margin, width)
    for index, line in enumerate(lines):
        write(sheet, line, margin, margin + step * index + size_px, size_px, INK)
    return as_pixels(sheet)


def as_pixels(sheet: Bytes) -> Pixels:
    """Bytes as 0–1."""
    return sheet.astype(np.float32) / np.float32(255)
