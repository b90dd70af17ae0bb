"""Models that are shown pictures beside the latent, beside their pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nodes.guiders import dual_cfg_guider
from nodes.image_conditioning import (
    depth_conditioning,
    edit_conditioning,
    inpaint_model_conditioning,
    upscale_conditioning,
)
from nodes.image_prompts import encode_image, load_clip_vision, unclip_conditioning
from nodes.noise import latent_from_batch, random_noise
from nodes.sampling import sample_custom
from nodes.schedules import schedule_sigmas
from studio.diffusion.autoencoder import encode
from studio.types import Latent, SolverChoice
from tests.parity import tiny
from tests.parity.both import GUIDANCE, NEGATIVE, PROMPT, SEED, SIDE_PX, STEPS, Ours, picture, start, theirs
from tests.parity.conftest import Compare
from tests.parity.test_control import beside_xl
from tests.parity.test_ip_adapter import SEEN, as_pil, encoder, processor

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def pixels(image: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()


def hole() -> np.ndarray[Any, Any]:
    mask = np.zeros((1, SIDE_PX, SIDE_PX), np.float32)
    mask[:, 5:20, 9:26] = 1
    return mask


@pytest.mark.parametrize("family", ["SD 1.x", "SDXL"])
def test_nine_channels_give_the_latents_of_diffusers(tmp_path: Path, compare: Compare, family: str) -> None:
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline

    made = tiny.stable_diffusion if family == "SD 1.x" else tiny.stable_diffusion_xl
    pipe = made(in_channels=9)
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image = picture(seed=3)
    told = inpaint_model_conditioning(
        ours.ctx, ours.told(PROMPT), ours.told(NEGATIVE), ours.parts.vae, image, hole()
    )
    mine = ours.sampled(told.positive, told.negative, ours.canvas(), guidance=2.0)
    kind: Any = StableDiffusionInpaintPipeline if family == "SD 1.x" else StableDiffusionXLInpaintPipeline
    only = {"requires_safety_checker": False} if family == "SD 1.x" else {}
    beside = kind(**pipe.components, **only)
    beside.set_progress_bar_config(disable=True)
    latents, images = theirs(
        beside,
        image=pixels(image),
        mask_image=torch.from_numpy(hole())[None],
        strength=1.0,
        guidance_scale=2.0,
    )
    compare(
        family,
        "inpainting with 9 channels",
        kind.__name__,
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), images),
    )


def test_what_is_kept_stays_as_it_is(tmp_path: Path) -> None:
    pipe = tiny.stable_diffusion(in_channels=9)
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image = picture(seed=3)
    told = inpaint_model_conditioning(ours.ctx, ours.told(PROMPT), None, ours.parts.vae, image, hole())
    mine = ours.sampled(told.positive, told.negative, told.latent, guidance=1.0)
    whole = encode(ours.ctx, ours.parts.vae, image).samples
    assert torch.allclose(mine.samples[..., :2], whole[..., :2], atol=1e-5)
    assert not torch.allclose(mine.samples[..., 6:8, 6:10], whole[..., 6:8, 6:10], atol=1e-2)


@pytest.mark.parametrize("family", ["SD 1.x", "SDXL"])
def test_editing_by_instruction_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare, family: str
) -> None:
    from diffusers import StableDiffusionInstructPix2PixPipeline, StableDiffusionXLInstructPix2PixPipeline

    made = tiny.stable_diffusion if family == "SD 1.x" else tiny.stable_diffusion_xl
    pipe = made(in_channels=8)
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image = picture(seed=3)
    told = edit_conditioning(ours.ctx, ours.told(PROMPT), ours.told(NEGATIVE), ours.parts.vae, image)
    guider = dual_cfg_guider(
        ours.parts.model,
        told.positive,
        told.negative,
        told.pictureless,
        guidance=GUIDANCE,
        middle_guidance=1.5,
    )
    mine = sampled(ours, guider)
    if family == "SD 1.x":
        kind: Any = StableDiffusionInstructPix2PixPipeline
        beside = tiny.quiet(kind(**pipe.components, requires_safety_checker=False))
    else:
        kind = StableDiffusionXLInstructPix2PixPipeline
        beside = beside_xl(kind, pipe)
    latents, painted = theirs(
        beside, image=pixels(image), image_guidance_scale=1.5, height=None, width=None, latents=start(pipe)
    )
    compare(
        family,
        "editing by instruction (InstructPix2Pix)",
        kind.__name__,
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def sampled(ours: Ours, guider: Any) -> Latent:
    """Euler over ``simple`` under a guider."""
    sigmas = schedule_sigmas(ours.ctx, ours.parts.model, schedule="simple", steps=STEPS)
    noise, solver = random_noise(seed=SEED), SolverChoice("euler")
    return sample_custom(ours.ctx, noise, guider, solver, sigmas, ours.canvas()).latent


def test_depth_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionDepth2ImgPipeline

    pipe = tiny.stable_diffusion(in_channels=5)
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image, near = picture(seed=3), picture(seed=8).mean(-1, keepdims=True).repeat(3, axis=-1)
    begin = ours.encoded(image)
    told = depth_conditioning(ours.told(PROMPT), ours.told(NEGATIVE), near, begin)
    mine = ours.sampled(told.positive, told.negative, begin, steps=5, denoise=0.5)
    parts = {
        name: pipe.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
    }
    beside = StableDiffusionDepth2ImgPipeline(**parts, depth_estimator=None, feature_extractor=None)
    beside.set_progress_bar_config(disable=True)
    latents, painted = theirs(
        beside,
        image=pixels(image),
        depth_map=torch.from_numpy(near).mean(-1),
        strength=0.5,
        num_inference_steps=10,
        generator=torch.Generator().manual_seed(SEED),
        height=None,
        width=None,
        latents=None,
    )
    compare(
        "SD 2.x",
        "depth",
        "StableDiffusionDepth2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_variations_by_unclip_give_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.unclip(encoder(), processor(), SEEN)
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image = picture(40, seed=3)
    eye = load_clip_vision(ours.ctx, path=str(tmp_path / "image_encoder"))
    embeds = encode_image(ours.ctx, eye, image)
    positive = unclip_conditioning(
        ours.ctx, ours.parts.model, ours.told(PROMPT), embeds, noise_level=120, seed=SEED
    )
    mine = ours.sampled(positive, ours.told(NEGATIVE))
    # Latents that this pipeline is given, it does not scale.
    begin = start(pipe) * float(pipe.scheduler.init_noise_sigma)
    latents, painted = theirs(
        pipe,
        image=as_pil(image),
        noise_level=120,
        generator=torch.Generator().manual_seed(SEED),
        latents=begin,
    )
    compare(
        "SD 2.x",
        "unCLIP",
        "StableUnCLIPImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_enlarging_four_times_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.times_four()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image = picture(16, seed=3)
    told = upscale_conditioning(ours.told(PROMPT), ours.told(NEGATIVE), image, noise_level=30, seed=SEED)
    mine = ours.sampled(told.positive, told.negative, told.latent)
    latents, painted = theirs(
        pipe,
        image=pixels(image),
        noise_level=30,
        generator=torch.Generator().manual_seed(SEED),
        height=None,
        width=None,
        latents=start(pipe, side=16),
    )
    compare(
        "×4 upscaler",
        "enlarging",
        "StableDiffusionUpscalePipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_a_picture_alone_is_shown_what_it_is_shown_among_the_others(tmp_path: Path) -> None:
    tiny.stable_diffusion(in_channels=9).save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    images = np.concatenate([picture(seed=seed) for seed in (3, 4, 5)])
    told = inpaint_model_conditioning(
        ours.ctx, ours.told(PROMPT), ours.told(NEGATIVE), ours.parts.vae, images, hole()
    )
    whole = ours.sampled(told.positive, told.negative, told.latent).samples
    for index in range(3):
        one = latent_from_batch(told.latent, index=index)
        alone = ours.sampled(told.positive, told.negative, one).samples
        assert torch.allclose(alone[0], whole[index], atol=1e-4)
