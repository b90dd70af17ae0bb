"""Prompts to conditioning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from studio.diffusion.conditioning import entry
from studio.types import Conditioning, TextEncoder

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import TextNetwork, Tokenizer


def encode(text_encoder: TextEncoder, text: str, ctx: Context) -> Conditioning:
    """Encode a text of any length: chunks that fit the encoder's window are encoded apart and joined.

    Raises:
        NodeError: The text encoder's files have gone or do not fit.
        Cancelled: Between layers.
    """
    with ctx.weights.use(ctx, text_encoder.recipe) as encoder, torch.inference_mode():
        outputs = {name: _encoded(network, text) for name, network in encoder.networks.items()}
        embedded, pooled = encoder.join(outputs)
    return Conditioning((entry(embedded.clone(), None if pooled is None else pooled.clone()),))


def _encoded(network: TextNetwork, text: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    embedded, pooled = network.encode(chunks(network.tokenizer, text), skip=None, embeddings={})
    return embedded.reshape(1, -1, embedded.shape[-1]), None if pooled is None else pooled[:1]


def chunks(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    """Ids in chunks of the tokenizer's window, each with begin and end, the last one padded."""
    ids = tokenizer.tokens(text)
    begin = [] if tokenizer.begin is None else [tokenizer.begin]
    room = tokenizer.window - 1 - len(begin)
    parts = [ids[start : start + room] for start in range(0, len(ids), room)] or [[]]
    filled = [[*begin, *part, tokenizer.end] for part in parts]
    return [part + [tokenizer.pad] * (tokenizer.window - len(part)) for part in filled]
