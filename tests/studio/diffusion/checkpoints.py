"""Small networks of random weights, and single files of them under the names of first implementations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]
VOCABULARY = 49408
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "class_embedding": "label_emb",
}
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def shuffled(network: Any) -> Any:
    """The network with weights that differ from tensor to tensor, norms and biases too."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 1:
                weight.copy_(torch.randn(weight.shape, generator=random) * 0.1 + ("norm" in name))
            else:
                weight.copy_(torch.randn(weight.shape, generator=random) * (0.7 / weight[0].numel() ** 0.5))
    return network.eval()


def unet(context: int = 32, *, levels: int = 2, **settings: Any) -> Any:
    """A UNet with attention at full size, unless told otherwise."""
    from diffusers import UNet2DConditionModel

    given: dict[str, Any] = {
        "block_out_channels": (32, 64, 64, 64)[:levels],
        "layers_per_block": 1,
        "down_block_types": (*("CrossAttnDownBlock2D",) * (levels - 1), "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * (levels - 1)),
        "cross_attention_dim": context,
        "attention_head_dim": 8,
    }
    return shuffled(UNet2DConditionModel(**{**given, **settings}))


def vae(*, levels: int = 4, **settings: Any) -> Any:
    """An autoencoder."""
    from diffusers import AutoencoderKL

    given: dict[str, Any] = {
        "block_out_channels": (32,) * levels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": 1,
        "latent_channels": 4,
    }
    return shuffled(AutoencoderKL(**{**given, **settings}))


def tiny_vae(channels: int = 4) -> Any:
    """A tiny autoencoder, even smaller than usual."""
    from diffusers import AutoencoderTiny

    widths: dict[str, Any] = dict.fromkeys(
        ("encoder_block_out_channels", "decoder_block_out_channels"), (64,) * 4
    )
    blocks: dict[str, Any] = dict.fromkeys(("num_encoder_blocks", "num_decoder_blocks"), (1,) * 4)
    return shuffled(AutoencoderTiny(latent_channels=channels, **widths, **blocks))


def clip(width: int = 32, *, layers: int = 2, projected: bool = False, act: str = "quick_gelu") -> Any:
    """A CLIP text encoder with the usual vocabulary."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    settings = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        projection_dim=width,
        hidden_act=act,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=VOCABULARY - 1 if act == "quick_gelu" else 0,
    )
    kind: Any = CLIPTextModelWithProjection if projected else CLIPTextModel
    return shuffled(kind(settings))


def original_unet(network: Any) -> Tensors:
    """Its tensors as the first implementation names them."""
    layers = int(network.config.layers_per_block)
    found: Tensors = {}
    for name, tensor in network.state_dict().items():
        found[_unet_name(name, layers, network)] = tensor
    return found


def _unet_name(name: str, layers: int, network: Any) -> str:
    if match := re.match(r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
        place = 1 + int(match[1]) * (layers + 1) + int(match[3])
        return _inner(f"input_blocks.{place}", match[2], match[4])
    if match := re.match(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.*)", name):
        return f"input_blocks.{(int(match[1]) + 1) * (layers + 1)}.0.op.{match[2]}"
    if match := re.match(r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
        place = int(match[1]) * (layers + 1) + int(match[3])
        return _inner(f"output_blocks.{place}", match[2], match[4])
    if match := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.*)", name):
        attends = "CrossAttn" in network.config.up_block_types[int(match[1])]
        place = int(match[1]) * (layers + 1) + layers
        return f"output_blocks.{place}.{2 if attends else 1}.conv.{match[2]}"
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name):
        if match[1] == "attentions":
            return f"middle_block.1.{match[3]}"
        return f"middle_block.{int(match[2]) * 2}.{_resnet(match[3])}"
    top, _, end = name.rpartition(".")
    return f"{_TOP[top]}.{end}"


def _inner(place: str, kind: str, rest: str) -> str:
    return f"{place}.0.{_resnet(rest)}" if kind == "resnets" else f"{place}.1.{rest}"


def _resnet(rest: str) -> str:
    name, _, end = rest.rpartition(".")
    return f"{_RESNET[name]}.{end}"


def original_vae(network: Any) -> Tensors:
    """Its tensors as the first implementation names them; its attention's are convolutions there."""
    levels = len(network.config.block_out_channels)
    found: Tensors = {}
    for name, tensor in network.state_dict().items():
        new = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", new)
        new = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", new)
        new = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d+)", lambda match: f"up.{levels - 1 - int(match[1])}", new)
        new = new.replace(".resnets.", ".block.").replace(".upsamplers.0.", ".upsample.")
        if match := re.match(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.*)\.(weight|bias)", new):
            new = f"{match[1]}.mid.attn_1.{_ATTENTION[match[2]]}.{match[3]}"
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        found[new] = tensor
    return found


def open_clip(network: Any) -> Tensors:
    """A text encoder's tensors as OpenCLIP names them."""
    given = {name.removeprefix("text_model."): tensor for name, tensor in network.state_dict().items()}
    found: Tensors = {
        "token_embedding.weight": given.pop("embeddings.token_embedding.weight"),
        "positional_embedding": given.pop("embeddings.position_embedding.weight"),
        "ln_final.weight": given.pop("final_layer_norm.weight"),
        "ln_final.bias": given.pop("final_layer_norm.bias"),
        "logit_scale": torch.tensor(4.6),
    }
    if "text_projection.weight" in given:
        found["text_projection"] = given.pop("text_projection.weight").T.contiguous()
    for layer in range(int(network.config.num_hidden_layers)):
        old, new = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for end in ("weight", "bias"):
            parts = [given.pop(f"{old}self_attn.{letter}_proj.{end}") for letter in "qkv"]
            found[f"{new}attn.in_proj_{end}"] = torch.cat(parts)
            for inner, outer in _CLIP.items():
                found[f"{new}{outer}.{end}"] = given.pop(f"{old}{inner}.{end}")
    assert not given, sorted(given)
    return found


def plain_clip(network: Any) -> Tensors:
    """A text encoder's tensors as older releases of transformers, and single files, name them."""
    given = {name.removeprefix("text_model."): tensor for name, tensor in network.state_dict().items()}
    top = ("text_projection.weight",)
    return {name if name in top else f"text_model.{name}": tensor for name, tensor in given.items()}


def save(path: Path, *parts: tuple[str, Mapping[str, torch.Tensor]], **metadata: str) -> Path:
    """Write one file of several networks, each under what its names begin with."""
    tensors = {prefix + name: tensor for prefix, part in parts for name, tensor in part.items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata or None)
    return path


def save_folder(
    folder: Path, index: Mapping[str, Any], scheduler: Mapping[str, Any], **networks: Any
) -> Path:
    """Write a diffusers folder of networks, by the names of their folders."""
    folder.mkdir()
    listed = {name: ["diffusers", type(network).__name__] for name, network in networks.items()}
    (folder / "model_index.json").write_text(json.dumps({**listed, **index}))
    for name, network in networks.items():
        network.save_pretrained(folder / name)
    (folder / "scheduler").mkdir()
    usual = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    settings = {**usual, "num_train_timesteps": 1000, **scheduler}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(settings))
    return folder
