"""How much memory a network will take, known before it is loaded or run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from studio.models.gguf_header import is_gguf, read_gguf
from studio.models.header import read_header
from studio.models.kinds import PRECISIONS
from studio.models.loose import weights_at
from studio.models.recognise import kind_at

if TYPE_CHECKING:
    from studio.models.header import TensorPlace
    from studio.types import Recipe

_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def recipe_bytes(recipe: Recipe, dtype: str) -> int:
    """Bytes that a network's weights will take in a number format; without its members'.

    Args:
        recipe: Of the network.
        dtype: As torch calls it.
    """
    place = Path(recipe.path)
    if not recipe.path or not place.exists():
        return 0
    kind = kind_at(place)
    within = kind.parts.get(recipe.part, "") if kind is not None else ""
    folder = place / within if place.is_dir() else place
    prefix = within if place.is_file() else ""
    if is_gguf(place):
        return sum(
            _packed_bytes(tensor, dtype)
            for name, tensor in read_gguf(place).header.tensors.items()
            if name.startswith(prefix)
        )
    if place.is_dir() and not folder.is_dir():
        folder = place
    return sum(
        math.prod(tensor.shape) * _ITEM_BYTES[dtype]
        for file in weights_at(folder)
        for name, tensor in read_header(file).tensors.items()
        if name.startswith(prefix)
    )


def _packed_bytes(tensor: TensorPlace, dtype: str) -> int:
    """Matrices stay packed as they are in their file; all else is unpacked."""
    if len(tensor.shape) == 2 and tensor.dtype not in PRECISIONS:
        return tensor.end - tensor.begin
    return math.prod(tensor.shape) * _ITEM_BYTES[dtype]
