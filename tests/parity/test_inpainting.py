"""Inpainting by models that were not made for it: under a noise mask, beside the pipelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.control import apply_controlnet
from nodes.guiders import distilled_guidance
from studio.types import Latent
from tests.parity import tiny, tiny_transformers
from tests.parity.both import NEGATIVE, PROMPT, SIDE_PX, Ours, picture, theirs
from tests.parity.conftest import Compare
from tests.parity.test_control import beside_xl, control_network, hint, named
from tests.parity.test_flux import run
from tests.parity.test_image_to_image import half

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZE = {"height": SIDE_PX, "width": SIDE_PX}


def hole() -> torch.Tensor:
    """What is painted anew ``[1, H, W]``, along the borders of latent pixels."""
    mask = torch.zeros(1, SIDE_PX, SIDE_PX)
    mask[:, 8:24, 12:] = 1
    return mask


def masked(ours: Ours) -> Latent:
    return replace(ours.encoded(picture()), noise_mask=hole()[:, ::2, ::2])


def test_stable_diffusion_xl_keeps_what_diffusers_keeps(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionXLInpaintPipeline

    plain = tiny.stable_diffusion_xl()
    plain.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    latent = masked(ours)
    mine = ours.sampled(latent=latent, denoise=0.5)
    pipe = beside_xl(StableDiffusionXLInpaintPipeline, plain)
    latents, image = theirs(pipe, image=latent.samples, mask_image=hole()[None], **half(**SIZE))
    compare(
        "SDXL",
        "noise mask",
        "StableDiffusionXLInpaintPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_stable_diffusion_3_keeps_what_diffusers_keeps(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusion3InpaintPipeline

    plain = tiny_transformers.stable_diffusion_3()
    plain.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    latent = masked(ours)
    mine = ours.sampled(latent=latent, schedule="normal", denoise=0.5)
    pipe = tiny.quiet(StableDiffusion3InpaintPipeline(**plain.components))
    latents, image = theirs(
        pipe,
        image=latent.samples,
        mask_image=hole()[None],
        masked_image_latents=latent.samples,
        **half(**SIZE),
    )
    compare(
        "SD 3.5 medium",
        "noise mask",
        "StableDiffusion3InpaintPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_flux_keeps_what_diffusers_keeps(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxInpaintPipeline

    pipe = tiny.quiet(FluxInpaintPipeline(**tiny_transformers.flux_parts()))
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    latent = masked(ours)
    told = distilled_guidance(ours.told(PROMPT), guidance=2.0)
    mine = ours.sampled(told, latent=latent, guidance=1.0, denoise=0.5)
    latents, image = run(
        pipe,
        prompt=PROMPT,
        image=latent.samples,
        mask_image=hole()[None],
        masked_image_latents=latent.samples,
        **half(**SIZE, guidance_scale=2.0),
    )
    compare(
        "Flux.1 dev",
        "noise mask",
        "FluxInpaintPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_a_controlnet_fills_a_hole_as_in_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionControlNetInpaintPipeline

    plain = tiny.stable_diffusion()
    plain.save_pretrained(tmp_path / "model")
    network, lines = control_network(plain), picture(seed=3)
    ours = Ours(tmp_path / "model")
    net = named(ours, network, tmp_path / "control")
    both = apply_controlnet(ours.told(PROMPT), ours.told(NEGATIVE), net, lines, strength=0.8)
    mine = ours.sampled(*both, latent=masked(ours), denoise=0.5)
    parts: dict[str, Any] = {**plain.components, "controlnet": network}
    pipe = tiny.quiet(StableDiffusionControlNetInpaintPipeline(**parts, requires_safety_checker=False))
    latents, image = theirs(
        pipe,
        image=hint(picture()),
        mask_image=hole()[None],
        control_image=hint(lines),
        controlnet_conditioning_scale=0.8,
        **half(**SIZE),
    )
    compare(
        "SD 1.x",
        "noise mask with a ControlNet",
        "StableDiffusionControlNetInpaintPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
