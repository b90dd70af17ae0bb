"""Networks at full size, without weights: known from a header, and built from shapes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

from studio.diffusion.files import layouts
from studio.models import configs
from studio.models.recognise import kind_at
from tests.studio.diffusion import checkpoints
from tests.studio.models.headers import hollow

SECOND: dict[str, Any] = {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
XL: dict[str, Any] = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "use_linear_projection": True,
}
UNETS: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {
    "Stable Diffusion 1": (("stable_diffusion", ""), {"cross_attention_dim": 768}),
    "its inpainting": (("stable_diffusion", "inpainting"), {"cross_attention_dim": 768, "in_channels": 9}),
    "Stable Diffusion 2": (("stable_diffusion_2", ""), SECOND),
    "its unCLIP": (
        ("stable_diffusion_2", "unclip"),
        {**SECOND, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048},
    ),
    "SDXL": (
        ("sdxl", ""),
        {
            **XL,
            "attention_head_dim": [5, 10, 20],
            "block_out_channels": (320, 640, 1280),
            "cross_attention_dim": 2048,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "projection_class_embeddings_input_dim": 2816,
            "transformer_layers_per_block": [1, 2, 10],
        },
    ),
    "a smaller SDXL": (
        ("sdxl", ""),
        {
            **XL,
            "attention_head_dim": [5, 10, 20],
            "block_out_channels": (320, 640, 1280),
            "cross_attention_dim": 2048,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "mid_block_type": "UNetMidBlock2D",
            "projection_class_embeddings_input_dim": 2816,
            "transformer_layers_per_block": [1, 2, 4],
            "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
        },
    ),
    "its refiner": (
        ("sdxl", "refiner"),
        {
            **XL,
            "attention_head_dim": [6, 12, 24, 24],
            "block_out_channels": (384, 768, 1536, 1536),
            "cross_attention_dim": 1280,
            "down_block_types": (
                "DownBlock2D",
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "DownBlock2D",
            ),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "projection_class_embeddings_input_dim": 2560,
            "transformer_layers_per_block": 4,
        },
    ),
    "the ×4 upscaler": (
        ("x4_upscaler", ""),
        {
            "attention_head_dim": 8,
            "block_out_channels": (256, 512, 512, 1024),
            "cross_attention_dim": 1024,
            "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
            "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
            "in_channels": 7,
            "num_class_embeds": 1000,
            "only_cross_attention": [True, True, True, False],
            "use_linear_projection": True,
        },
    ),
}


def shapes(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def heads(network: Any) -> dict[str, tuple[int, bool]]:
    """Heads of every attention, and whether it listens to words: what shapes alone do not tell."""
    return {
        name: (module.heads, module.is_cross_attention)
        for name, module in network.named_modules()
        if type(module).__name__ == "Attention"
    }


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_at_full_size_is_known_and_built_from_its_shapes(name: str, tmp_path: Path) -> None:
    (family, variant), settings = UNETS[name]
    with torch.device("meta"):
        network = UNet2DConditionModel(**settings)
    tensors = checkpoints.original_unet(network)
    before = "model.diffusion_model."
    path = hollow(
        tmp_path / "model.safetensors", {before + key: shape for key, shape in shapes(tensors).items()}
    )
    kind = kind_at(path)
    assert kind is not None
    assert (kind.type, kind.family, kind.variant) == ("denoiser", family, variant)
    assert kind.parts == {"unet": before}
    converted = layouts.unet(tensors, lambda: None)
    with torch.device("meta"):
        built: Any = UNet2DConditionModel.from_config(configs.unet(shapes(converted), family))
    assert shapes(built.state_dict()) == shapes(network.state_dict())
    assert heads(built) == heads(network)


@pytest.mark.parametrize("channels", [4, 16])
def test_an_autoencoder_at_full_size_is_known_and_built_from_its_shapes(
    channels: int, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": channels,
        "use_quant_conv": channels == 4,
        "use_post_quant_conv": channels == 4,
    }
    with torch.device("meta"):
        network = AutoencoderKL(**settings)
    tensors = checkpoints.original_vae(network)
    kind = kind_at(hollow(tmp_path / "vae.safetensors", shapes(tensors)))
    assert kind is not None
    assert (kind.type, kind.variant, kind.layout) == ("vae", f"{channels} channels", "original")
    converted = layouts.kl(tensors, lambda: None)
    with torch.device("meta"):
        built: Any = AutoencoderKL.from_config(configs.kl(shapes(converted)))
    assert shapes(built.state_dict()) == shapes(network.state_dict())


def test_a_tiny_autoencoder_is_built_from_its_shapes() -> None:
    with torch.device("meta"):
        network = AutoencoderTiny(latent_channels=16)
        built: Any = AutoencoderTiny.from_config(configs.tiny(shapes(network.state_dict())))
    assert shapes(built.state_dict()) == shapes(network.state_dict())


def test_attention_of_the_first_releases_of_diffusers_is_read() -> None:
    with torch.device("meta"):
        network = AutoencoderKL(block_out_channels=(32,), norm_num_groups=8)
    named = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = dict(network.state_dict())
    for new, name in named.items():
        old = {key.replace(f".{new}.", f".{name}."): tensor for key, tensor in old.items()}
    assert old.keys() != network.state_dict().keys()
    assert layouts.kl(old, lambda: None).keys() == network.state_dict().keys()
