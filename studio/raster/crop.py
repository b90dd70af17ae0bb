"""Pictures cut out, put back, laid over one another and widened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studio.raster import mask as masks
from studio.types import Image, Mask


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.left, self.left + self.width)


def around(mask: Mask, padding: int, multiple: int, square: bool) -> Box | None:
    """The box around all that a batch of masks marks; None where they mark nothing.

    Args:
        mask: ``[N, H, W]``; what is above 0 counts.
        padding: Pixels added on every side.
        multiple: Width and height become multiples of this, where the picture is large enough.
        square: Widen the shorter side to the longer one, as far as the picture reaches.
    """
    found = masks.box_of(mask)
    if found is None:
        return None
    left, top, right, bottom = found
    rows, columns = mask.shape[1:]
    wide, high = right - left + 2 * padding, bottom - top + 2 * padding
    if square:
        wide = high = max(wide, high)
    left, wide = _placed(left + right, wide, columns, multiple)
    top, high = _placed(top + bottom, high, rows, multiple)
    return Box(left, top, wide, high)


def _placed(twice_middle: int, size: int, limit: int, multiple: int) -> tuple[int, int]:
    """Begin and size of a span about a middle, within the picture."""
    size = -(-size // multiple) * multiple
    if size > limit:
        size = max(limit // multiple * multiple, min(limit, multiple))
    begin = (twice_middle - size) // 2
    return min(max(0, begin), limit - size), size


def composite(below: Image, above: Image, mask: Mask | None, left: int, top: int) -> Image:
    """Lay a picture over another, as far as its alpha and the mask let it be seen.

    Args:
        below: ``[N or 1, H, W, C]``; gives size and channels of the result.
        above: ``[N or 1, h, w, 3 or 4]``; what reaches over the border is cut off.
        mask: ``[N or 1, h, w]``, fitted to `above`; 1 = `above` is seen. None = all of it.
        left: Where the left border of `above` comes to lie; may be negative.
        top: Where its upper border comes to lie; may be negative.
    """
    height, width = above.shape[1:3]
    seen = above[..., 3:] if above.shape[3] == 4 else np.ones((1, height, width, 1), np.float32)
    if mask is not None:
        seen = seen * masks.resized(mask, width, height)[..., None]
    count = max(len(below), len(above), len(seen))
    result = np.repeat(below, count, 0) if len(below) < count else below.copy()
    rows = slice(max(0, top), max(0, min(below.shape[1], top + height)))
    columns = slice(max(0, left), max(0, min(below.shape[2], left + width)))
    here = (slice(None), slice(rows.start - top, rows.stop - top))
    here = (*here, slice(columns.start - left, columns.stop - left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return result
    _lay(result[:, rows, columns], above[here], seen[here])
    return result


def _lay(below: NDArray[np.float32], above: NDArray[np.float32], seen: NDArray[np.float32]) -> None:
    """Write `above` over `below`, which is our own: the usual “over” of colours with alpha."""
    if below.shape[3] == 3:
        below += seen * (above[..., :3] - below)
        return
    alpha = below[..., 3:]
    total = seen + alpha * (1 - seen)
    colours = seen * above[..., :3] + alpha * (1 - seen) * below[..., :3]
    below[..., :3] = np.where(total > 0, colours / np.maximum(total, 1e-12), below[..., :3]).clip(0, 1)
    below[..., 3:] = total


def widened(image: Image, sides: tuple[int, int, int, int], feather: int, fill: str) -> tuple[Image, Mask]:
    """Add room around a picture, with a mask of what is to be painted there.

    Args:
        image: ``[N, H, W, C]``.
        sides: Pixels added left, above, right, below.
        feather: Width of the slope by which the mask reaches into the picture from each widened side:
            the square of the way to its end.
        fill: What stands in the new room: ``grey``, ``edge`` (the border's colours drawn out) or
            ``mirror``.

    Returns:
        The larger picture, opaque in its new room, and a mask ``[1, H, W]``.
    """
    left, above, right, below = sides
    room = ((0, 0), (above, below), (left, right), (0, 0))
    if fill == "grey":
        wide = np.pad(image, room, constant_values=0.5)
        if image.shape[3] == 4:
            wide[..., 3] = np.pad(image[..., 3], room[:3], constant_values=1.0)
    else:
        wide = np.pad(image, room, mode="edge" if fill == "edge" else "reflect")
    rows, columns = image.shape[1:3]
    y = _to_new(rows, above, below)[:, None]
    x = _to_new(columns, left, right)
    slope = (1 - np.minimum(y, x) / max(feather, 1)).clip(0, 1) ** 2
    inner = slope if feather else np.zeros((rows, columns))
    mask = np.ones((1, rows + above + below, columns + left + right), np.float32)
    mask[0, above : above + rows, left : left + columns] = inner
    return wide, mask


def _to_new(size: int, before: int, after: int) -> NDArray[np.float64]:
    """Pixels from each place of a side to the nearer widened end."""
    place = np.arange(size, dtype=np.float64)
    begin = place if before else np.full(size, np.inf)
    end = size - place if after else np.full(size, np.inf)
    return np.minimum(begin, end)
