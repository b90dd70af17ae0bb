"""What is done to latents without any network: other sizes, single channels, numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn.functional import interpolate

from studio.errors import NodeError
from studio.types import Latent


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the values of one channel, or of all."""

    mean: float
    deviation: float
    minimum: float
    maximum: float


def resized(latent: Latent, rows: int, columns: int, method: str) -> Latent:
    """Return a latent of `rows` × `columns`, its noise mask with it.

    Args:
        latent: Any family's; of a film, every frame.
        rows: New height in latent pixels.
        columns: New width in latent pixels.
        method: ``bicubic``, ``bilinear``, ``area`` (the mean of what falls together) or ``nearest``.
    """
    samples = latent.samples
    planes = samples.flatten(0, 2)[:, None] if samples.ndim == 5 else samples
    smooth = {"antialias": True} if method in ("bicubic", "bilinear") else {}
    planes = interpolate(planes, size=(rows, columns), mode=method, **smooth)
    mask = latent.noise_mask
    if mask is not None:
        mask = interpolate(mask[:, None], size=(rows, columns), mode="bilinear")[:, 0]
    return replace(latent, samples=planes.reshape(*samples.shape[:-2], rows, columns), noise_mask=mask)


def edited(latent: Latent, channel: int, change: str, amount: float, other: int) -> Latent:
    """Return a latent with one channel changed.

    Args:
        latent: Any family's.
        channel: Which, counted from 0.
        change: ``scale`` (times `amount`), ``offset`` (plus `amount`), ``zero``, ``swap`` (with `other`),
            ``copy`` (from `other`).
        amount: See `change`.
        other: See `change`.

    Raises:
        NodeError: There is no such channel.
    """
    wanted = (
        [("channel", channel), ("other", other)] if change in ("swap", "copy") else [("channel", channel)]
    )
    for socket, number in wanted:
        if number >= latent.channels:
            raise NodeError(
                f"The latent has no channel {number}: it has {latent.channels}, counted from 0.",
                f"Set it to {latent.channels - 1} or less.",
                socket=socket,
            )
    samples = latent.samples.clone()
    if change == "scale":
        samples[:, channel] *= amount
    elif change == "offset":
        samples[:, channel] += amount
    elif change == "zero":
        samples[:, channel] = 0
    else:
        samples[:, channel] = latent.samples[:, other]
        if change == "swap":
            samples[:, other] = latent.samples[:, channel]
    return replace(latent, samples=samples, blank=False)


def statistics(latent: Latent) -> tuple[Statistics, list[Statistics]]:
    """Of all values of a batch, and of each channel's."""
    channels = [latent.samples[:, index] for index in range(latent.channels)]
    return _of(latent.samples), [_of(values) for values in channels]


def _of(values: torch.Tensor) -> Statistics:
    deviation, mean = torch.std_mean(values.double(), correction=0)
    return Statistics(float(mean), float(deviation), float(values.min()), float(values.max()))
