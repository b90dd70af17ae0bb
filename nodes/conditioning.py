"""Nodes that turn words into what guides the denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from studio.api import Conditioning, Context, Json, Range, Seed, Text, TextEncoder, node

Reading = Literal["comfyui", "a1111", "plain"]
ClipSkip = Annotated[int, Range(0, 12)]
Prompt = Annotated[str, Text(multiline=True)]


def skipped(clip_skip: int) -> int | None:
    """Layers left out, of what people call clip skip: 1 is the last layer, 0 leaves it to the model."""
    return clip_skip - 1 if clip_skip else None


def embedding_files(knobs: Mapping[str, Json]) -> list[str]:
    """Files of the embeddings that the texts of an encoding node name."""
    from typing import cast

    from studio.diffusion.text.chunks import embeddings_named

    reading = cast("Reading", knobs["reading"])
    texts = [
        value for name, value in knobs.items() if name.partition("_")[0] == "text" and isinstance(value, str)
    ]
    found = {str(path) for text in texts for path in embeddings_named(text, reading).values()}
    return sorted(found)


@node(
    "encode_text",
    category="Conditioning",
    version=2,
    device=True,
    refs=embedding_files,
    synonyms=("CLIPTextEncode", "CLIP Text Encode (Prompt)", "CLIPSetLastLayer", "prompt", "negative prompt"),
)
def encode_text(
    ctx: Context,
    text_encoder: TextEncoder,
    *,
    text: Prompt = "",
    reading: Reading = "comfyui",
    clip_skip: ClipSkip = 0,
    steps: Annotated[int, Range(1, 10000)] = 20,
) -> Conditioning:
    r"""Encode a prompt. A long one is cut into chunks of 75 tokens, which are encoded apart and joined.

    Args:
        text_encoder: Text encoder that belongs to the model.
        text: What the picture should show; as negative prompt, what it should not. (word) and (word:1.2)
            weigh words, \( is a bracket, embedding:name puts in an embedding.
        reading: What brackets mean. comfyui: (x:1.2) sets the weight. a1111: (x:1.2) multiplies, [x] weakens,
            BREAK begins a chunk, AND another prompt, [a:b:0.5] and [a|b] change words on the way, embeddings
            go by their bare names, <lora:…> is left out. plain: all words are plain.
        clip_skip: Which layer of CLIP is taken, counted from the end: 1 is the last, 2 the one before
            (ComfyUI's -2); 0 leaves it to the model.
        steps: Steps of the sampler, for [a:b:5] and [a|b] in a1111's reading, which count them as if spread
            evenly: the schedule “simple” does so.
    """
    from studio.diffusion.text.prompt import encode

    return encode(text_encoder, text, ctx, reading=reading, skip=skipped(clip_skip), steps=steps)


@encode_text.upgrade(1)
def _weights_were_words(params: dict[str, Json]) -> dict[str, Json]:
    return {**params, "reading": "plain"}


def _wildcards(knobs: Mapping[str, Json]) -> list[str]:
    from studio.models.prompt_files import wildcard_files

    return wildcard_files(str(knobs["text"]))


@node(
    "resolve_prompt",
    category="Conditioning",
    refs=_wildcards,
    synonyms=("wildcards", "dynamic prompts", "random prompt", "ImpactWildcardProcessor", "variants"),
)
def resolve_prompt(*, text: Prompt = "", seed: Seed = 0) -> str:
    r"""Draw the choices in a prompt, and take out its comments.

    Args:
        text: {a|b} is one of its parts, {2::a|b} by weight, {2$$a|b|c} two of them; __name__ is a line of
            name.txt in your folder of wildcards. Lines that begin with #, and /* … */, are comments.
        seed: Which are drawn: the same seed draws the same words.
    """
    from studio.diffusion.text.template import resolve
    from studio.models.prompt_files import lines

    return resolve(text, seed, lines)


class TokenCount(NamedTuple):
    """How long a prompt is.

    Attributes:
        tokens: Tokens of the prompt, for the network that needs most.
        chunks: Chunks they take.
    """

    tokens: int
    chunks: int


@node(
    "count_tokens",
    category="Conditioning",
    device=True,
    refs=embedding_files,
    synonyms=("token counter", "prompt length", "75 tokens"),
)
def count_tokens(
    ctx: Context, text_encoder: TextEncoder, *, text: Prompt = "", reading: Reading = "comfyui"
) -> TokenCount:
    """Count the tokens of a prompt, and the chunks of 75 that it is encoded in.

    Args:
        text_encoder: Whose tokenizers count.
        text: The prompt.
        reading: What brackets mean; see the node that encodes.
    """
    from studio.diffusion.text.prompt import count

    return TokenCount(*count(text_encoder, text, ctx, reading))
