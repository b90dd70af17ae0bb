"""Text to image and image to image, each family beside its pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.parity import tiny
from tests.parity.both import SEED, SIDE_PX, Ours, picture, theirs
from tests.parity.conftest import Compare

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WITHOUT_SIZE: dict[str, Any] = {"height": None, "width": None, "latents": None}


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_stable_diffusion_gives_the_latents_and_pictures_of_diffusers(
    prediction: str, tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion(prediction)
    pipe.save_pretrained(tmp_path)
    latents, image = theirs(pipe)
    ours = Ours(tmp_path)
    mine = ours.sampled()
    compare(
        "SD 1.x" if prediction == "epsilon" else "SD 2.x",
        f"text to image, {prediction}",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_noise_without_any_signal_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion("v_prediction")
    pipe.scheduler = tiny.scheduler("v_prediction", rescale_betas_zero_snr=True)
    pipe.save_pretrained(tmp_path)
    # What single precision takes from values at the first level, 4096, weighs least where the second is high.
    latents, image = theirs(pipe, guidance_scale=2.0, num_inference_steps=20)
    ours = Ours(tmp_path)
    mine = ours.sampled(guidance=2.0, steps=20)
    compare(
        "SD 2.x",
        "text to image, v_prediction, zero terminal SNR",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_image_to_image_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    start = ours.encoded(picture())
    mine = ours.sampled(latent=start, steps=5, denoise=0.5)
    pipe = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    latents, image = theirs(
        pipe,
        image=start.samples,
        strength=0.5,
        num_inference_steps=10,
        generator=torch.Generator().manual_seed(SEED),
        **WITHOUT_SIZE,
    )
    compare(
        "SD 1.x",
        "image to image",
        "StableDiffusionImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_stable_diffusion_xl_gives_the_latents_and_pictures_of_diffusers(
    tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path)
    latents, image = theirs(pipe)
    ours = Ours(tmp_path)
    mine = ours.sampled()
    compare(
        "SDXL",
        "text to image",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_turbo_without_guidance_in_one_step_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path)
    latents, image = theirs(pipe, num_inference_steps=1, guidance_scale=0.0, negative_prompt=None)
    ours = Ours(tmp_path)
    mine = ours.sampled(steps=1, guidance=1.0)
    compare(
        "SDXL Turbo",
        "text to image, one step without guidance",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_the_refiner_goes_on_from_a_picture_as_in_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.refiner()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    start = ours.encoded(picture())
    mine = ours.sampled(latent=start, steps=4, denoise=0.4)
    latents, image = theirs(
        pipe,
        image=start.samples,
        strength=0.4,
        num_inference_steps=10,
        generator=torch.Generator().manual_seed(SEED),
        negative_aesthetic_score=6.0,
        original_size=(SIDE_PX, SIDE_PX),
        target_size=(SIDE_PX, SIDE_PX),
        **WITHOUT_SIZE,
    )
    compare(
        "SDXL refiner",
        "image to image",
        "StableDiffusionXLImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
