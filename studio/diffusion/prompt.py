"""Prompts to conditioning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from studio.diffusion.conditioning import entry
from studio.diffusion.prompt_chunks import Chunk, chunks, empty
from studio.diffusion.prompt_reading import Reading
from studio.types import Conditioning, TextEncoder

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import TextNetwork

Encoded = tuple[torch.Tensor, torch.Tensor | None]


def encode(
    text_encoder: TextEncoder,
    text: str,
    ctx: Context,
    *,
    reading: Reading = "comfyui",
    skip: int | None = None,
) -> Conditioning:
    """Encode a text of any length.

    Args:
        text_encoder: Whose networks encode it, each with its own tokenizer.
        text: The prompt.
        ctx: The call's context.
        reading: What weights and brackets mean.
        skip: Layers left out at the end of CLIP; None as the model wants it.

    Raises:
        NodeError: The text encoder's files have gone or do not fit.
        Cancelled: Between layers.
    """
    with ctx.weights.use(ctx, text_encoder.recipe) as encoder, torch.inference_mode():
        read = {name: chunks(text, network.tokenizer, reading) for name, network in encoder.networks.items()}
        outputs = {
            name: weighted(network, read[name], reading, skip) for name, network in encoder.networks.items()
        }
        embedded, pooled = encoder.join(outputs)
    return Conditioning((entry(embedded.clone(), None if pooled is None else pooled.clone()),))


def weighted(
    network: TextNetwork,
    read: Sequence[Chunk],
    reading: Reading,
    skip: int | None,
    embeddings: Mapping[int, torch.Tensor] | None = None,
) -> Encoded:
    """Encode chunks apart, let their weights act on what comes out, and put it in a row.

    In ComfyUI's reading, z ← (z − z∅)·w + z∅ at each token, where z∅ is what the empty prompt gives there;
    in A1111's, z ← z·w, each chunk then brought back to the mean it had.

    Args:
        network: Encodes.
        read: Chunks of equal length.
        reading: Whose rule the weights follow.
        skip: See `encode`.
        embeddings: Vectors of ids below zero.

    Returns:
        ``[1, tokens, width]``, and the first chunk's pooled ``[1, width]`` where the network has one.
    """
    rows = [[token for token, _ in chunk] for chunk in read]
    weights = torch.tensor([[weight for _, weight in chunk] for chunk in read])
    plain = bool((weights == 1).all())
    if not plain and reading == "comfyui":
        rows.append(empty(network.tokenizer, len(rows[0])))
    hidden, pooled = network.encode(rows, skip=skip, embeddings=embeddings or {})
    if not plain and reading == "comfyui":
        hidden, nothing = hidden[:-1], hidden[-1:]
        # Plain tokens stay as they are, to the last bit.
        moved = (hidden - nothing) * weights[..., None] + nothing
        hidden = torch.where(weights[..., None] == 1, hidden, moved)
    elif not plain:
        scaled = hidden * weights[..., None]
        before, after = (z.mean(dim=(1, 2), keepdim=True) for z in (hidden, scaled))
        hidden = scaled * torch.where(after == 0, 1.0, before / after)
    return hidden.reshape(1, -1, hidden.shape[-1]), None if pooled is None else pooled[:1]
