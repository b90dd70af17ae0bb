from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    ControlNetUnionModel,
    FluxControlNetModel,
    SD3ControlNetModel,
    T2IAdapter,
)
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

from studio.diffusion.families.controlnet import FAMILY, name_of_alien, plan_at
from studio.models.control_header import plan_of, title_of

SDXL: dict[str, Any] = {
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD2: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "attention_head_dim": [5, 10, 20, 20],
}
BARE_SDXL = SDXL | {
    "down_block_types": ("DownBlock2D",) * 3,
    "transformer_layers_per_block": 1,
    "mid_block_type": "UNetMidBlock2D",
}
LIGHT: dict[str, Any] = {"adapter_type": "light_adapter", "channels": [320, 640, 1280], "num_res_blocks": 4}
BIG_SD3: dict[str, Any] = {
    "num_layers": 2,
    "sample_size": 32,
    "use_pos_embed": False,
    "joint_attention_dim": None,
    "num_attention_heads": 38,
}
NETWORKS: list[tuple[str, int, Any, dict[str, Any]]] = [
    ("controlnet", 768, ControlNetModel, {"cross_attention_dim": 768}),
    ("controlnet", 1024, ControlNetModel, SD2),
    ("controlnet", 2048, ControlNetModel, SDXL),
    ("controlnet", 2048, ControlNetModel, BARE_SDXL),
    ("union", 2048, ControlNetUnionModel, SDXL),
    ("t2i", 0, T2IAdapter, {}),
    ("t2i", 0, T2IAdapter, {"in_channels": 1}),
    ("t2i", 0, T2IAdapter, LIGHT),
    ("t2i", 0, T2IAdapter, {"adapter_type": "full_adapter_xl", "downscale_factor": 16}),
    ("flux", 4096, FluxControlNetModel, {"num_layers": 5, "num_single_layers": 2, "num_mode": 7}),
    ("flux", 4096, FluxControlNetModel, {"num_layers": 2, "num_single_layers": 0, "guidance_embeds": True}),
    ("sd3", 4096, SD3ControlNetModel, {"num_layers": 2, "sample_size": 32}),
    ("sd3", 0, SD3ControlNetModel, BIG_SD3),
]


def shapes_of(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.filterwarnings("ignore:.*FluxPosEmbed:FutureWarning")
@pytest.mark.parametrize(("kind", "width", "network", "settings"), NETWORKS)
def test_shapes_alone_tell_how_a_network_is_built(
    kind: str, width: int, network: Any, settings: dict[str, Any]
) -> None:
    with torch.device("meta"):
        shapes = shapes_of(network(**settings))
    plan = plan_of(shapes)
    assert plan is not None
    assert (plan.kind, plan.width) == (kind, width)
    with torch.device("meta"):
        again = network(**plan.config)
    assert shapes_of(again) == shapes
    assert plan.names == {name: name for name in shapes}


def original_of(names: list[str]) -> dict[str, str]:
    """Names of the first implementation → diffusers', for a ControlNet of two blocks with one layer each."""
    found: dict[str, str] = {}
    resnet = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
    places = {
        "conv_in.": "input_blocks.0.0.",
        "down_blocks.0.resnets.0.": "input_blocks.1.0.",
        "down_blocks.0.attentions.0.": "input_blocks.1.1.",
        "down_blocks.0.downsamplers.0.conv.": "input_blocks.2.0.op.",
        "down_blocks.1.resnets.0.": "input_blocks.3.0.",
        "mid_block.resnets.0.": "middle_block.0.",
        "mid_block.attentions.0.": "middle_block.1.",
        "mid_block.resnets.1.": "middle_block.2.",
        "controlnet_mid_block.": "middle_block_out.0.",
        "time_embedding.linear_1.": "time_embed.0.",
        "time_embedding.linear_2.": "time_embed.2.",
        "controlnet_cond_embedding.conv_in.": "input_hint_block.0.",
        "controlnet_cond_embedding.conv_out.": "input_hint_block.14.",
        **{f"controlnet_cond_embedding.blocks.{i}.": f"input_hint_block.{2 * i + 2}." for i in range(6)},
        **{f"controlnet_down_blocks.{i}.": f"zero_convs.{i}.0." for i in range(4)},
    }
    for name in names:
        prefix = next(place for place in places if name.startswith(place))
        rest = name.removeprefix(prefix)
        for new, old in resnet.items():
            if ".resnets." in prefix and rest.startswith(f"{new}."):
                rest = old + rest.removeprefix(new)
        found[f"control_model.{places[prefix]}{rest}"] = name
    return found


def test_the_first_layout_is_read_as_diffusers_converts_it() -> None:
    with torch.device("meta"):
        network = ControlNetModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            layers_per_block=1,
            cross_attention_dim=768,
        )
    shapes = shapes_of(network)
    original = original_of(list(shapes))
    plan = plan_of({old: shapes[new] for old, new in original.items()})
    assert plan is not None
    assert set(plan.names) == set(shapes)
    converted = convert_controlnet_checkpoint({old: old for old in original}, {"layers_per_block": 1})
    bare = {name: key.removeprefix("control_model.") for name, key in plan.names.items()}
    assert {name: key.removeprefix("control_model.") for name, key in converted.items()} == bare


def test_the_first_layout_of_adapters_is_read() -> None:
    with torch.device("meta"):
        shapes = shapes_of(T2IAdapter())
    original: dict[str, str] = {}
    for name in shapes:
        parts = name.removeprefix("adapter.").split(".")
        if "resnets" in parts:
            parts = ["body", str(int(parts[1]) * 2 + int(parts[3])), *parts[4:]]
        elif "in_conv" in parts:
            parts[1] = str(int(parts[1]) * 2)
        original[".".join(parts)] = name
    plan = plan_of({old: shapes[new] for old, new in original.items()})
    assert plan is not None
    assert plan.names == {new: old for old, new in original.items()}


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)},
        {"pos_embed_input.proj.weight": (1,), "controlnet_blocks.0.weight": (1, 1)},
        {"controlnet_x_embedder.weight": (64, 64), "controlnet_blocks.0.weight": (1, 1)},
        {"body.0.out_conv.weight": (0,), "body.99999999999.in_conv.weight": (0, 0)},
        {"zero_convs.0.0.weight": (), "input_hint_block.0.weight": ()},
        {"conv_in.weight": (0, 0, 0, 0), "body.0.block1.weight": ()},
    ],
)
def test_headers_with_holes_are_nothing(shapes: dict[str, tuple[int, ...]]) -> None:
    assert plan_of(shapes) is None


def test_files_that_are_none_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 40)
    assert FAMILY.recognise(tmp_path / "broken.safetensors") is None
    assert FAMILY.recognise(tmp_path / "missing.safetensors") is None
    assert plan_at(tmp_path) is None


def test_what_cannot_be_built_has_a_name(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"lora_controlnet": torch.zeros(1)}, tmp_path / "it.safetensors")
    assert name_of_alien(tmp_path / "it.safetensors") == "a Control-LoRA"
    assert title_of(768) == "Stable Diffusion 1"
