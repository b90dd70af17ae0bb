"""Settings of SD3's and Flux's transformers, told from the shapes of their weights. Free of torch."""

from __future__ import annotations

from math import isqrt
from typing import Any

from studio.models.kinds import Shapes, count

_SD3_HEAD = 64


def sd3_config(shapes: Shapes) -> dict[str, Any]:
    """Settings of ``SD3Transformer2DModel``.

    Args:
        shapes: Of the network's own weights, by its own names.

    Raises:
        KeyError, IndexError, ValueError: They are of no such network.
    """
    inner, channels, patch, _ = shapes["pos_embed.proj.weight"]
    layers = count(shapes, "transformer_blocks.")
    normed = "transformer_blocks.0.attn.norm_q.weight" in shapes
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0] if normed else _SD3_HEAD
    dual = [i for i in range(layers) if f"transformer_blocks.{i}.attn2.to_q.weight" in shapes]
    context = shapes["context_embedder.weight"]
    return {
        "patch_size": patch,
        "in_channels": channels,
        "num_layers": layers,
        "attention_head_dim": head,
        "num_attention_heads": inner // head,
        "joint_attention_dim": context[1],
        "caption_projection_dim": context[0],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "out_channels": shapes["proj_out.weight"][0] // patch**2,
        "pos_embed_max_size": isqrt(shapes["pos_embed.pos_embed"][1]),
        "dual_attention_layers": tuple(dual),
        "qk_norm": "rms_norm" if normed else None,
    }


def flux_config(shapes: Shapes) -> dict[str, Any]:
    """Settings of ``FluxTransformer2DModel``; see `sd3_config`."""
    inner, channels = shapes["x_embedder.weight"]
    head = shapes["single_transformer_blocks.0.attn.norm_q.weight"][0]
    # Of 128 numbers of a head, 16 turn with the picture's index, 56 with its row, 56 with its column.
    along = head * 7 // 16
    return {
        "patch_size": 1,
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0],
        "num_layers": count(shapes, "transformer_blocks."),
        "num_single_layers": count(shapes, "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": inner // head,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in shapes,
        "axes_dims_rope": (head - 2 * along, along, along),
    }
