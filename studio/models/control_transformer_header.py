"""Control networks of transformers, told from keys and shapes: each raises KeyError where one is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from studio.models.control_plan import ControlPlan, Shapes, count, hint_layer
from studio.models.transformer_keys import Piece, flux_pieces
from studio.types import Json

_HEAD = 64


def sd3(bare: Shapes, names: Mapping[str, str]) -> ControlPlan:
    """Of Stable Diffusion 3 or 3.5."""
    inner, taken, patch = bare["pos_embed_input.proj.weight"][:3]
    layers = count(bare, r"transformer_blocks\.(\d+)\.")
    own = bare.get("pos_embed.proj.weight")
    told = bare.get("context_embedder.weight")
    places = bare.get("pos_embed.pos_embed")
    config: dict[str, Json] = {
        "patch_size": patch,
        "in_channels": own[1] if own else 16,
        "extra_conditioning_channels": taken - (own[1] if own else 16),
        "num_layers": layers,
        "attention_head_dim": _HEAD,
        "num_attention_heads": inner // _HEAD,
        "joint_attention_dim": told[1] if told else None,
        "caption_projection_dim": told[0] if told else inner,
        "pooled_projection_dim": bare["time_text_embed.text_embedder.linear_1.weight"][1],
        "pos_embed_max_size": math.isqrt(places[1]) if places else 192,
        "use_pos_embed": own is not None,
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in bare else None,
        "dual_attention_layers": list[Json](
            index for index in range(layers) if f"transformer_blocks.{index}.attn2.to_q.weight" in bare
        ),
        # Those with positions of their own were trained without the pooled text.
        "force_zeros_for_pooled_projection": own is not None,
    }
    return ControlPlan("sd3", told[1] if told else 0, config, names)


def flux(bare: Shapes, names: Mapping[str, str]) -> ControlPlan:
    """Of Flux.1, in diffusers' layout."""
    inner, taken = bare["controlnet_x_embedder.weight"]
    head = bare["transformer_blocks.0.attn.norm_q.weight"][0]
    modes = bare.get("controlnet_mode_embedder.weight")
    hint = bare.get("input_hint_block.conv_out.weight")
    config: dict[str, Json] = {
        "in_channels": taken,
        "num_layers": count(bare, r"transformer_blocks\.(\d+)\."),
        "num_single_layers": count(bare, r"single_transformer_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": inner // head,
        "joint_attention_dim": bare["context_embedder.weight"][1],
        "pooled_projection_dim": bare["time_text_embed.text_embedder.linear_1.weight"][1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in bare,
        "num_mode": modes[0] if modes else None,
        "conditioning_embedding_channels": hint[0] if hint else None,
    }
    if hint:
        config["patch_size"] = 2  # it folds squares of pixels itself, where latents come folded
    kinds = modes[0] if modes else 0
    return ControlPlan("flux", bare["context_embedder.weight"][1], config, names, kinds)


def flux_of_pixels(bare: Shapes, names: Mapping[str, str]) -> ControlPlan:
    """One in XLabs' layout: blocks under the names of Flux' authors, and convolutions that see pixels."""
    pieces = flux_pieces(bare)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, piece in pieces.items():
        rows = piece.rows
        shapes[name] = bare[piece.key] if rows is None else (rows[1] - rows[0], *bare[piece.key][1:])
    own: dict[str, str] = {}
    last = 2 * (count(bare, r"input_hint_block\.(\d+)\.", step=2) - 1)
    for name in bare:
        if match := re.fullmatch(r"input_hint_block\.(\d+)\.(weight|bias)", name):
            own[f"input_hint_block.{hint_layer(int(match[1]), last)}.{match[2]}"] = name
        elif name.startswith("pos_embed_input."):
            own[name.replace("pos_embed_input", "controlnet_x_embedder")] = name
        elif name.startswith("controlnet_blocks."):
            own[name] = name
    shapes |= {name: bare[key] for name, key in own.items()}
    plan = flux(shapes, names)
    told = {name: Piece(names[piece.key], piece.rows, piece.swapped) for name, piece in pieces.items()}
    return replace(plan, names={name: names[key] for name, key in own.items()}, pieces=told)
