"""Networks of random weights as small as their kinds allow, and adapters for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from studio.diffusion.lora.changes import Change
from studio.diffusion.lora.patch import LORA
from studio.models.identity import identity_of
from studio.types import Patch


def unet(cross: int = 16, **more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 2,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": cross,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**settings, **more})


def clip(width: int = 16, *, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(2)
    settings = CLIPTextConfig(
        vocab_size=99,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=width,
        bos_token_id=97,
        eos_token_id=98,
        pad_token_id=98,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(settings)


def flux() -> Any:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(3)
    return FluxTransformer2DModel(
        in_channels=4,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=4,
        num_attention_heads=2,
        joint_attention_dim=12,
        pooled_projection_dim=6,
        axes_dims_rope=(2, 2, 0),
        guidance_embeds=True,
    )


def sd3() -> Any:
    from diffusers import SD3Transformer2DModel

    torch.manual_seed(4)
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=4,
        num_attention_heads=2,
        joint_attention_dim=12,
        caption_projection_dim=8,
        pooled_projection_dim=6,
        out_channels=4,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )


def t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(5)
    return T5EncoderModel(
        T5Config(
            vocab_size=50,
            d_model=8,
            d_kv=4,
            d_ff=16,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )


def weights(modules: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor.detach().clone().float()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def changes(path: Path, modules: Mapping[str, nn.Module]) -> dict[str, Change]:
    return LORA.changes(Patch("lora", path=str(path), identity=identity_of(path)), modules, lambda: None)


def patched(path: Path, modules: Mapping[str, nn.Module], strength: float = 1.0) -> dict[str, torch.Tensor]:
    """All weights of the networks under a file of adapters."""
    given = weights(modules)
    for name, change in changes(path, modules).items():
        given[name] = change.apply(given[name], strength)
    return given


def lora(
    layers: Iterable[tuple[str, int, int]],
    name: Callable[[str, str], str] = lambda layer, part: f"{layer}.{part}.weight",
    parts: tuple[str, str] = ("lora_down", "lora_up"),
    rank: int = 3,
    alpha: float | None = 1.5,
) -> dict[str, torch.Tensor]:
    """A LoRA of random numbers for layers, each with its outputs and inputs."""
    generator = torch.Generator().manual_seed(6)
    tensors: dict[str, torch.Tensor] = {}
    for layer, rows, columns in layers:
        tensors[name(layer, parts[0])] = torch.randn(rank, columns, generator=generator)
        tensors[name(layer, parts[1])] = torch.randn(rows, rank, generator=generator)
        if alpha is not None:
            tensors[f"{layer}.alpha"] = torch.tensor(alpha)
    return tensors


def saved(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path
