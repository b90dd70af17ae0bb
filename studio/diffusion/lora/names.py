"""What adapters' files call the layers of the networks here, by rule from the layers' own names.

Layers are called here as diffusers and transformers call them. Files call them so too, or as the first
publication of each network did; with dots or with underscores; behind a prefix that names the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from studio.diffusion.lora.changes import Rows

Shapes = Mapping[str, Sequence[int]]
"""Layer → shape of its weight."""


@dataclass(frozen=True, slots=True)
class Target:
    """A layer here that a layer of a file stands for.

    Attributes:
        layer: Its name within its network.
        rows: Which rows of the file's layer it is, where that one is several in one; None for all.
    """

    layer: str
    rows: Rows | None = None


_DENOISER = ("lora_unet_", "lora_transformer_", "unet_", "transformer_", "diffusion_model_", "model_")
_FIRST_TEXT = ("lora_te_", "lora_te1_", "text_encoder_", "te1_")
PREFIXES: Mapping[str, tuple[str, ...]] = {
    "unet": _DENOISER,
    "transformer": _DENOISER,
    "clip_l": (*_FIRST_TEXT, "text_encoders_clip_l_transformer_", "clip_l_"),
    "clip_h": (*_FIRST_TEXT, "text_encoders_clip_h_transformer_", "clip_h_"),
    "clip_g": ("lora_te2_", "text_encoder_2_", "text_encoders_clip_g_transformer_", "clip_g_"),
    # Second behind one CLIP, third behind two; the names of its layers are like no other network's.
    "t5": (
        "lora_te3_",
        "lora_te2_",
        "text_encoder_3_",
        "text_encoder_2_",
        "text_encoders_t5xxl_transformer_",
    ),
}
"""Network → what files write before its layers, dots as underscores."""
_COMMON = ("base_model_model_", "lycoris_")


def find(
    layer: str, network: str, targets: Mapping[str, tuple[Target, ...]], *, bare: bool
) -> tuple[Target, ...]:
    """Layers of a network that a file's layer stands for; none if it belongs to another.

    Args:
        layer: As the file calls it.
        network: One of `PREFIXES`.
        targets: What `targets_of` gives for the network.
        bare: A name without any prefix may be meant for this network.
    """
    flat, named = layer.replace(".", "_"), False
    prefixes = (*PREFIXES.get(network, (f"{network}_",)), *_COMMON)
    while True:
        if (named or bare) and flat in targets:
            return targets[flat]
        prefix = next((item for item in prefixes if flat.startswith(item)), None)
        if prefix is None:
            return ()
        named = named or prefix not in _COMMON
        flat = flat.removeprefix(prefix)


def targets_of(shapes: Shapes) -> dict[str, tuple[Target, ...]]:
    """Every name, dots as underscores and without prefix, by which files call a network's layers.

    Args:
        shapes: All layers of the network that have weights.
    """
    found: dict[str, tuple[Target, ...]] = {name.replace(".", "_"): (Target(name),) for name in shapes}
    fused: dict[str, list[tuple[int, str]]] = {}
    for layer, (original, place) in _originals(shapes):
        fused.setdefault(original.replace(".", "_"), []).append((place, layer))
    for original, layers in fused.items():
        if original in found:
            continue
        begin, targets = 0, list[Target]()
        for _, layer in sorted(layers):
            end = begin + shapes[layer][0]
            targets.append(Target(layer, ((begin, end),) if len(layers) > 1 else _swapped(layer, shapes)))
            begin = end
        found[original] = tuple(targets)
    return found


def _swapped(layer: str, shapes: Shapes) -> Rows | None:
    """Shift and scale of a last norm, which stand the other way round in the original networks."""
    if not re.search(r"(norm_out|norm1_context)\.linear$", layer) or len(shapes[layer]) != 2:
        return None
    rows, width = shapes[layer]
    return ((width, rows), (0, width)) if rows == 2 * width else None


def _originals(shapes: Shapes) -> Iterator[tuple[str, tuple[str, int]]]:
    """Layer → what the original network called it, and its place there among layers that were one."""
    if any(name.startswith("down_blocks.") for name in shapes):
        yield from _unet(shapes)
    elif any(name.startswith("single_transformer_blocks.") for name in shapes):
        yield from _by_block(shapes, "transformer_blocks", "double_blocks", _FLUX_DOUBLE)
        yield from _by_block(shapes, "single_transformer_blocks", "single_blocks", _FLUX_SINGLE)
        yield from _by_block(shapes, "", "", _FLUX_REST)
    elif any(name.startswith("transformer_blocks.") for name in shapes):
        yield from _by_block(shapes, "transformer_blocks", "joint_blocks", _SD3)
        yield from _by_block(shapes, "", "", _SD3_REST)
    else:
        # CLIP's layers stand behind one more name in files than transformers gives them now.
        for name in shapes:
            bare = name.removeprefix("text_model.")
            yield name, (bare if bare != name else f"text_model.{name}", 0)


def _by_block(
    shapes: Shapes, here: str, there: str, names: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, int]]]:
    block = re.compile(rf"{here}\.(\d+)\.(.+)" if here else r"()(.+)")
    for layer in shapes:
        found = block.fullmatch(layer)
        original = names.get(found[2]) if found is not None else None
        if found is not None and original is not None:
            name, _, place = original.partition("#")
            yield layer, (f"{there}.{found[1]}.{name}" if here else name, int(place or 0))


def _attention(here: str, there: str, letters: tuple[str, str, str], out: str) -> dict[str, str]:
    fused = {f"{here}.{name}": f"{there}.qkv#{place}" for place, name in enumerate(letters)}
    return {**fused, f"{here}.{out}": f"{there}.proj"}


_PLAIN = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_FLUX_DOUBLE = {
    **_attention("attn", "img_attn", _PLAIN, "to_out.0"),
    **_attention("attn", "txt_attn", _ADDED, "to_add_out"),
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
}
_FLUX_SINGLE = {
    **{f"attn.{name}": f"linear1#{place}" for place, name in enumerate(_PLAIN)},
    "proj_mlp": "linear1#3",
    "proj_out": "linear2",
    "norm.linear": "modulation.lin",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
}
_FLUX_REST = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    **{
        f"time_text_embed.{here}_embedder.linear_{place}": f"{there}_in.{side}_layer"
        for here, there in (("timestep", "time"), ("text", "vector"), ("guidance", "guidance"))
        for place, side in ((1, "in"), (2, "out"))
    },
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_SD3 = {
    **_attention("attn", "x_block.attn", _PLAIN, "to_out.0"),
    **_attention("attn", "context_block.attn", _ADDED, "to_add_out"),
    **_attention("attn2", "x_block.attn2", _PLAIN, "to_out.0"),
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    **{
        f"{attn}.norm_{letter}": f"x_block.{attn}.ln_{letter}"
        for attn in ("attn", "attn2")
        for letter in "qk"
    },
    **{f"attn.norm_added_{letter}": f"context_block.attn.ln_{letter}" for letter in "qk"},
}
_SD3_REST = {
    "pos_embed.proj": "x_embedder.proj",
    **{
        f"time_text_embed.{here}_embedder.linear_{place + 1}": f"{there}_embedder.mlp.{2 * place}"
        for here, there in (("timestep", "t"), ("text", "y"))
        for place in (0, 1)
    },
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_UNET_REST = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _unet(shapes: Shapes) -> Iterator[tuple[str, tuple[str, int]]]:
    """The numbered blocks of the first latent diffusion UNets: a level is its layers and a change of size."""
    matches = [re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", name) for name in shapes]
    found = [match.groups() for match in matches if match is not None]
    depth = 1 + max(int(place) for side, _, kind, place, _ in found if (side, kind) == ("down", "resnets"))
    attended = {block for side, block, kind, _, _ in found if (side, kind) == ("up", "attentions")}
    for layer, match in zip(shapes, matches, strict=True):
        if layer in _UNET_REST:
            yield layer, (_UNET_REST[layer], 0)
        elif match is None:
            middle = re.match(r"mid_block\.(\w+)\.(\d+)\.(.+)", layer)
            if middle is not None:
                kind, place, rest = middle.groups()
                number = 1 if kind == "attentions" else 2 * int(place)
                yield layer, (f"middle_block.{number}.{_RESNET.get(rest, rest)}", 0)
        else:
            side, block, kind, place, rest = match.groups()
            side_there = "input_blocks" if side == "down" else "output_blocks"
            number = int(block) * (depth + 1) + int(place) + (side == "down")
            within, inner = int(kind == "attentions"), _RESNET.get(rest, rest)
            if kind == "downsamplers":
                number, inner = number + depth, "op"
            elif kind == "upsamplers":
                number, within = number + depth, 1 + (block in attended)
            yield layer, (f"{side_there}.{number}.{within}.{inner}", 0)
