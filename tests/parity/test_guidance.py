"""Ways of guiding, and of sharing and keeping parts of a picture, beside the pipelines that have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.guidance import perturbed_attention, rescale_guidance, skip_layer_guidance
from nodes.model_patches import freeu
from nodes.sampling import k_sampler_advanced
from studio.diffusion.noise import initial
from studio.types import Latent, Model
from tests.parity import tiny, tiny_transformers
from tests.parity.both import GUIDANCE, NEGATIVE, PROMPT, SEED, SIDE_PX, Ours, picture, start, theirs
from tests.parity.conftest import Compare

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WITHOUT_SIZE: dict[str, Any] = {"height": None, "width": None, "latents": None}


def with_pag(kind: str) -> Any:
    from diffusers import StableDiffusionPAGPipeline, StableDiffusionXLPAGPipeline

    if kind == "SD 1.x":
        parts = tiny.stable_diffusion().components
        pipe: Any = StableDiffusionPAGPipeline(
            **parts, requires_safety_checker=False, pag_applied_layers=["mid"]
        )
    else:
        parts = tiny.stable_diffusion_xl().components
        pipe = StableDiffusionXLPAGPipeline(**parts, add_watermarker=False, pag_applied_layers=["mid"])
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_rescaled_guidance_is_that_of_diffusers(prediction: str, tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion(prediction)
    pipe.save_pretrained(tmp_path)
    latents, painted = theirs(pipe, guidance_rescale=0.6)
    ours = Ours(tmp_path)
    of: Any = "noise" if prediction == "epsilon" else "velocity"
    mine = ours.sampled(model=rescale_guidance(ours.parts.model, rescale=0.6, of=of))
    compare(
        "SD 1.x" if prediction == "epsilon" else "SD 2.x",
        f"rescaled guidance, {prediction}",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


@pytest.mark.parametrize(("family", "guidance"), [("SD 1.x", 2.0), ("SD 1.x", 1.0), ("SDXL", 2.0)])
def test_perturbed_attention_guidance_is_that_of_diffusers(
    family: str, guidance: float, tmp_path: Path, compare: Compare
) -> None:
    plain = tiny.stable_diffusion() if family == "SD 1.x" else tiny.stable_diffusion_xl()
    plain.save_pretrained(tmp_path)
    pipe = with_pag(family)
    latents, painted = theirs(pipe, pag_scale=1.5, guidance_scale=guidance, latents=start(plain))
    ours = Ours(tmp_path)
    guided: Model = perturbed_attention(ours.parts.model, scale=1.5, layers="mid_block")
    mine = ours.sampled(model=guided, guidance=guidance)
    compare(
        family,
        "perturbed attention" + ("" if guidance > 1 else ", without a negative"),
        type(pipe).__name__,
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_skip_layer_guidance_is_that_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny_transformers.stable_diffusion_3(large=True)
    pipe.save_pretrained(tmp_path)
    latents, painted = theirs(
        pipe,
        latents=initial((1, 16, 16, 16), SEED),
        skip_guidance_layers=[0],
        skip_layer_guidance_scale=2.8,
        skip_layer_guidance_start=0.0,
        skip_layer_guidance_stop=1.0,
        num_inference_steps=5,
    )
    ours = Ours(tmp_path)
    # Theirs begins behind the first step, whatever the start; ours begins where it is told to.
    guided = skip_layer_guidance(ours.parts.model, scale=2.8, layers="0", start=0.01, end=1.0)
    mine = ours.sampled(model=guided, schedule="normal", steps=5)
    compare(
        "SD 3.5 large",
        "skip-layer guidance",
        "StableDiffusion3Pipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_freeu_is_that_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path)
    pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.3, b2=1.4)
    latents, painted = theirs(pipe)
    ours = Ours(tmp_path)
    mine = ours.sampled(model=freeu(ours.parts.model, b1=1.3, b2=1.4, s1=0.9, s2=0.2))
    compare(
        "SD 1.x",
        "FreeU",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_a_noise_mask_keeps_what_inpainting_with_a_plain_model_keeps(
    tmp_path: Path, compare: Compare
) -> None:
    from diffusers import StableDiffusionInpaintPipeline

    plain = tiny.stable_diffusion()
    plain.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    image = picture()
    mask = torch.zeros(1, SIDE_PX, SIDE_PX)
    mask[:, 8:24, 12:] = 1
    latent = replace(ours.encoded(image), noise_mask=mask[:, ::2, ::2])
    mine = ours.sampled(latent=latent, steps=5, denoise=0.5)
    pipe = StableDiffusionInpaintPipeline(**plain.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.config.sample_size = SIDE_PX
    latents, painted = theirs(
        pipe,
        image=ours.encoded(image).samples,
        mask_image=mask[None],
        strength=0.5,
        num_inference_steps=10,
        generator=torch.Generator().manual_seed(SEED),
        height=SIDE_PX,
        width=SIDE_PX,
        latents=None,
        masked_image_latents=ours.encoded(image).samples,
    )
    compare(
        "SD 1.x",
        "noise mask",
        "StableDiffusionInpaintPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_a_refiner_takes_over_as_in_diffusers(tmp_path: Path, compare: Compare) -> None:
    base, refiner = tiny.stable_diffusion_xl(), tiny.refiner()
    base.save_pretrained(tmp_path / "base")
    refiner.save_pretrained(tmp_path / "refiner")
    half, _ = theirs(base, num_inference_steps=10, denoising_end=0.6)
    latents, painted = theirs(
        refiner,
        image=half,
        num_inference_steps=10,
        denoising_start=0.6,
        negative_aesthetic_score=6.0,
        original_size=(SIDE_PX, SIDE_PX),
        target_size=(SIDE_PX, SIDE_PX),
        **WITHOUT_SIZE,
    )
    first = _part(Ours(tmp_path / "base"), None, end_step=6, leftover_noise=True)
    compare(
        "SDXL",
        "up to a step, with leftover noise",
        "StableDiffusionXLPipeline",
        latents=(first.samples, half),
    )
    ours = Ours(tmp_path / "refiner")
    mine = _part(ours, first, start_step=6, add_noise=False)
    compare(
        "SDXL refiner",
        "takes over at a step",
        "StableDiffusionXLImg2ImgPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def _part(ours: Ours, latent: Latent | None, **knobs: Any) -> Latent:
    return k_sampler_advanced(
        ours.ctx,
        ours.parts.model,
        ours.told(PROMPT),
        ours.told(NEGATIVE),
        latent or ours.canvas(),
        seed=SEED,
        steps=10,
        guidance=GUIDANCE,
        solver="euler",
        schedule="simple",
        **knobs,
    )
