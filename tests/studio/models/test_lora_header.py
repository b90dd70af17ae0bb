from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.models.header import read_header
from studio.models.lora_header import misfit, recognise

CROSS = "input_blocks_1_1_transformer_blocks_0_attn2_to_k"


def file_with(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    save_file({name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({f"lora_unet_{CROSS}.lora_down.weight": (4, 768)}, "stable_diffusion"),
        ({"unet.a.attn2.to_v.lora_A.weight": (4, 1024)}, "stable_diffusion_2"),
        ({"unet.a.attn2.processor.to_k_lora.down.weight": (4, 2048)}, "sdxl"),
        ({f"lora_unet_{CROSS}.hada_w1_b": (4, 2048)}, "sdxl"),
        ({f"lora_unet_{CROSS}.lokr_w1": (4, 16), f"lora_unet_{CROSS}.lokr_w2": (4, 48)}, "stable_diffusion"),
        ({f"lora_unet_{CROSS}.lokr_w1": (4, 16), f"lora_unet_{CROSS}.lokr_w2_b": (4, 128)}, "sdxl"),
        ({f"lora_unet_{CROSS}.diff": (320, 768)}, "stable_diffusion"),
        ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 3072)}, "flux"),
        ({"transformer.single_transformer_blocks.0.proj_out.lora_A.weight": (4, 9)}, "flux"),
        ({"transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072)}, "flux"),
        ({"transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (4, 1536)}, "stable_diffusion_3"),
        ({"diffusion_model.joint_blocks.0.x_block.attn.qkv.lora_A.weight": (4, 1536)}, "stable_diffusion_3"),
        (
            {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 1024)},
            "stable_diffusion_2",
        ),
        ({"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 768)}, None),
        ({"lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight": (4, 320, 3, 3)}, None),
        ({"model.weight": (4, 4)}, None),
    ],
)
def test_shapes_tell_the_family(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], family: str | None
) -> None:
    assert recognise(read_header(file_with(tmp_path / "it.safetensors", shapes))) == family


def test_a_wrong_match_is_a_sentence(tmp_path: Path) -> None:
    path = file_with(tmp_path / "cat.safetensors", {f"lora_unet_{CROSS}.lora_down.weight": (4, 768)})
    assert misfit(path, "sdxl") == "cat.safetensors was made for Stable Diffusion 1, the model is SDXL."
    assert misfit(path, "stable_diffusion") == ""
    assert misfit(path, "acme/own_family") == ""
