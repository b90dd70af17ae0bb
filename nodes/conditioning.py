"""Nodes that turn words into what guides the denoiser."""

from __future__ import annotations

from typing import Annotated

from studio.api import Conditioning, Context, Text, TextEncoder, node


@node(
    "encode_text",
    category="Conditioning",
    device=True,
    synonyms=("CLIPTextEncode", "CLIP Text Encode (Prompt)", "prompt", "negative prompt"),
)
def encode_text(
    ctx: Context,
    text_encoder: TextEncoder,
    *,
    text: Annotated[str, Text(multiline=True)] = "",
) -> Conditioning:
    """Encode a prompt. A long one is cut into chunks of 75 tokens, which are encoded apart and joined.

    Args:
        text_encoder: Text encoder that belongs to the model.
        text: What the picture should show; as negative prompt, what it should not.
    """
    from studio.diffusion.prompt import encode

    return encode(text_encoder, text, ctx)
