"""A node with a past, and a kind of knob that only this package's editor knows."""

from typing import Annotated

import numpy as np

from studio.api import Image, Json, Knob, Range, Seed, node

EVEN: list[float] = [0.0, 0.5, 1.0]


@node("stripes", category="Acme/Patterns", version=3, synonyms=("bars",))
def stripes(
    *,
    width: Annotated[int, Range(1, 4096)] = 64,
    height: Annotated[int, Range(1, 4096)] = 64,
    turns: Annotated[float, Range(0, 1)] = 0.0,
    curve: Annotated[list[float], Knob("acme/curve", {"points": 3})] = EVEN,
    grain: Seed = 0,
) -> Image:
    """Draw grey stripes.

    Args:
        width: Pixels across.
        height: Pixels down.
        turns: How far the stripes are turned, in whole turns.
        curve: Brightness at the beginning, middle and end of a stripe.
        grain: Seed of the film grain.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = 2 * np.pi * turns
    place = ((x * np.cos(angle) + y * np.sin(angle)) / 16) % 1
    grey = np.interp(place, np.linspace(0, 1, len(curve)), curve)
    grey += np.random.default_rng(grain).normal(0, 0.01, grey.shape)
    return np.repeat(np.clip(grey, 0, 1)[None, :, :, None], 3, axis=3).astype(np.float32)


@stripes.upgrade(1)
def size_was_one_number(params: dict[str, Json]) -> dict[str, Json]:
    """Version 1 drew squares."""
    size = params.pop("size", 64)
    return {**params, "width": size, "height": size}


@stripes.upgrade(2)
def angle_was_in_degrees(params: dict[str, Json]) -> dict[str, Json]:
    """Version 2 had degrees."""
    degrees = params.pop("angle", 0.0)
    assert isinstance(degrees, int | float)
    return {**params, "turns": degrees / 360 % 1}
