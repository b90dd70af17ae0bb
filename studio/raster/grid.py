"""Pictures side by side, each with its label."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studio.raster.cells import fitted
from studio.raster.text import GROUND, Pixels, card

_GAP_PX = 8
_LEAST_PX = 96


def side_by_side(tiles: Sequence[Pixels], labels: Sequence[str], columns: int = 0) -> Pixels:
    """Lay pictures out in rows, in cells of equal size, with labels below.

    Args:
        tiles: ``[H, W, 3]`` each, 0–1; smaller ones stand in the middle of their cell.
        labels: As many or fewer; empty ones leave no room where a whole row has none.
        columns: Pictures in a row; 0 makes the grid about square.

    Returns:
        ``[H, W, 3]``, 0–1.
    """
    columns = min(len(tiles), columns or math.ceil(math.sqrt(len(tiles))))
    width = max(_LEAST_PX if any(labels) else 1, *(tile.shape[1] for tile in tiles), 1)
    height = max(tile.shape[0] for tile in tiles)
    words = [*labels, *[""] * (len(tiles) - len(labels))]
    rows: list[Pixels] = []
    for begin in range(0, len(tiles), columns):
        row = tiles[begin : begin + columns]
        rows.append(_row([fitted(tile, width, height) for tile in row], width, columns))
        if any(words[begin : begin + columns]):
            rows.append(_labels(words[begin : begin + columns], width, columns))
    gap = _ground(_GAP_PX, rows[0].shape[1])
    return np.concatenate([part for row in rows for part in (gap, row)] + [gap])


def stacked(grids: Sequence[Pixels]) -> NDArray[np.float32]:
    """Put grids into one batch; labels may have made some of them higher."""
    height = max(grid.shape[0] for grid in grids)
    width = grids[0].shape[1]
    return np.stack([np.concatenate([grid, _ground(height - grid.shape[0], width)]) for grid in grids])


def _row(cells: Sequence[Pixels], width: int, columns: int) -> Pixels:
    height = max(cell.shape[0] for cell in cells)
    gap = _ground(height, _GAP_PX)
    parts = [gap]
    for index in range(columns):
        cell = cells[index] if index < len(cells) else _ground(0, width)
        below = _ground(height - cell.shape[0], width)
        parts += [np.concatenate([cell, below]), gap]
    return np.concatenate(parts, axis=1)


def _labels(words: Sequence[str], width: int, columns: int) -> Pixels:
    cards = [card(text, width, size_px=14, margin=2) for text in words]
    return _row(cards, width, columns)


def _ground(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), np.array(GROUND, np.float32) / 255, np.float32)
