"""Keys of the original layout beside diffusers' own conversion of whole checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from studio.models.transformer_configs import flux_config, sd3_config
from studio.models.transformer_keys import Piece, flux_pieces, sd3_pieces, shapes_of

Tensors = dict[str, torch.Tensor]


def filled(name: str, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(hash(name) % 2**31)
    return torch.randn(shape, generator=generator)


def linear(found: Tensors, name: str, out: int, into: int = 1) -> None:
    found[f"{name}.weight"] = filled(name, out, into)
    found[f"{name}.bias"] = filled(name, out)


def original_sd3(layers: int = 3, *, normed: bool = True, dual: tuple[int, ...] = (0,)) -> Tensors:
    found: Tensors = {"pos_embed": filled("p", 1, 16, 8)}
    found["x_embedder.proj.weight"], found["x_embedder.proj.bias"] = filled("x", 8, 4, 2, 2), filled("y", 8)
    for name in ("t_embedder.mlp.0", "t_embedder.mlp.2", "y_embedder.mlp.0", "y_embedder.mlp.2"):
        linear(found, name, 8, 8)
    linear(found, "context_embedder", 8, 8)
    linear(found, "final_layer.linear", 16, 8)
    linear(found, "final_layer.adaLN_modulation.1", 16, 8)
    for i in range(layers):
        for side in ("x_block", "context_block"):
            at = f"joint_blocks.{i}.{side}"
            last = side == "context_block" and i == layers - 1
            linear(found, f"{at}.attn.qkv", 24, 8)
            linear(found, f"{at}.adaLN_modulation.1", 16 if last else 48, 8)
            if normed:
                found[f"{at}.attn.ln_q.weight"] = filled(f"{at}q", 4)
                found[f"{at}.attn.ln_k.weight"] = filled(f"{at}k", 4)
            if not last:
                linear(found, f"{at}.attn.proj", 8, 8)
                linear(found, f"{at}.mlp.fc1", 32, 8)
                linear(found, f"{at}.mlp.fc2", 8, 32)
            if side == "x_block" and i in dual:
                linear(found, f"{at}.attn2.qkv", 24, 8)
                linear(found, f"{at}.attn2.proj", 8, 8)
                found[f"{at}.attn2.ln_q.weight"] = filled(f"{at}2q", 4)
                found[f"{at}.attn2.ln_k.weight"] = filled(f"{at}2k", 4)
    return found


def original_flux(*, guided: bool = True) -> Tensors:
    """Of full width, which diffusers' conversion takes for granted; every layer takes one number."""
    found: Tensors = {}
    heads = ("time_in", "vector_in", "guidance_in") if guided else ("time_in", "vector_in")
    for name in heads:
        linear(found, f"{name}.in_layer", 3)
        linear(found, f"{name}.out_layer", 3)
    linear(found, "txt_in", 3)
    linear(found, "img_in", 3072)
    linear(found, "final_layer.linear", 64)
    linear(found, "final_layer.adaLN_modulation.1", 6144)
    for i in range(2):
        for side in ("img", "txt"):
            at = f"double_blocks.{i}.{side}"
            linear(found, f"{at}_mod.lin", 5)
            linear(found, f"{at}_attn.qkv", 9216)
            linear(found, f"{at}_attn.proj", 5)
            linear(found, f"{at}_mlp.0", 5)
            linear(found, f"{at}_mlp.2", 5)
            for norm in ("query_norm", "key_norm"):
                found[f"{at}_attn.norm.{norm}.scale"] = filled(f"{at}{norm}", 128)
    for i in range(3):
        at = f"single_blocks.{i}"
        linear(found, f"{at}.linear1", 3072 * 7)
        linear(found, f"{at}.linear2", 3072)
        linear(found, f"{at}.modulation.lin", 5)
        for norm in ("query_norm", "key_norm"):
            found[f"{at}.norm.{norm}.scale"] = filled(f"{at}{norm}", 128)
    return found


def cut(tensors: Tensors, piece: Piece) -> torch.Tensor:
    tensor = tensors[piece.key]
    if piece.rows is not None:
        tensor = tensor[slice(*piece.rows)]
    return torch.cat(tensor.chunk(2)[::-1]) if piece.swapped else tensor


def same_as_diffusers(pieces: Any, convert: Any, tensors: Tensors) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    found = pieces(shapes)
    expected: Tensors = convert(dict(tensors))
    assert found.keys() == expected.keys()
    told = shapes_of(found, shapes)
    for name, piece in found.items():
        assert torch.equal(cut(tensors, piece), expected[name]), name
        assert told[name] == tuple(expected[name].shape)


@pytest.mark.parametrize(("normed", "dual"), [(False, ()), (True, ()), (True, (0, 1))])
def test_sd3_is_read_as_diffusers_reads_it(normed: bool, dual: tuple[int, ...]) -> None:
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers as convert

    same_as_diffusers(sd3_pieces, convert, original_sd3(normed=normed, dual=dual))


@pytest.mark.parametrize("guided", [False, True])
def test_flux_is_read_as_diffusers_reads_it(guided: bool) -> None:
    from diffusers.loaders.single_file_utils import (
        convert_flux_transformer_checkpoint_to_diffusers as convert,
    )

    same_as_diffusers(flux_pieces, convert, original_flux(guided=guided))


def test_settings_of_sd3_are_told_from_its_weights() -> None:
    from diffusers import SD3Transformer2DModel

    settings: dict[str, Any] = {
        "patch_size": 2,
        "in_channels": 16,
        "num_layers": 3,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 48,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 20,
        "out_channels": 16,
        "pos_embed_max_size": 12,
        "dual_attention_layers": (0, 1),
        "qk_norm": "rms_norm",
    }
    network: Any = SD3Transformer2DModel(**settings)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert sd3_config(shapes) == settings


def test_settings_of_flux_are_told_from_its_weights() -> None:
    from diffusers import FluxTransformer2DModel

    settings: dict[str, Any] = {
        "patch_size": 1,
        "in_channels": 128,
        "out_channels": 64,
        "num_layers": 1,
        "num_single_layers": 2,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "joint_attention_dim": 48,
        "pooled_projection_dim": 20,
        "guidance_embeds": True,
        "axes_dims_rope": (4, 14, 14),
    }
    network: Any = FluxTransformer2DModel(**settings)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert flux_config(shapes) == settings
