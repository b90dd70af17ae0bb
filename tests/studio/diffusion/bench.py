"""A run of its own for calls to nodes, weights on the CPU in float32, and a small model of random weights."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from studio.context import Context, RunFacts
from studio.diffusion.device import Place
from studio.diffusion.weights import WeightsStore
from studio.events import Picture
from studio.paths import assets_dir
from studio.registry import Registry, discover

Report = Callable[[int, int, "Picture | None"], None]


@functools.cache
def registry() -> Registry:
    return discover()


@functools.cache
def weights() -> WeightsStore:
    return store()


def store(budget_bytes: int | None = None) -> WeightsStore:
    """A weights store whose number format does not depend on the machine."""
    made = WeightsStore("cpu", budget_bytes=budget_bytes)
    made.place = Place("cpu", "float32", "test", "For tests.")
    return made


def context(
    *,
    folder: Path | None = None,
    report: Report = lambda done, total, picture: None,
    checkpoints: Any = None,
    cancelled: threading.Event | None = None,
    using: WeightsStore | None = None,
    **facts: Any,
) -> Context:
    return Context(
        node="it",
        facts=RunFacts("run", datetime(2026, 1, 2, 3, 4, 5), folder or Path(), **facts),
        cancelled=cancelled or threading.Event(),
        report=report,
        saved=lambda path: None,
        weights=using or weights(),
        checkpoints=checkpoints,
        extensions=registry().extensions,
    )


def tiny_model(folder: Path, prediction: str = "epsilon") -> Path:
    """A pipeline folder of random weights, small enough for many steps."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.3,
    ).save_pretrained(folder / "vae")
    settings = CLIPTextConfig(
        vocab_size=1628,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=1626,
        eos_token_id=1627,
        pad_token_id=1627,
    )
    CLIPTextModel(settings).save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    starter = assets_dir() / "starter"
    shutil.copytree(starter / "tokenizer", folder / "tokenizer")
    shutil.copy(starter / "model_index.json", folder)
    return folder
