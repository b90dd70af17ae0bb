"""How networks are built, read from names and shapes of their tensors in diffusers' and transformers' layout.

What shapes cannot tell (how many heads share a width, which activation) is the same in all of a family.
"""

from __future__ import annotations

import re
from typing import Any

from studio.models.kinds import Shapes, count

_HEAD = 64
_HEADS_OF_FIRST = 8
_GROUPS = 32
_VOCABULARY_END = 49407


def unet(shapes: Shapes, family: str) -> dict[str, Any]:
    """Arguments of diffusers' UNet2DConditionModel.

    Args:
        shapes: Of all its tensors.
        family: The oldest, and the ×4 upscaler, have 8 heads at any width; others heads of 64.

    Raises:
        KeyError, IndexError: A tensor that every such network has is missing or of another rank.
    """
    levels = count(shapes, "down_blocks.")
    widths = [shapes[f"down_blocks.{level}.resnets.0.conv1.weight"][0] for level in range(levels)]
    down = [_depth(shapes, f"down_blocks.{level}.") for level in range(levels)]
    up = [_depth(shapes, f"up_blocks.{level}.") for level in range(levels)]
    middle = count(shapes, "mid_block.attentions.0.transformer_blocks.")
    context = next(
        shape[1] for name, shape in shapes.items() if name.endswith("transformer_blocks.0.attn2.to_k.weight")
    )
    eight = family in ("stable_diffusion", "x4_upscaler")
    config: dict[str, Any] = {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in down],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in up],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "layers_per_block": count(shapes, "down_blocks.0.resnets."),
        "transformer_layers_per_block": [depth or max(middle, 1) for depth in down],
        "cross_attention_dim": context,
        "attention_head_dim": [_HEADS_OF_FIRST if eight else max(1, width // _HEAD) for width in widths],
        "use_linear_projection": any(
            name.endswith("proj_in.weight") and len(shape) == 2 for name, shape in shapes.items()
        ),
        "only_cross_attention": [_deaf(shapes, level, widths[level]) for level in range(levels)],
        "norm_num_groups": _GROUPS,
    }
    if up != down[::-1]:
        config["reverse_transformer_layers_per_block"] = [depth or max(middle, 1) for depth in up]
    if "time_embedding.cond_proj.weight" in shapes:
        config["time_cond_proj_dim"] = shapes["time_embedding.cond_proj.weight"][1]
    return config | _told_beside(shapes)


def _depth(shapes: Shapes, prefix: str) -> int | list[int]:
    """Transformer layers of each attention of a block; one number where they agree, 0 for none."""
    attentions = count(shapes, f"{prefix}attentions.")
    depths = [count(shapes, f"{prefix}attentions.{index}.transformer_blocks.") for index in range(attentions)]
    return depths if len(set(depths)) > 1 else next(iter(depths), 0)


def _deaf(shapes: Shapes, level: int, width: int) -> bool:
    """Whether a level's first attention, too, listens to words and not to the picture."""
    shape = shapes.get(f"down_blocks.{level}.attentions.0.transformer_blocks.0.attn1.to_k.weight")
    return shape is not None and shape[1] != width


def _told_beside(shapes: Shapes) -> dict[str, Any]:
    """What the network is told beside time and words."""
    if "add_embedding.linear_1.weight" in shapes:
        return {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": shapes["add_embedding.linear_1.weight"][1],
        }
    if "class_embedding.linear_1.weight" in shapes:
        return {
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": shapes["class_embedding.linear_1.weight"][1],
        }
    if "class_embedding.weight" in shapes:
        return {"num_class_embeds": shapes["class_embedding.weight"][0]}
    return {}


def kl(shapes: Shapes) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKL, but for its scaling.

    Raises:
        KeyError, IndexError: A tensor that every such network has is missing or of another rank.
    """
    levels = count(shapes, "encoder.down_blocks.")
    widths = [shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] for level in range(levels)]
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": count(shapes, "encoder.down_blocks.0.resnets."),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "norm_num_groups": _GROUPS,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "mid_block_add_attention": any(".mid_block.attentions." in name for name in shapes),
    }


def tiny(shapes: Shapes) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderTiny.

    Raises:
        KeyError, IndexError: A tensor that every such network has is missing or of another rank.
    """
    decoder = _blocks(shapes, "decoder.layers.")
    # Where there is no encoder, any will do that is as deep.
    encoder = _blocks(shapes, "encoder.layers.") or decoder[::-1]
    width = shapes["decoder.layers.0.weight"][0]
    return {
        "latent_channels": shapes["decoder.layers.0.weight"][1],
        "encoder_block_out_channels": [width] * len(encoder),
        "decoder_block_out_channels": [width] * len(decoder),
        "num_encoder_blocks": encoder,
        "num_decoder_blocks": decoder,
    }


def _blocks(shapes: Shapes, prefix: str) -> list[int]:
    """Residual blocks between one bare convolution and the next."""
    layers: dict[int, bool] = {}
    for name in shapes:
        match = re.match(rf"{re.escape(prefix)}(\d+)\.(conv\.|weight)", name)
        if match:
            layers[int(match[1])] = match[2] == "conv."
    runs: list[int] = []
    for _, is_block in sorted(layers.items()):
        if is_block:
            runs[-1] += 1
        else:
            runs.append(0)
    return runs[:-1]


def clip(shapes: Shapes, part: str) -> dict[str, Any]:
    """Arguments of transformers' CLIPTextConfig.

    Args:
        shapes: Of all its tensors.
        part: ``clip_l`` has an activation of its own.

    Raises:
        KeyError, IndexError: A tensor that every such network has is missing or of another rank.
    """
    words, width = shapes["embeddings.token_embedding.weight"]
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, "encoder.layers."),
        "num_attention_heads": max(1, width // _HEAD),
        "max_position_embeddings": shapes["embeddings.position_embedding.weight"][0],
        "hidden_act": "quick_gelu" if part == "clip_l" else "gelu",
        "bos_token_id": _VOCABULARY_END - 1,
        "eos_token_id": _VOCABULARY_END,
        "projection_dim": shapes.get("text_projection.weight", (width,))[0],
    }
