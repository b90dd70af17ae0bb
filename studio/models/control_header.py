"""Control networks, told from the header of their file: which one, for which model, how it is built."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from studio.models.control_plan import ControlPlan, Shapes, count, hint_layer
from studio.models.control_transformer_header import flux, flux_of_pixels, sd3
from studio.types import Json

_WRAPPERS = ("control_model.", "module.", "controlnet.")
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_HEAD = 64


def plan_of(shapes: Shapes) -> ControlPlan | None:
    """Read which control network a file holds from keys and shapes alone; None if it holds none.

    The layouts are diffusers', that of the first ControlNets (``control_model.input_blocks…``), that of the
    first T2I-Adapters (``body.0.block1``), and XLabs' for Flux (``double_blocks…``).
    """
    names = _unwrapped(shapes)
    if "zero_convs.0.0.weight" in names and "input_hint_block.0.weight" in names:
        names = _of_original(names)
    bare = {name: shapes[key] for name, key in names.items()}
    try:
        if "controlnet_cond_embedding.conv_in.weight" in bare:
            return _controlnet(bare, names)
        if "pos_embed_input.proj.weight" in bare and "controlnet_blocks.0.weight" in bare:
            return sd3(bare, names)
        if "controlnet_x_embedder.weight" in bare and "controlnet_blocks.0.weight" in bare:
            return flux(bare, names)
        if "pos_embed_input.weight" in bare and "double_blocks.0.img_attn.qkv.weight" in bare:
            return flux_of_pixels(bare, names)
        return _adapter(names, shapes)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None


def unsupported(shapes: Shapes) -> str:
    """What a file is that guides by a picture, too, but in a way that is not built here; empty if none."""
    if "lora_controlnet" in shapes:
        return "a Control-LoRA"
    if any(key.startswith("lllite_") for key in shapes):
        return "a ControlNet-LLLite"
    if "controlnet_blocks.0.linear.weight" in shapes:
        return "a MistoLine ControlNet for Flux"
    return ""


def title_of(width: int) -> str:
    """What people call models whose tokens are so wide."""
    known = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "SDXL", 1280: "the SDXL refiner"}
    return known.get(width, f"models whose text is {width} wide")


def _unwrapped(shapes: Shapes) -> dict[str, str]:
    for prefix in _WRAPPERS:
        found = {key.removeprefix(prefix): key for key in shapes if key.startswith(prefix)}
        if found:
            return found
    return {key: key for key in shapes}


def _of_original(names: Mapping[str, str]) -> dict[str, str]:
    """Diffusers' names of the weights of a ControlNet that bears the names of its first implementation."""
    found: dict[str, str] = {}
    places = _places(names)
    hints = 2 * (count(names, r"input_hint_block\.(\d+)\.", step=2) - 1)
    for name, key in names.items():
        new = name
        for old, prefix in places.items():
            if name.startswith(old):
                new = prefix + _inner(name.removeprefix(old))
        if match := re.fullmatch(r"input_hint_block\.(\d+)\.(weight|bias)", name):
            new = f"controlnet_cond_embedding.{hint_layer(int(match[1]), hints)}.{match[2]}"
        elif match := re.fullmatch(r"zero_convs\.(\d+)\.0\.(weight|bias)", name):
            new = f"controlnet_down_blocks.{match[1]}.{match[2]}"
        elif match := re.fullmatch(r"(time_embed|label_emb\.0)\.([02])\.(weight|bias)", name):
            part = "time_embedding" if match[1] == "time_embed" else "add_embedding"
            new = f"{part}.linear_{int(match[2]) // 2 + 1}.{match[3]}"
        elif name.startswith("middle_block_out.0."):
            new = name.replace("middle_block_out.0", "controlnet_mid_block")
        found[new] = key
    return found


def _places(names: Mapping[str, str]) -> dict[str, str]:
    """Prefix of a part of the first implementation → diffusers'."""
    places = {
        "input_blocks.0.0.": "conv_in.",
        "middle_block.0.": "mid_block.resnets.0.",
        "middle_block.1.": "mid_block.attentions.0.",
        "middle_block.2.": "mid_block.resnets.1.",
    }
    block = layer = 0
    for index in range(1, count(names, r"input_blocks\.(\d+)\.")):
        if f"input_blocks.{index}.0.op.weight" in names:
            places[f"input_blocks.{index}.0.op."] = f"down_blocks.{block}.downsamplers.0.conv."
            block, layer = block + 1, 0
        else:
            places[f"input_blocks.{index}.0."] = f"down_blocks.{block}.resnets.{layer}."
            places[f"input_blocks.{index}.1."] = f"down_blocks.{block}.attentions.{layer}."
            layer += 1
    return places


