"""Networks at full size with random weights, written as people's files are: for benchmarks and slow tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from studio.paths import assets_dir
from tests.studio.diffusion.checkpoints import original_unet, original_vae, plain_clip

RANK = 16
SD1: Mapping[str, Mapping[str, Any]] = {
    "unet": {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 64,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "vae": {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 512,
    },
    "text_encoder": {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "vocab_size": 49408,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
        "projection_dim": 768,
    },
    "scheduler": {
        "_class_name": "DDIMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    },
}
_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "requires_safety_checker": False,
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def single_file(folder: Path) -> Path:
    """Write Stable Diffusion 1 as one file in fp16 under the first implementation's names.

    Beside it, in ``config``, lies the folder of configurations that diffusers asks for.
    """
    path = folder / "sd1.safetensors"
    if not path.exists():
        unet, vae, clip = networks()
        parts = (
            ("model.diffusion_model.", original_unet(unet)),
            ("first_stage_model.", original_vae(vae)),
            ("cond_stage_model.transformer.", plain_clip(clip)),
        )
        write(path, (named for prefix, part in parts for named in _below(prefix, part)))
        _configurations(folder / "config", unet, vae, clip)
    return path


def networks() -> tuple[Any, Any, Any]:
    """UNet, VAE and text encoder of Stable Diffusion 1, without weights."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(**_settings("unet"))
        vae = AutoencoderKL(**_settings("vae"))
        clip = CLIPTextModel(CLIPTextConfig(**_settings("text_encoder")))
    return unet, vae, clip


def lora_file(folder: Path) -> Path:
    """Write a LoRA for the attention of Stable Diffusion 1's UNet, as kohya's tools do."""
    path = folder / "lora.safetensors"
    if not path.exists():
        found: dict[str, torch.Tensor] = {}
        for name, weight in networks()[0].state_dict().items():
            if ".attentions." in name and name.endswith(".weight") and weight.ndim == 2:
                key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
                found[f"{key}.lora_down.weight"] = torch.empty(RANK, weight.shape[1], device="meta")
                found[f"{key}.lora_up.weight"] = torch.empty(weight.shape[0], RANK, device="meta")
        write(path, found.items())
    return path


def write(path: Path, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Fill tensors that have none with small random numbers in fp16, and write them."""
    torch.manual_seed(0)
    filled: dict[str, torch.Tensor] = {}
    for name, tensor in tensors:
        weight = torch.empty(tensor.shape, dtype=torch.float16)
        scale = 0.1 if tensor.ndim < 2 else tensor[0].numel() ** -0.5
        filled[name] = weight.normal_(0, scale)
        if tensor.ndim == 1 and name.endswith("weight"):
            filled[name] += 1
    save_file(filled, path)


def _below(prefix: str, part: Mapping[str, torch.Tensor]) -> Iterable[tuple[str, torch.Tensor]]:
    return ((prefix + name, tensor) for name, tensor in part.items())


def _settings(part: str) -> dict[str, Any]:
    return {name: value for name, value in SD1[part].items() if name not in ("_class_name", "architectures")}


def _configurations(folder: Path, unet: Any, vae: Any, clip: Any) -> None:
    """The folder of a pipeline without its weights; diffusers wants every setting written down."""
    written = {
        "unet/config.json": unet.to_json_string(),
        "vae/config.json": vae.to_json_string(),
        "text_encoder/config.json": clip.config.to_json_string(use_diff=False),
        "scheduler/scheduler_config.json": json.dumps(SD1["scheduler"]),
    }
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    (folder / "model_index.json").write_text(json.dumps(_INDEX))
    (folder / "tokenizer").mkdir()
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(assets_dir() / "configs/clip" / name, folder / "tokenizer")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    told = {
        **special,
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "unk_token": "<|endoftext|>",
    }
    (folder / "tokenizer/tokenizer_config.json").write_text(json.dumps(told))
