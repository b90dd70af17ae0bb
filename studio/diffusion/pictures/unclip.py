"""Stable unCLIP: what an image encoder sees, with a measured amount of noise, told beside the timestep."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from studio.diffusion.conditioning import changed, each
from studio.diffusion.files import loading
from studio.diffusion.noise import initial
from studio.errors import NodeError
from studio.models.loose import weights_at
from studio.types import Conditioning, ImageEmbeds, Model

if TYPE_CHECKING:
    from studio.context import Context

_LEVELS = 1000
_IN_FOLDER, _IN_FILE = "image_normalizer", "noise_augmentor.data_"
_SLOWEST = 10_000.0
Statistics = tuple[torch.Tensor, torch.Tensor]


def applied(
    ctx: Context,
    model: Model,
    conditioning: Conditioning,
    embeds: ImageEmbeds,
    strength: float,
    noise_level: int,
    seed: int,
) -> Conditioning:
    """Tell a picture with every entry.

    Args:
        ctx: The call's context.
        model: Whose training the statistics of pictures are of.
        conditioning: Entries to tell it with.
        embeds: What its encoder sees; the mean of several pictures.
        strength: Factor of what is told.
        noise_level: Of 1,000 levels, the one of the noise that is mixed in.
        seed: Of that noise.

    Raises:
        NodeError: The model is no unCLIP model, or the encoder is another's.
    """
    statistics = statistics_of(Path(model.recipe.path), ctx)
    pooled = embeds.pooled.mean(0, keepdim=True)
    if statistics[0].shape[-1] != pooled.shape[-1]:
        raise NodeError(
            f"The model takes pictures seen {statistics[0].shape[-1]} wide, these are {pooled.shape[-1]}.",
            "Use the image encoder that belongs to the unCLIP model.",
            socket="embeds",
        )
    noise = initial(tuple(pooled.shape), seed)
    label = noised(pooled * strength, noise_level, noise, statistics)
    return each(conditioning, lambda entry: changed(entry, hints={**entry.hints, "unclip": label}))


def noised(embeds: torch.Tensor, level: int, noise: torch.Tensor, statistics: Statistics) -> torch.Tensor:
    """What is told of a picture: ``[N, width]`` with noise, and the level as waves, ``[N, 2·width]``.

    The noise is mixed in where embeddings have mean 0 and deviation 1, along Nichol and Dhariwal's cosine
    schedule.
    """
    mean, deviation = statistics
    kept = _kept(level)
    plain = (embeds - mean) / deviation
    mixed = (plain * math.sqrt(kept) + noise * math.sqrt(1 - kept)) * deviation + mean
    waves = _waves(level, embeds.shape[-1]).expand(len(embeds), -1)
    return torch.cat([mixed, waves], dim=1)


def statistics_of(place: Path, ctx: Context) -> Statistics:
    """Mean and deviation of what the image encoder of an unCLIP model gives, ``[1, width]`` each.

    Raises:
        NodeError: The model has none.
        FileError: It cannot be read.
    """
    ctx.check()
    names = ("mean", "std")
    if place.is_dir():
        found = loading.mapped(weights_at(place / _IN_FOLDER))
    else:
        found = loading.mapped([place], _IN_FILE)
    if not all(name in found for name in names):
        raise NodeError(
            "The model is not told pictures: it has no statistics of them.",
            "Use a Stable Diffusion 2.1 unCLIP model.",
            socket="model",
        )
    mean, deviation = (found[name].float().reshape(1, -1).clone() for name in names)
    return mean, deviation


def _kept(level: int) -> float:
    """Part of the picture's variance that is left at a level."""

    def bar(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    left = 1.0
    for step in range(level + 1):
        left *= 1 - min(1 - bar((step + 1) / _LEVELS) / bar(step / _LEVELS), 0.999)
    return left


def _waves(level: int, width: int) -> torch.Tensor:
    """Cosines, then sines of the level at falling frequencies, ``[1, width]``."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(_SLOWEST) / half))
    angles = level * frequencies
    return torch.cat([angles.cos(), angles.sin()])[None]
