"""Two prompts made into one: averaged, or one behind the other."""

from __future__ import annotations

import torch

from studio.diffusion.conditioning import changed, each
from studio.errors import NodeError
from studio.types import Conditioning, ConditioningEntry


def average(first: Conditioning, second: Conditioning, weight: float) -> Conditioning:
    """Mix every entry of `first` with the one of `second`: first · weight + second · (1 − weight).

    The second is cut, or filled with zeros, to the length of the first, as other tools do; pooled embeddings
    are mixed alike where both have them.

    Raises:
        NodeError: The second has several entries, or both are of different models.
    """
    other = _single(second)

    def mix(old: ConditioningEntry) -> ConditioningEntry:
        _check_width(old, other)
        length = old.embeddings.shape[1]
        fitted = torch.zeros_like(old.embeddings)
        fitted[:, : other.embeddings.shape[1]] = other.embeddings[:, :length]
        pooled = old.pooled
        if pooled is not None and other.pooled is not None:
            pooled = torch.lerp(other.pooled, pooled, weight)
        return changed(old, embeddings=torch.lerp(fitted, old.embeddings, weight), pooled=pooled)

    return each(first, mix)


def concatenate(first: Conditioning, second: Conditioning) -> Conditioning:
    """Put the tokens of the one entry of `second` behind those of every entry of `first`.

    Raises:
        NodeError: The second has several entries, or both are of different models.
    """
    other = _single(second)

    def extend(old: ConditioningEntry) -> ConditioningEntry:
        _check_width(old, other)
        return changed(old, embeddings=torch.cat([old.embeddings, other.embeddings], dim=1))

    return each(first, extend)


def _single(conditioning: Conditioning) -> ConditioningEntry:
    if len(conditioning.entries) != 1:
        raise NodeError(
            f"The second conditioning holds {len(conditioning.entries)} prompts, of which one can be taken.",
            "Give it a prompt that was not combined, without words that change on the way.",
            socket="second",
        )
    return conditioning.entries[0]


def _check_width(first: ConditioningEntry, second: ConditioningEntry) -> None:
    widths = first.embeddings.shape[-1], second.embeddings.shape[-1]
    if widths[0] != widths[1] or (
        first.pooled is not None and second.pooled is not None and first.pooled.shape != second.pooled.shape
    ):
        raise NodeError(
            f"The two prompts were encoded for different models: {widths[0]} and {widths[1]} wide.",
            "Encode both with the same text encoder.",
            socket="second",
        )
