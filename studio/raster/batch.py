"""Batches that meet: as many pictures of one as of the other, or one for all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.errors import NodeError
from studio.types import Mask


def check_counts(first: NDArray[Any], second: NDArray[Any], socket: str) -> None:
    """See that two batches go together.

    Raises:
        NodeError: They are of different lengths, and neither is 1.
    """
    if len(first) != len(second) and 1 not in (len(first), len(second)):
        raise NodeError(
            f"There are {len(second)} for {len(first)} pictures.",
            "Give one, or one for each picture.",
            socket=socket,
        )


def together(first: Mask, second: Mask) -> tuple[Mask, Mask]:
    """Two masks of one size and number: the second fitted to the first, single ones repeated.

    Raises:
        NodeError: Their numbers do not go together.
    """
    from studio.raster.mask import resized

    check_counts(first, second, "second")
    second = resized(second, first.shape[2], first.shape[1])
    count = max(len(first), len(second))
    return _repeated(first, count), _repeated(second, count)


def _repeated(mask: Mask, count: int) -> Mask:
    return np.repeat(mask, count, 0) if len(mask) < count else mask
