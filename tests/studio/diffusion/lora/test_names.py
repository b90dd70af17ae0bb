from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from studio.diffusion.lora.names import Target, find, targets_of
from tests.studio.diffusion.lora import tiny


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(layer.weight.shape)
        for name, layer in module.named_modules()
        if isinstance(getattr(layer, "weight", None), torch.Tensor)
    }


def layers_named(module: nn.Module, network: str, name: str, *, bare: bool = True) -> list[str]:
    return [target.layer for target in find(name, network, targets_of(shapes(module)), bare=bare)]


def test_every_layer_of_a_unet_has_the_name_that_diffusers_knows_it_by() -> None:
    """Names of the original layout are checked against diffusers' own conversion of whole checkpoints."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    network = tiny.unet(block_out_channels=(8, 16, 16), layers_per_block=2, **THREE_LEVELS)
    targets = targets_of(shapes(network))
    weights = network.state_dict()
    original: dict[str, torch.Tensor] = {}
    for name, found in targets.items():
        if name.startswith(("input_", "middle_", "output_", "time_embed_", "out_")):
            dotted = dotted_of(name)
            for part in ("weight", "bias"):
                if f"{found[0].layer}.{part}" in weights:
                    original[f"{dotted}.{part}"] = weights[f"{found[0].layer}.{part}"]
    assert len(original) == len(weights)
    original = {f"model.diffusion_model.{name}": tensor for name, tensor in original.items()}
    converted = convert_ldm_unet_checkpoint(original, dict(network.config))
    assert converted.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(converted[name], tensor), name


THREE_LEVELS: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}
_WORDS = [
    "input_blocks",
    "middle_block",
    "output_blocks",
    "time_embed",
    "emb_layers",
    "in_layers",
    "out_layers",
    "skip_connection",
    "transformer_blocks",
    "proj_in",
    "proj_out",
    "to_q",
    "to_k",
    "to_v",
    "to_out",
]


def dotted_of(flat: str) -> str:
    for index, word in enumerate(_WORDS):
        flat = flat.replace(word, f"<{index}>")
    flat = flat.replace("_", ".")
    for index, word in enumerate(_WORDS):
        flat = flat.replace(f"<{index}>", word)
    return flat


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lora_unet_mid_block_attentions_0_proj_in", "mid_block.attentions.0.proj_in"),
        ("lora_unet_middle_block_1_proj_in", "mid_block.attentions.0.proj_in"),
        ("lora_unet_input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"),
        ("lora_unet_output_blocks_2_1_conv", "up_blocks.0.upsamplers.0.conv"),
        ("diffusion_model.output_blocks.3.1.proj_in", "up_blocks.1.attentions.0.proj_in"),
        ("model.diffusion_model.time_embed.2", "time_embedding.linear_2"),
        ("unet.conv_in", "conv_in"),
        ("base_model.model.conv_out", "conv_out"),
        ("base_model.model.unet.conv_out", "conv_out"),
        ("lycoris_down_blocks_0_resnets_1_conv1", "down_blocks.0.resnets.1.conv1"),
        ("conv_norm_out", "conv_norm_out"),
    ],
)
def test_a_unet_is_known_by_all_its_names(name: str, layer: str) -> None:
    assert layers_named(tiny.unet(), "unet", name) == [layer]


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("clip_l", "lora_te_text_model_encoder_layers_1_mlp_fc1"),
        ("clip_l", "lora_te1_text_model_encoder_layers_1_mlp_fc1"),
        ("clip_l", "text_encoder.text_model.encoder.layers.1.mlp.fc1"),
        ("clip_l", "text_encoder.encoder.layers.1.mlp.fc1"),
        ("clip_l", "text_encoders.clip_l.transformer.text_model.encoder.layers.1.mlp.fc1"),
        ("clip_h", "lora_te_text_model_encoder_layers_1_mlp_fc1"),
        ("clip_g", "lora_te2_text_model_encoder_layers_1_mlp_fc1"),
        ("clip_g", "text_encoder_2.text_model.encoder.layers.1.mlp.fc1"),
    ],
)
def test_clip_is_known_by_all_its_names(network: str, name: str, projected: bool) -> None:
    [layer] = layers_named(tiny.clip(projected=projected), network, name, bare=False)
    assert layer.removeprefix("text_model.") == "encoder.layers.1.mlp.fc1"
    assert layer in shapes(tiny.clip(projected=projected))


def test_a_name_meant_for_another_network_is_no_ones_here() -> None:
    assert layers_named(tiny.clip(), "clip_l", "lora_te2_text_model_encoder_layers_1_mlp_fc1") == []
    assert layers_named(tiny.clip(), "clip_g", "text_model.encoder.layers.1.mlp.fc1", bare=False) == []
    assert layers_named(tiny.unet(), "unet", "lora_te_text_model_encoder_layers_1_mlp_fc1") == []


@pytest.mark.parametrize("prefix", ["lora_te3_", "lora_te2_", "text_encoder_2_", "text_encoder_3_"])
def test_t5_is_known_by_all_its_names(prefix: str) -> None:
    name = f"{prefix}encoder_block_1_layer_1_DenseReluDense_wi_0"
    assert layers_named(tiny.t5(), "t5", name, bare=False) == ["encoder.block.1.layer.1.DenseReluDense.wi_0"]


def original_names(targets: Mapping[str, tuple[Target, ...]]) -> Iterator[tuple[str, tuple[Target, ...]]]:
    """Names of the original layout, with dots where they belong."""
    words = [
        "double_blocks",
        "single_blocks",
        "joint_blocks",
        "img_attn",
        "txt_attn",
        "img_mlp",
        "txt_mlp",
        "img_mod",
        "txt_mod",
        "query_norm",
        "key_norm",
        "img_in",
        "txt_in",
        "time_in",
        "vector_in",
        "guidance_in",
        "in_layer",
        "out_layer",
        "final_layer",
        "adaLN_modulation",
        "x_block",
        "context_block",
        "ln_q",
        "ln_k",
        "x_embedder",
        "t_embedder",
        "y_embedder",
        "context_embedder",
    ]
    starts = tuple(words)
    for name, found in targets.items():
        if not name.startswith(starts):
            continue
        flat = name
        for index, word in enumerate(words):
            flat = flat.replace(word, f"<{index}>")
        flat = flat.replace("_", ".")
        for index, word in reversed(list(enumerate(words))):
            flat = flat.replace(f"<{index}>", word)
        yield flat, found


def test_every_layer_of_flux_has_its_original_name() -> None:
    targets = targets_of(shapes(tiny.flux()))
    hidden = 8
    fused = {target.layer: target.rows for target in targets["double_blocks_1_img_attn_qkv"]}
    assert fused == {
        f"transformer_blocks.1.attn.to_{letter}": ((place * hidden, (place + 1) * hidden),)
        for place, letter in enumerate("qkv")
    }
    single = {target.layer: target.rows for target in targets["single_blocks_0_linear1"]}
    assert single["single_transformer_blocks.0.proj_mlp"] == ((3 * hidden, 7 * hidden),)
    [last] = targets["final_layer_adaLN_modulation_1"]
    assert (last.layer, last.rows) == ("norm_out.linear", ((8, 16), (0, 8)))
    named = {target.layer for name, found in original_names(targets) for target in found}
    assert named == set(shapes(tiny.flux()))


def test_every_layer_of_sd3_has_its_original_name() -> None:
    """Weights under their original names, converted by diffusers, are the weights again."""
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers

    network = tiny.sd3()
    weights = network.state_dict()
    original = {"pos_embed": weights["pos_embed.pos_embed"]}
    for name, found in original_names(targets_of(shapes(network))):
        for part in ("weight", "bias"):
            if f"{found[0].layer}.{part}" in weights:
                joined = torch.cat([weights[f"{target.layer}.{part}"] for target in found])
                if len(found) == 1 and found[0].rows is not None:
                    joined = joined.roll(len(joined) // 2, 0)
                original[f"{name}.{part}"] = joined
    converted = convert_sd3_transformer_checkpoint_to_diffusers(original)
    assert converted.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(converted[name], tensor), name
