"""Prompts to conditioning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from studio.cache import codec
from studio.types import Conditioning, ConditioningEntry, TextEncoder

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Encoder


def encode(text_encoder: TextEncoder, text: str, ctx: Context) -> Conditioning:
    """Encode a text of any length: chunks that fit the encoder's window are encoded apart and joined.

    Raises:
        NodeError: The text encoder's files have gone or do not fit.
        Cancelled: Between layers.
    """
    with ctx.weights.use(ctx, text_encoder.recipe) as encoder, torch.inference_mode():
        embedded, pooled = encoder.encode(chunks(encoder, text))
    embedded = embedded.reshape(1, -1, embedded.shape[-1]).clone()
    first = None if pooled is None else pooled[:1].clone()
    digest = codec.digest([embedded.numpy(), None if first is None else first.numpy()])
    return Conditioning((ConditioningEntry(embedded, digest, first),))


def chunks(encoder: Encoder, text: str) -> list[list[int]]:
    """Ids in chunks of the encoder's window, each with begin and end, the last one padded."""
    ids = encoder.tokens(text)
    room = encoder.window - 2
    parts = [ids[start : start + room] for start in range(0, len(ids), room)] or [[]]
    filled = [[encoder.begin, *part, encoder.end] for part in parts]
    return [part + [encoder.pad] * (encoder.window - len(part)) for part in filled]