def _inner(name: str) -> str:
    for old, new in _RESNET.items():
        if name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name


def _controlnet(bare: Shapes, names: Mapping[str, str]) -> ControlPlan:
    blocks = count(bare, r"down_blocks\.(\d+)\.")
    channels = [bare[f"down_blocks.{index}.resnets.0.conv1.weight"][0] for index in range(blocks)]
    depths = [
        count(bare, rf"down_blocks\.{index}\.attentions\.0\.transformer_blocks\.(\d+)\.")
        for index in range(blocks)
    ]
    deepest = count(bare, r"mid_block\.attentions\.0\.transformer_blocks\.(\d+)\.")
    keys = [bare[name] for name in bare if name.endswith("attn2.to_k.weight")]
    linear = any(len(bare[name]) == 2 for name in bare if name.endswith("proj_in.weight"))
    added = bare.get("add_embedding.linear_1.weight")
    width = keys[0][1] if keys else 2048 if added else 0
    hint = [bare["controlnet_cond_embedding.conv_in.weight"]]
    layers = count(bare, r"controlnet_cond_embedding\.blocks\.(\d+)\.")
    hint += [bare[f"controlnet_cond_embedding.blocks.{index}.weight"] for index in range(1, layers, 2)]
    config: dict[str, Json] = {
        "in_channels": bare["conv_in.weight"][1],
        "conditioning_channels": hint[0][1],
        "conditioning_embedding_out_channels": list[Json](shape[0] for shape in hint),
        "block_out_channels": list[Json](channels),
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "layers_per_block": count(bare, r"down_blocks\.0\.resnets\.(\d+)\."),
        "transformer_layers_per_block": list[Json](
            depth or 1 for depth in (*depths[:-1], depths[-1] or deepest)
        ),
        "cross_attention_dim": width or 1280,
        "use_linear_projection": linear,
        "attention_head_dim": list[Json](max(1, side // _HEAD) for side in channels) if linear else 8,
    }
    if added:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": added[1],
        }
    if "task_embedding" in bare:
        return _union(bare, names, config, width)
    if not deepest:
        config["mid_block_type"] = "UNetMidBlock2D"
    return ControlPlan("controlnet", width, config, names)


def _union(bare: Shapes, names: Mapping[str, str], config: Mapping[str, Json], width: int) -> ControlPlan:
    kinds, inner = bare["task_embedding"]
    settings: dict[str, Json] = {
        "num_control_type": kinds,
        "num_trans_channel": inner,
        "num_trans_layer": count(bare, r"transformer_layes\.(\d+)\."),
        "num_proj_channel": bare["spatial_ch_projs.weight"][0],
        "addition_time_embed_dim": bare["control_add_embedding.linear_1.weight"][1] // kinds,
    }
    return ControlPlan("union", width, {**config, **settings}, names, kinds)


def _adapter(names: Mapping[str, str], shapes: Shapes) -> ControlPlan | None:
    names = {name.removeprefix("adapter."): key for name, key in names.items()}
    light = "body.0.out_conv.weight" in names
    blocks = ("body.0.block1.weight", "body.0.resnets.0.block1.weight")
    if not light and ("conv_in.weight" not in names or not any(name in names for name in blocks)):
        return None
    found: dict[str, str] = {}
    for name, key in names.items():
        if match := re.fullmatch(r"body\.(\d+)\.body\.(\d+)\.(.+)", name):
            name = f"body.{match[1]}.resnets.{match[2]}.{match[3]}"
        elif not light and (match := re.fullmatch(r"body\.(\d+)\.(block[12]\..+)", name)):
            name = f"body.{int(match[1]) // 2}.resnets.{int(match[1]) % 2}.{match[2]}"
        elif "body.0.block1.weight" in names and (match := re.fullmatch(r"body\.(\d+)\.in_conv\.(.+)", name)):
            name = f"body.{int(match[1]) // 2}.in_conv.{match[2]}"
        found[f"adapter.{name}"] = key
    depth = count(found, r"adapter\.body\.(\d+)\.")
    first = shapes[found["adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight"]]
    pictured = 3 if first[1] % 3 == 0 else 1
    factor = math.isqrt(first[1] // pictured)
    last = "out_conv" if light else "resnets.0.block1"
    channels = [shapes[found[f"adapter.body.{index}.{last}.weight"]][0] for index in range(depth)]
    config: dict[str, Json] = {
        "in_channels": pictured,
        "channels": list[Json](channels[:-1] if light else channels),
        "num_res_blocks": count(found, r"adapter\.body\.0\.resnets\.(\d+)\."),
        "downscale_factor": factor,
        "adapter_type": "light_adapter" if light else "full_adapter_xl" if factor == 16 else "full_adapter",
    }
    return ControlPlan("t2i", 0, config, found)
