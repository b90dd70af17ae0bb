"""A node that shows where a model looks for the words of a prompt."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from studio.api import (
    Context,
    Image,
    Latent,
    Mask,
    Model,
    NodeError,
    Range,
    Seed,
    Text,
    TextEncoder,
    node,
)


class AttentionMaps(NamedTuple):
    """Where a model looks.

    Attributes:
        image: Maps in colours, from black over red to white; all of the first word, then of the next.
        mask: The same as values, 0–1.
    """

    image: Image
    mask: Mask


@node(
    "attention_maps",
    category="Look inside",
    device=True,
    shows=True,
    synonyms=("DAAM", "cross-attention", "heat map", "attention map"),
)
def attention_maps(
    ctx: Context,
    model: Model,
    text_encoder: TextEncoder,
    latent: Latent,
    *,
    text: Annotated[str, Text(multiline=True)] = "a fox",
    words: str = "fox",
    layers: str = "",
    start: Annotated[float, Range(0, 1, step=0.01)] = 0.3,
    end: Annotated[float, Range(0, 1, step=0.01)] = 0.9,
    steps: Annotated[int, Range(1, 100)] = 4,
    apart: Literal["nothing", "layers", "steps"] = "nothing",
    seed: Seed = 0,
) -> AttentionMaps:
    """Show which parts of a picture a model gives to which words.

    Args:
        model: Model that made the latent, or another of its family.
        text_encoder: Text encoder that belongs to the model.
        latent: Finished latent to look at.
        text: Prompt that the picture is told by.
        words: Words of the prompt to look for, with commas between.
        layers: Parts of names of the layers that count, with commas between, such as mid_block; empty = all.
        start: Part of the way from noise to picture at which the first look is taken.
        end: Part of the way at which the last look is taken.
        steps: How many looks are taken; the model is asked once for each.
        apart: Maps for every layer or step on its own; nothing averages all of them.
        seed: Number from which the noise over the latent is drawn.
    """
    from studio.diffusion import attention_maps as maps

    if start > end:
        raise NodeError(
            f"The last look, at {end:g}, lies before the first, at {start:g}.",
            "Set the end to the start or more.",
            socket="end",
        )
    look = maps.Look(text, words, layers, start, end, steps, apart, seed)
    return AttentionMaps(*maps.attention_maps(ctx, model, text_encoder, latent, look))
