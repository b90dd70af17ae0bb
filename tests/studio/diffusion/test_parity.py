"""Pictures beside those of diffusers' own pipeline, from the same weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.utils import logging

from nodes.autoencoder import vae_decode, vae_encode
from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint
from nodes.sampling import k_sampler
from studio.diffusion.noise import initial
from studio.paths import assets_dir
from tests.studio.diffusion.bench import context, tiny_model

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PROMPT, NEGATIVE, SEED = "a fox in a meadow, glossy", "a castle at night", 11


def ours(folder: Path, solver: str, steps: int, side_px: int) -> np.ndarray[Any, Any]:
    ctx = context()
    parts = load_checkpoint(ctx, path=str(folder))
    positive = encode_text(ctx, parts.text_encoder, text=PROMPT)
    negative = encode_text(ctx, parts.text_encoder, text=NEGATIVE)
    canvas = empty_latent(width=side_px, height=side_px, batch=2)
    latent = k_sampler(
        ctx,
        parts.model,
        positive,
        negative,
        canvas,
        seed=SEED,
        steps=steps,
        guidance=4.0,
        solver=solver,
        schedule="simple",
    )
    return vae_decode(ctx, parts.vae, latent)


def theirs(folder: Path, solver: str, steps: int, side_px: int, noise: torch.Tensor) -> np.ndarray[Any, Any]:
    # Loading the pipeline's class warns of torchvision, which nothing here uses.
    logging.set_verbosity_error()
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline

    logging.set_verbosity_warning()
    pipe: Any = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if solver == "ddim":
        # Ours goes on to no noise at all, where the default stops at the first timestep's.
        pipe.scheduler = DDIMScheduler.from_config(
            pipe.scheduler.config, timestep_spacing="trailing", set_alpha_to_one=True
        )
    else:
        pipe.scheduler = EulerDiscreteScheduler.from_config(
            pipe.scheduler.config, timestep_spacing="trailing"
        )
        pipe.scheduler.set_timesteps(steps)
        high = float(pipe.scheduler.sigmas[0])
        noise = noise * (math.sqrt(1 + high**2) / high)
    return pipe(
        [PROMPT] * 2,
        negative_prompt=[NEGATIVE] * 2,
        num_inference_steps=steps,
        guidance_scale=4.0,
        latents=noise,
        height=side_px,
        width=side_px,
        output_type="np",
    ).images


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), request.param)


@pytest.mark.parametrize("solver", ["euler", "ddim"])
def test_small_model_gives_the_pictures_of_diffusers(tiny: Path, solver: str) -> None:
    noise = initial((2, 4, 16, 16), SEED)
    mine, other = ours(tiny, solver, 10, 32), theirs(tiny, solver, 10, 32, noise)
    assert mine.shape == other.shape == (2, 32, 32, 3)
    assert other.std() > 0.02
    assert np.abs(mine - other).max() < 1e-3


@pytest.mark.parametrize("solver", ["euler", "ddim"])
def test_starter_model_gives_the_pictures_of_diffusers(solver: str) -> None:
    noise = initial((2, 4, 16, 16), SEED)
    folder = assets_dir() / "starter"
    mine, other = ours(folder, solver, 5, 128), theirs(folder, solver, 5, 128, noise)
    assert np.abs(mine - other).max() < 1e-3


def test_encoding_is_that_of_diffusers(tiny: Path) -> None:
    from diffusers import AutoencoderKL

    image = np.random.default_rng(0).random((1, 32, 48, 3), np.float32)
    parts = load_checkpoint(context(), path=str(tiny))
    mine = vae_encode(context(), parts.vae, image)
    vae: Any = AutoencoderKL.from_pretrained(tiny / "vae")
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2) * 2 - 1
    with torch.no_grad():
        other = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    assert mine.samples.shape == (1, 4, 16, 24)
    assert torch.allclose(mine.samples, other, atol=1e-5)
    assert mine.downscale == 2
