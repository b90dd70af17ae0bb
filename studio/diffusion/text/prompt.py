"""Prompts to conditioning."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from studio.diffusion.conditioning import changed, entry
from studio.diffusion.text.chunks import Chunk, chunks, embeddings_named, empty
from studio.diffusion.text.embeddings import Embeddings
from studio.diffusion.text.reading import Reading, together
from studio.diffusion.text.schedule import schedule
from studio.errors import NodeError
from studio.types import Conditioning, ConditioningEntry, TextEncoder

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Encoder, TextNetwork
    from studio.types import Json

Encoded = tuple[torch.Tensor, torch.Tensor | None]
Texts = str | Mapping[str, str]
"""What networks are told: one text for all, or one by name of the network (``l``, ``g``, ``h``, ``t5``)."""
DEFAULT_STEPS = 20
AT_ONCE = 16
"""Chunks that are encoded in one call: a prompt of any length takes no more memory than these."""


def encode(
    text_encoder: TextEncoder,
    text: Texts,
    ctx: Context,
    *,
    reading: Reading = "comfyui",
    skip: int | None = None,
    steps: int = DEFAULT_STEPS,
    extra: Mapping[str, Json] | None = None,
) -> Conditioning:
    """Encode a text of any length: one entry, or in A1111's reading one for each range with its own words.

    Prompts that ``AND`` parts there become entries that act side by side, each with its weight.

    Args:
        text_encoder: Whose networks encode it, each with its own tokenizer.
        text: The prompt.
        ctx: The call's context.
        reading: What weights and brackets mean.
        skip: Layers left out at the end of CLIP; None as the model wants it.
        steps: Of the sampler, for words that come or go at a step.
        extra: What the family is told besides.

    Raises:
        NodeError: The text encoder's files have gone or do not fit; an embedding is missing or does not;
            a weight is no number above 0.
        Cancelled: Between layers.
    """
    if reading == "a1111" and isinstance(text, str) and len(parts := together(text)) > 1:
        told = [
            (encode(text_encoder, words, ctx, reading=reading, skip=skip, steps=steps, extra=extra), strength)
            for words, strength in parts
        ]
        return Conditioning(
            tuple(_weighing(old, strength) for made, strength in told for old in made.entries)
        )
    with ctx.weights.use(ctx, text_encoder.recipe) as encoder, torch.inference_mode():
        texts = {name: text if isinstance(text, str) else text.get(name, "") for name in encoder.networks}
        encoding = _Encoding(encoder, texts, reading, skip, ctx)
        ranges = [(span, tuple(told.items())) for span, told in _scheduled(texts, reading, steps)]
        encoded = {told: encoding(dict(told)) for told in dict.fromkeys(told for _, told in ranges)}
    # Outside of inference mode, so that what comes out may be used for training, too.
    entries = {
        told: entry(embedded.clone(), None if pooled is None else pooled.clone(), extra)
        for told, (embedded, pooled) in encoded.items()
    }
    return Conditioning(tuple(replace(entries[told], span=span) for span, told in ranges))


def _weighing(old: ConditioningEntry, strength: float) -> ConditioningEntry:
    if strength <= 0:
        raise NodeError(
            f"A prompt beside AND weighs {strength:g}; it must weigh more than 0.",
            "Move what should not be there to the negative prompt.",
            socket="text",
        )
    return changed(old, strength=strength)


def count(
    text_encoder: TextEncoder, text: str, ctx: Context, reading: Reading = "comfyui"
) -> tuple[int, int]:
    """Tokens of a prompt without begin, end and padding, and chunks, of the network that needs most."""
    with ctx.weights.use(ctx, text_encoder.recipe) as encoder:
        encoding = _Encoding(encoder, dict.fromkeys(encoder.networks, text), reading, None, ctx)
        found: list[tuple[int, int]] = []
        for span, told in _scheduled(dict.fromkeys(encoder.networks, text), reading, DEFAULT_STEPS):
            del span
            for name, read in encoding.read(told).items():
                tokenizer = encoder.networks[name].tokenizer
                besides = {tokenizer.begin, tokenizer.end, tokenizer.pad}
                found.append((sum(token not in besides for chunk in read for token, _ in chunk), len(read)))
    return max(found)


def _scheduled(
    texts: Mapping[str, str], reading: Reading, steps: int
) -> Iterator[tuple[tuple[float, float], dict[str, str]]]:
    """Ranges of the trajectory with what each network is told in them."""
    if reading != "a1111":
        yield (0.0, 1.0), dict(texts)
        return
    told = {name: schedule(text, steps) for name, text in texts.items()}
    edges = sorted({edge for ranges in told.values() for span, _ in ranges for edge in span})
    for start, end in itertools.pairwise(edges):
        words = {
            name: next(said for (_, stop), said in ranges if start < stop) for name, ranges in told.items()
        }
        yield (start, end), words


class _Encoding:
    """An encoder with the embeddings that its prompt names."""

    def __init__(
        self, encoder: Encoder, texts: Mapping[str, str], reading: Reading, skip: int | None, ctx: Context
    ) -> None:
        self._encoder, self._skip = encoder, skip
        self._reading: Reading = reading
        self._named: dict[str, tuple[str, ...]] = {}
        self._embeddings: dict[str, Embeddings] = {}
        for name, network in encoder.networks.items():
            known = embeddings_named(texts[name], reading)
            self._named[name] = tuple(known)
            most = network.tokenizer.window - 2
            self._embeddings[name] = Embeddings(name, network.width, most, known, ctx.check)

    def read(self, texts: Mapping[str, str]) -> dict[str, list[Chunk]]:
        """Chunks for each network."""
        return {
            name: chunks(
                texts[name],
                network.tokenizer,
                self._reading,
                self._embeddings[name].find,
                self._named[name],
            )
            for name, network in self._encoder.networks.items()
        }

    def __call__(self, texts: Mapping[str, str]) -> Encoded:
        networks = self._encoder.networks
        read = self.read(texts)
        outputs: dict[str, Encoded] = {}
        for name, network in networks.items():
            tokenizer = network.tokenizer
            alike = (
                len(read[other])
                for other in networks
                if tokenizer.least == tokenizer.window == networks[other].tokenizer.window
            )
            nothing = [(token, 1.0) for token in empty(tokenizer)]
            filled = read[name] + [nothing] * (max(alike, default=0) - len(read[name]))
            outputs[name] = weighted(
                network, filled, self._reading, self._skip, self._embeddings[name].vectors
            )
        return self._encoder.join(outputs)


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

    Raises:
        NodeError: A weight is infinite or no number.
    """
    rows = [[token for token, _ in chunk] for chunk in read]
    weights = torch.tensor([[weight for _, weight in chunk] for chunk in read])
    if not bool(torch.isfinite(weights).all()):
        raise NodeError(
            "A weight in the prompt is infinite, or no number.", "Write it as in (word:1.2).", socket="text"
        )
    plain = bool((weights == 1).all())
    if not plain and reading == "comfyui":
        rows.append(empty(network.tokenizer, len(rows[0])))
    parts = [
        network.encode(rows[start : start + AT_ONCE], skip=skip, embeddings=embeddings or {})
        for start in range(0, len(rows), AT_ONCE)
    ]
    hidden, pooled = torch.cat([part[0] for part in parts]), parts[0][1]
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
