"""A control network as its file describes it, whatever model it is made for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from studio.models.transformer_keys import Piece
from studio.types import Json

Shapes = Mapping[str, tuple[int, ...]]
Kind = Literal["controlnet", "union", "t2i", "sd3", "flux"]
UNION_KINDS: Mapping[str, int] = {
    "pose": 0,
    "depth": 1,
    "soft_edge": 2,
    "line": 3,
    "normal": 4,
    "segments": 5,
    "tile": 6,
    "repaint": 7,
}
"""What a picture shows, as the union ControlNets of SDXL number it."""
FLUX_KINDS: Mapping[str, int] = {
    "line": 0,
    "tile": 1,
    "depth": 2,
    "blur": 3,
    "pose": 4,
    "grey": 5,
    "low_quality": 6,
}
"""What a picture shows, as the union ControlNets of Flux number it."""


@dataclass(frozen=True, slots=True)
class ControlPlan:
    """A control network as its file describes it.

    Attributes:
        kind: ``controlnet`` (of a UNet), ``union`` (of a UNet, for several kinds of picture), ``t2i``
            (T2I-Adapter), ``sd3``, ``flux``.
        width: Of the tokens it is told beside the picture; 0 where it is told none.
        config: Arguments of the network's class in diffusers.
        names: The network's name of a weight → the file's.
        kinds: Kinds of picture it tells apart; 0 where it takes one.
        pieces: The network's name of a weight → where it lies, if it is a part of a tensor.
    """

    kind: Kind
    width: int
    config: Mapping[str, Json]
    names: Mapping[str, str]
    kinds: int = 0
    pieces: Mapping[str, Piece] = field(default_factory=dict[str, Piece])


def hint_layer(index: int, last: int) -> str:
    """Diffusers' name of a convolution of the hint, from its place in the first implementation's list."""
    if index == 0:
        return "conv_in"
    return "conv_out" if index == last else f"blocks.{index // 2 - 1}"


def count(names: Iterable[str], pattern: str, step: int = 1) -> int:
    """How many numbered parts there are, from 0 by `step`; those of a name of absurd length count none."""
    numbers = {int(match[1]) for name in names if (match := re.match(pattern, name)) and len(match[1]) < 4}
    count = 0
    while count * step in numbers:
        count += 1
    return count
