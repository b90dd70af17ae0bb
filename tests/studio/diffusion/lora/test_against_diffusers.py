"""Our weights under a LoRA against those of diffusers, in every dialect that it converts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from torch import nn

from tests.studio.diffusion.lora import tiny

pytest.importorskip("peft")


@pytest.fixture(autouse=True)
def only_errors() -> Iterator[None]:
    """Diffusers warns of what PEFT does, and of other folders' configurations."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    yield
    logging.set_verbosity(before)


UNET_LAYERS = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": (8, 8),
    "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k": (8, 16),
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0": (16, 16),
    "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj": (64, 8),
    "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.2": (8, 32),
}
TEXT_LAYERS = {
    "encoder.layers.0.self_attn.q_proj": (16, 16),
    "encoder.layers.1.self_attn.out_proj": (16, 16),
    "encoder.layers.1.mlp.fc1": (32, 16),
}


def of_diffusers(
    pipeline: Any, tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]
) -> dict[str, Any]:
    """Weights after diffusers loaded and fused the LoRA; `names`: ours → the pipeline's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers and peft warn of each other
        pipeline.load_lora_weights({name: tensor.clone() for name, tensor in tensors.items()})
        parts = [name for name in names.values() if name in pipeline._lora_loadable_modules]
        pipeline.fuse_lora(components=parts)
    return {
        f"{ours}.{name.replace('.base_layer', '')}": tensor
        for ours, theirs in names.items()
        for name, tensor in getattr(pipeline, theirs).state_dict().items()
        if "lora_" not in name
    }


def compare(
    pipeline: Any, tensors: Mapping[str, torch.Tensor], names: Mapping[str, str], path: Path, count: int
) -> None:
    """`count`: how many weights must have changed."""
    modules: dict[str, nn.Module] = {ours: getattr(pipeline, theirs) for ours, theirs in names.items()}
    before = tiny.weights(modules)
    ours = tiny.patched(tiny.saved(path / "lora.safetensors", tensors), modules)
    theirs = of_diffusers(pipeline, tensors, names)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-5, msg=name)
    assert sum(not torch.equal(before[name], tensor) for name, tensor in ours.items()) == count


def stable_diffusion() -> Any:
    return StableDiffusionPipeline(
        vae=None,  # pyright: ignore[reportArgumentType]
        text_encoder=tiny.clip(),
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        unet=tiny.unet(),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )


SD_NAMES = {"unet": "unet", "clip_l": "text_encoder"}


def sized(layers: Mapping[str, tuple[int, int]], name: str) -> list[tuple[str, int, int]]:
    """Layers under what `name`, with the layer for {}, makes of them; underscores after a trailing one."""
    made: list[tuple[str, int, int]] = []
    for layer, (rows, columns) in layers.items():
        made.append((name.format(layer.replace(".", "_") if name.endswith("_{}") else layer), rows, columns))
    return made


def test_kohya(tmp_path: Path) -> None:
    layers = [*sized(UNET_LAYERS, "lora_unet_{}"), *sized(TEXT_LAYERS, "lora_te_text_model_{}")]
    compare(stable_diffusion(), tiny.lora(layers), SD_NAMES, tmp_path, 8)


def test_diffusers_now(tmp_path: Path) -> None:
    layers = [*sized(UNET_LAYERS, "unet.{}"), *sized(TEXT_LAYERS, "text_encoder.text_model.{}")]
    tensors = tiny.lora(layers, parts=("lora_A", "lora_B"), alpha=None)
    compare(stable_diffusion(), tensors, SD_NAMES, tmp_path, 8)


def test_diffusers_before_peft(tmp_path: Path) -> None:
    unet = tiny.lora(sized(UNET_LAYERS, "unet.{}"), parts=("lora.down", "lora.up"), alpha=None)
    text = tiny.lora(
        sized(TEXT_LAYERS, "text_encoder.text_model.{}"),
        parts=("lora_linear_layer.down", "lora_linear_layer.up"),
        alpha=None,
    )
    compare(stable_diffusion(), {**unet, **text}, SD_NAMES, tmp_path, 8)


def test_attention_processors(tmp_path: Path) -> None:
    def name(layer: str, part: str) -> str:
        block, _, last = layer.replace(".to_out.0", ".to_out").rpartition(".")
        return f"unet.{block}.processor.{last}_lora.{part}.weight"

    layers = [layer for layer in sized(UNET_LAYERS, "{}") if "attn" in layer[0]]
    tensors = tiny.lora(layers, name, ("down", "up"), alpha=None)
    pipeline = stable_diffusion()
    compare(pipeline, tensors, {"unet": "unet"}, tmp_path, 3)


def test_sdxl_in_the_original_layout_with_convolutions(tmp_path: Path) -> None:
    pipeline = StableDiffusionXLPipeline(
        vae=None,  # pyright: ignore[reportArgumentType]
        text_encoder=tiny.clip(),
        text_encoder_2=tiny.clip(24, projected=True),
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        tokenizer_2=None,  # pyright: ignore[reportArgumentType]
        unet=tiny.unet(),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        add_watermarker=False,
    )
    generator = torch.Generator().manual_seed(9)
    layers = [
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", 8, 8),
        ("lora_unet_middle_block_1_transformer_blocks_0_attn2_to_v", 16, 16),
        ("lora_unet_output_blocks_5_1_transformer_blocks_0_ff_net_2", 8, 32),
        ("lora_unet_input_blocks_2_0_emb_layers_1", 8, 32),
        ("lora_te1_text_model_encoder_layers_0_self_attn_out_proj", 16, 16),
        ("lora_te2_text_model_encoder_layers_1_self_attn_out_proj", 24, 24),
        ("lora_te2_text_model_encoder_layers_1_mlp_fc2", 24, 32),
    ]
    tensors = tiny.lora(layers)
    for layer, rows, columns in (("input_blocks_2_0_in_layers_2", 8, 8), ("input_blocks_3_0_op", 8, 8)):
        tensors[f"lora_unet_{layer}.lora_down.weight"] = torch.randn(2, columns, 3, 3, generator=generator)
        tensors[f"lora_unet_{layer}.lora_up.weight"] = torch.randn(rows, 2, 1, 1, generator=generator)
        tensors[f"lora_unet_{layer}.alpha"] = torch.tensor(1.0)
    names = {"unet": "unet", "clip_l": "text_encoder", "clip_g": "text_encoder_2"}
    compare(pipeline, tensors, names, tmp_path, 9)


def flux_pipeline() -> Any:
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=None,  # pyright: ignore[reportArgumentType]
        text_encoder=tiny.clip(),
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        text_encoder_2=tiny.t5(),
        tokenizer_2=None,  # pyright: ignore[reportArgumentType]
        transformer=tiny.flux(),
    )


def test_flux_of_diffusers(tmp_path: Path) -> None:
    layers = [
        ("transformer.transformer_blocks.1.attn.add_k_proj", 8, 8),
        ("transformer.transformer_blocks.0.norm1.linear", 48, 8),
        ("transformer.single_transformer_blocks.0.proj_mlp", 32, 8),
        ("transformer.x_embedder", 8, 4),
    ]
    tensors = tiny.lora(layers, parts=("lora_A", "lora_B"), alpha=None)
    compare(flux_pipeline(), tensors, {"transformer": "transformer"}, tmp_path, 4)


def test_flux_of_kohya(tmp_path: Path) -> None:
    layers = [
        ("lora_unet_double_blocks_0_img_attn_qkv", 24, 8),
        ("lora_unet_double_blocks_1_txt_attn_qkv", 24, 8),
        ("lora_unet_double_blocks_1_txt_attn_proj", 8, 8),
        ("lora_unet_double_blocks_1_img_mlp_0", 32, 8),
        ("lora_unet_double_blocks_1_txt_mod_lin", 48, 8),
        ("lora_unet_single_blocks_1_linear2", 8, 40),
        ("lora_unet_single_blocks_1_modulation_lin", 24, 8),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", 32, 16),
    ]
    names = {"transformer": "transformer", "clip_l": "text_encoder"}
    compare(flux_pipeline(), tiny.lora(layers), names, tmp_path, 3 + 3 + 6)


def test_sd3_of_diffusers(tmp_path: Path) -> None:
    pipeline = StableDiffusion3Pipeline(
        transformer=tiny.sd3(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=None,  # pyright: ignore[reportArgumentType]
        text_encoder=tiny.clip(projected=True),
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        text_encoder_2=tiny.clip(24, projected=True),
        tokenizer_2=None,  # pyright: ignore[reportArgumentType]
        text_encoder_3=tiny.t5(),
        tokenizer_3=None,  # pyright: ignore[reportArgumentType]
    )
    layers = [
        ("transformer.transformer_blocks.0.attn2.to_q", 8, 8),
        ("transformer.transformer_blocks.1.ff.net.0.proj", 32, 8),
        ("transformer.transformer_blocks.0.attn.to_add_out", 8, 8),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", 16, 16),
        ("text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj", 24, 24),
    ]
    tensors = tiny.lora(layers, parts=("lora_A", "lora_B"), alpha=None)
    names = {"transformer": "transformer", "clip_l": "text_encoder", "clip_g": "text_encoder_2"}
    compare(pipeline, tensors, names, tmp_path, 5)


@pytest.mark.parametrize("kind", ["lora", "dora", "loha", "lokr", "oft"])
def test_peft_adapters_of_a_unet(tmp_path: Path, kind: str) -> None:
    import peft

    targets = ["to_q", "to_out.0", "conv1", "proj_in"]
    configs: dict[str, Any] = {
        "lora": lambda: peft.LoraConfig(r=2, lora_alpha=2, target_modules=targets, init_lora_weights=False),
        "dora": lambda: peft.LoraConfig(
            r=2, lora_alpha=2, target_modules=targets, init_lora_weights=False, use_dora=True
        ),
        "loha": lambda: peft.LoHaConfig(
            r=2, alpha=2, target_modules=targets, init_weights=False, use_effective_conv2d=True
        ),
        "lokr": lambda: peft.LoKrConfig(
            r=2, alpha=2, target_modules=targets, init_weights=False, use_effective_conv2d=True
        ),
        "oft": lambda: peft.OFTConfig(
            oft_block_size=4, r=0, target_modules=["to_q", "to_out.0"], init_weights=False
        ),
    }
    network = tiny.unet()
    torch.manual_seed(10)
    model = peft.get_peft_model(network, configs[kind]())
    model.save_pretrained(str(tmp_path))
    ours = tiny.patched(tmp_path / "adapter_model.safetensors", {"unet": tiny.unet()})
    merged = model.merge_and_unload()
    theirs = tiny.weights({"unet": merged})
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-5, msg=name)
    untouched = tiny.weights({"unet": tiny.unet()})
    assert sum(not torch.equal(untouched[name], tensor) for name, tensor in ours.items()) > 10
