"""Models distilled to few steps, beside the pipelines and schedulers made for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.guiders import distilled_guidance
from studio.diffusion.noise import initial
from tests.parity import tiny
from tests.parity.both import PROMPT, SEED, SIDE_PX, Ours, start, theirs
from tests.parity.conftest import Compare

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
NOISE = (1, 4, SIDE_PX // 2, SIDE_PX // 2)


def of_a_solver() -> torch.Generator:
    """The noise that our solvers add on the way."""
    return torch.Generator().manual_seed(SEED + 1)


def lcm(pipe: Any) -> Any:
    """The pipeline's scheduler as one of latent consistency models."""
    from diffusers import LCMScheduler

    return LCMScheduler.from_config(pipe.scheduler.config)


@pytest.mark.parametrize("family", ["SD 1.x", "SDXL"])
def test_latent_consistency_gives_the_latents_of_diffusers(
    family: str, tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion() if family == "SD 1.x" else tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    mine = ours.sampled(solver="lcm", guidance=1.0)
    pipe.scheduler = lcm(pipe)
    latents, image = theirs(
        pipe,
        guidance_scale=1.0,
        negative_prompt=None,
        latents=initial(NOISE, SEED),
        generator=of_a_solver(),
    )
    compare(
        f"{family} LCM",
        "text to image",
        type(pipe).__name__,
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_a_model_that_is_told_its_guidance_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare
) -> None:
    from diffusers import LatentConsistencyModelPipeline

    plain = tiny.stable_diffusion(time_cond_proj_dim=32)
    plain.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    told = distilled_guidance(ours.told(PROMPT), guidance=8.5)
    mine = ours.sampled(told, solver="lcm", guidance=1.0)
    parts = {**plain.components, "scheduler": lcm(plain)}
    pipe = tiny.quiet(LatentConsistencyModelPipeline(**parts, requires_safety_checker=False))
    latents, image = theirs(
        pipe,
        guidance_scale=8.5,
        negative_prompt=None,
        latents=initial(NOISE, SEED),
        generator=of_a_solver(),
    )
    compare(
        "SD 1.x LCM",
        "text to image, told its guidance",
        "LatentConsistencyModelPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_turbo_with_noise_on_the_way_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import EulerAncestralDiscreteScheduler

    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    mine = ours.sampled(solver="euler_ancestral", steps=4, guidance=1.0)
    pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    latents, image = theirs(
        pipe,
        num_inference_steps=4,
        guidance_scale=0.0,
        negative_prompt=None,
        latents=start(pipe, steps=4),
        generator=of_a_solver(),
    )
    compare(
        "SDXL Turbo",
        "text to image, four steps with noise",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
