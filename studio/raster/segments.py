"""What a picture shows, by number and by name."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from studio.errors import NodeError

_LEAST = 0.001


def chosen(things: str, labels: Mapping[int, str]) -> list[int]:
    """Numbers of the things that a text names, with commas between; case and synonyms of a label count alike.

    Raises:
        NodeError: The model knows no such thing.
    """
    names = {
        number: {part.strip().lower() for part in re.split("[,;]", name)} for number, name in labels.items()
    }
    found: list[int] = []
    for thing in filter(None, (part.strip() for part in things.split(","))):
        fitting = [number for number, known in names.items() if thing.lower() in known]
        if not fitting:
            near = [name for name in labels.values() if thing.lower() in name.lower()]
            some = ", ".join((near or list(labels.values()))[:12])
            raise NodeError(
                f"The model knows no “{thing}”.", f"It knows, among others: {some}.", socket="things"
            )
        found += fitting
    return found


def found_in(numbers: NDArray[np.int64], labels: Mapping[int, str]) -> str:
    """What takes more than a thousandth of the pictures, largest first, one in a line."""
    kinds, counts = np.unique(numbers, return_counts=True)
    parts = sorted(zip((counts / numbers.size).tolist(), kinds.tolist(), strict=True), reverse=True)
    return "\n".join(
        f"{labels.get(kind, str(kind))}: {share:.1%}" for share, kind in parts if share >= _LEAST
    )
