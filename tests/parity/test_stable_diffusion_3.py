"""Stable Diffusion 3 and 3.5 beside diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.guidance import perturbed_attention
from studio.diffusion.noise import initial
from tests.parity import tiny_transformers as tiny
from tests.parity.both import SEED, Ours, picture, theirs
from tests.parity.conftest import Compare

SHAPE = (1, 16, 16, 16)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SD 3 medium", {"large": True, "qk_norm": None}),
        ("SD 3.5 medium", {}),
        ("SD 3.5 large", {"large": True}),
    ],
)
def test_the_latents_and_pictures_are_those_of_diffusers(
    name: str, settings: dict[str, Any], tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion_3(**settings)
    pipe.save_pretrained(tmp_path)
    latents, image = theirs(pipe, latents=initial(SHAPE, SEED))
    ours = Ours(tmp_path)
    mine = ours.sampled(schedule="normal")
    compare(
        name,
        "text to image",
        "StableDiffusion3Pipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_without_t5_its_words_are_silent(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion_3(with_t5=False, joint_attention_dim=4096)
    pipe.save_pretrained(tmp_path)
    latents, painted = theirs(pipe, latents=initial(SHAPE, SEED))
    ours = Ours(tmp_path)
    mine = ours.sampled(schedule="normal")
    compare(
        "SD 3.5 medium",
        "text to image, without T5",
        "StableDiffusion3Pipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_perturbed_attention_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusion3PAGPipeline

    # diffusers' perturbed attention passes over the norms of queries and keys, so the network has none.
    pipe = tiny.stable_diffusion_3(large=True, qk_norm=None)
    pipe.save_pretrained(tmp_path)
    parts = {name: part for name, part in pipe.components.items() if "image_encoder" not in name}
    parts.pop("feature_extractor", None)
    pipe = StableDiffusion3PAGPipeline(**parts, pag_applied_layers=["blocks.1"])
    pipe.set_progress_bar_config(disable=True)
    latents, painted = theirs(pipe, latents=initial(SHAPE, SEED), pag_scale=2.0)
    ours = Ours(tmp_path)
    guided = perturbed_attention(ours.parts.model, scale=2.0, layers="1")
    mine = ours.sampled(model=guided, schedule="normal")
    compare(
        "SD 3 medium",
        "perturbed-attention guidance",
        "StableDiffusion3PAGPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_image_to_image_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusion3Img2ImgPipeline

    pipe = tiny.stable_diffusion_3()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    start = ours.encoded(picture())
    mine = ours.sampled(latent=start, schedule="normal", steps=5, denoise=0.5)
    pipe = StableDiffusion3Img2ImgPipeline(**pipe.components)
    pipe.set_progress_bar_config(disable=True)
    latents, painted = theirs(
        pipe,
        image=start.samples,
        strength=0.5,
        num_inference_steps=10,
        generator=torch.Generator().manual_seed(SEED),
        latents=None,
    )
    compare(
        "SD 3.5 medium",
        "image to image",
        "StableDiffusion3Img2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )
