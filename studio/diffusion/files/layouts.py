"""Tensors under the names of first implementations → under those of diffusers' and transformers' networks.

All are views of what is given: no weight is read or copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from studio.diffusion.api import Check
from studio.diffusion.files import loading
from studio.models.kinds import count

Tensors = Mapping[str, torch.Tensor]
_CLIP_NAMES = {
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
    "attn.out_proj.": "self_attn.out_proj.",
}
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_CLIP_TOP = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


def unet(tensors: Tensors, check: Check) -> dict[str, torch.Tensor]:
    """A UNet's tensors, named without prefix, as UNet2DConditionModel names them."""
    if "conv_in.weight" in tensors:
        return dict(tensors)
    library = _library(check)
    downs = sum(name.startswith("input_blocks.") and name.endswith(".0.op.weight") for name in tensors)
    config: dict[str, Any] = {
        "layers_per_block": count(tensors, "output_blocks.") // (downs + 1) - 1,
        "class_embed_type": None,
        "addition_embed_type": None,
        "num_class_embeds": 1 if "label_emb.weight" in tensors else None,
    }
    if "label_emb.0.0.weight" in tensors:
        # Only where attention works at full size, too, the vector is a class; else it is text and time.
        is_class = any(name.startswith("input_blocks.1.1.") for name in tensors)
        config["class_embed_type" if is_class else "addition_embed_type"] = (
            "projection" if is_class else "text_time"
        )
    prefixed = {f"{library.LDM_UNET_KEY}{name}": tensor for name, tensor in tensors.items()}
    return library.convert_ldm_unet_checkpoint(prefixed, config)


def kl(tensors: Tensors, check: Check) -> dict[str, torch.Tensor]:
    """An autoencoder's tensors, named without prefix, as AutoencoderKL names them."""
    if "decoder.mid.block_1.norm1.weight" not in tensors:
        return {_newer(name): tensor for name, tensor in tensors.items()}
    levels = [""] * count(tensors, "encoder.down.")
    config = {"down_block_types": levels, "up_block_types": levels}
    return _library(check).convert_ldm_vae_checkpoint(dict(tensors), config)


def _newer(name: str) -> str:
    """What diffusers calls a tensor now: in autoencoders' attention its first releases had other names."""
    if ".attentions." not in name:
        return name
    for old, new in _OLD_ATTENTION.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name


def clip(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A CLIP text encoder's tensors, named without prefix, as the flat CLIPTextModel names them.

    The projection, where there is one, is ``text_projection.weight`` ``[out, in]`` beside them.
    """
    named: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("transformer.resblocks."):
            number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
            named.update(_block(f"encoder.layers.{number}.", rest, tensor))
        elif name in _CLIP_TOP:
            named[_CLIP_TOP[name]] = tensor
        elif name == "text_projection":
            named["text_projection.weight"] = tensor.T
        else:
            named[name.removeprefix("text_model.")] = tensor
    return named


def _block(prefix: str, name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    if name in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = name.rpartition("_")[2]
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{prefix}self_attn.{letter}_proj.{kind}": part for letter, part in parts}
    for old, new in _CLIP_NAMES.items():
        if name.startswith(old):
            return {prefix + new + name[len(old) :]: tensor}
    return {prefix + name: tensor}


def tiny(encoder: Tensors, decoder: Tensors) -> dict[str, torch.Tensor]:
    """The two halves of a tiny autoencoder, each numbered layers, as AutoencoderTiny names them."""
    named = {f"encoder.layers.{name}": tensor for name, tensor in encoder.items()}
    for name, tensor in decoder.items():
        number, _, rest = name.partition(".")
        # The first of the original layers, which has no weights, is not counted in the library's.
        named[f"decoder.layers.{int(number) - 1}.{rest}"] = tensor
    return named


def _library(check: Check) -> Any:
    return loading.imported("diffusers.loaders.single_file_utils", check)
