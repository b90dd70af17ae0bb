"""Noise as a wire, and latents that are a part of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from studio.api import Latent, NodeError, Noise, Range, Seed, node


@node("random_noise", category="Sampling/Custom", instant=True, synonyms=("RandomNoise", "seed"))
def random_noise(*, seed: Seed = 0) -> Noise:
    """Begin with the noise of a seed.

    Args:
        seed: Number from which the noise is drawn; the same seed gives the same picture.
    """
    return Noise(seed)


@node(
    "disable_noise",
    category="Sampling/Custom",
    instant=True,
    synonyms=("DisableNoise", "no noise", "leftover noise"),
)
def disable_noise(*, seed: Seed = 0) -> Noise:
    """Begin with the latent as it is, which may hold noise left over by another sampler.

    Args:
        seed: Number from which solvers draw the noise they add on the way.
    """
    return Noise(seed, added=False)


@node(
    "latent_from_batch",
    category="Latent",
    synonyms=("LatentFromBatch", "Latent From Batch", "batch index", "pick"),
)
def latent_from_batch(
    latent: Latent,
    *,
    index: Annotated[int, Range(0, 4095)] = 0,
    count: Annotated[int, Range(1, 4096)] = 1,
) -> Latent:
    """Take some latents out of a batch; they are sampled with the same noise as in the whole batch.

    Args:
        latent: Batch to take from.
        index: Place of the first one, counted from 0.
        count: How many are taken.
    """
    there = len(latent.samples)
    if index + count > there:
        raise NodeError(
            f"The batch has {there} latents, counted from 0; there is no {index + count - 1}.",
            f"Take {max(1, there - index)} from index {min(index, there - 1)}.",
            socket="index",
        )
    mask = latent.noise_mask
    if mask is not None and len(mask) > 1:
        mask = mask[index : index + count]
    return replace(
        latent,
        samples=latent.samples[index : index + count],
        noise_mask=mask,
        first=latent.first + index,
        of=latent.of or there,
    )


@node(
    "repeat_latent",
    category="Latent",
    synonyms=("RepeatLatentBatch", "Repeat Latent Batch", "batch size", "variations"),
)
def repeat_latent(latent: Latent, *, times: Annotated[int, Range(1, 4096)] = 2) -> Latent:
    """Make a batch of copies of a latent, each of which is sampled with noise of its own.

    Args:
        latent: Latent to repeat.
        times: How many copies of it there are.
    """
    mask = latent.noise_mask
    if mask is not None and len(mask) > 1:
        mask = mask.repeat(times, 1, 1)
    samples = latent.samples.repeat(times, *(1,) * (latent.samples.ndim - 1))
    return replace(latent, samples=samples, noise_mask=mask, first=0, of=0)
