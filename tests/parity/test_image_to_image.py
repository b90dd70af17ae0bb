"""Image to image with the models that text to image is compared with, alone and led by a ControlNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.control import apply_controlnet
from nodes.guiders import distilled_guidance
from tests.parity import tiny, tiny_transformers
from tests.parity.both import NEGATIVE, PROMPT, SEED, SIDE_PX, Ours, picture, theirs
from tests.parity.conftest import Compare
from tests.parity.test_control import control_network, hint, named
from tests.parity.test_flux import run

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def half(**more: Any) -> dict[str, Any]:
    """What tells a pipeline to take the last 5 of 10 steps, from our noise."""
    return {
        "strength": 0.5,
        "num_inference_steps": 10,
        "generator": torch.Generator().manual_seed(SEED),
        "height": None,
        "width": None,
        "latents": None,
    } | more


def test_stable_diffusion_xl_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionXLImg2ImgPipeline

    plain = tiny.stable_diffusion_xl()
    plain.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    start = ours.encoded(picture())
    mine = ours.sampled(latent=start, denoise=0.5)
    pipe = tiny.quiet(StableDiffusionXLImg2ImgPipeline(**plain.components, add_watermarker=False))
    size = (SIDE_PX, SIDE_PX)
    latents, image = theirs(pipe, image=start.samples, **half(original_size=size, target_size=size))
    compare(
        "SDXL",
        "image to image",
        "StableDiffusionXLImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_flux_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxImg2ImgPipeline

    pipe = tiny.quiet(FluxImg2ImgPipeline(**tiny_transformers.flux_parts()))
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    start = ours.encoded(picture())
    told = distilled_guidance(ours.told(PROMPT), guidance=2.0)
    mine = ours.sampled(told, latent=start, guidance=1.0, denoise=0.5)
    told_to = half(height=SIDE_PX, width=SIDE_PX, prompt=PROMPT, guidance_scale=2.0)
    latents, image = run(pipe, image=start.samples, **told_to)
    compare(
        "Flux.1 dev",
        "image to image",
        "FluxImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_a_controlnet_leads_a_picture_as_in_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionControlNetImg2ImgPipeline

    plain = tiny.stable_diffusion()
    plain.save_pretrained(tmp_path / "model")
    network, lines = control_network(plain), picture(seed=3)
    ours = Ours(tmp_path / "model")
    start = ours.encoded(picture())
    net = named(ours, network, tmp_path / "control")
    both = apply_controlnet(ours.told(PROMPT), ours.told(NEGATIVE), net, lines, strength=0.8)
    mine = ours.sampled(*both, latent=start, denoise=0.5)
    parts = {**plain.components, "controlnet": network}
    pipe = tiny.quiet(StableDiffusionControlNetImg2ImgPipeline(**parts, requires_safety_checker=False))
    latents, image = theirs(
        pipe,
        image=start.samples,
        control_image=hint(lines),
        controlnet_conditioning_scale=0.8,
        **half(height=SIDE_PX, width=SIDE_PX),
    )
    compare(
        "SD 1.x",
        "image to image with a ControlNet",
        "StableDiffusionControlNetImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
