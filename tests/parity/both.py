"""The same run twice: by our nodes, and by a pipeline of diffusers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nodes.autoencoder import vae_decode, vae_encode
from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint
from nodes.sampling import k_sampler
from studio.diffusion.noise import initial
from studio.types import Conditioning, Latent
from tests.studio.diffusion.bench import context, store

PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE, SIDE_PX = (
    "a fox in a meadow, glossy",
    "a castle at night",
    11,
    5,
    2.0,
    32,
)


class Ours:
    """Our nodes over a saved pipeline, called as the executor calls them.

    Attributes:
        ctx: Of the calls.
        parts: What the checkpoint loader gives.
    """

    def __init__(self, place: Path) -> None:
        self.ctx = context(using=store())
        self.parts = load_checkpoint(self.ctx, path=str(place))

    def told(self, text: str) -> Conditioning:
        """Encode a prompt."""
        return encode_text(self.ctx, self.parts.text_encoder, text=text)

    def sampled(
        self,
        positive: Conditioning | None = None,
        negative: Conditioning | None = None,
        latent: Latent | None = None,
        **knobs: Any,
    ) -> Latent:
        """Sample with Euler over ``simple``; other knobs of k_sampler may be given."""
        settings: dict[str, Any] = {
            "seed": SEED,
            "steps": STEPS,
            "guidance": GUIDANCE,
            "solver": "euler",
            "schedule": "simple",
        }
        return k_sampler(
            self.ctx,
            knobs.pop("model", self.parts.model),
            positive or self.told(PROMPT),
            negative or self.told(NEGATIVE),
            latent or self.canvas(),
            **(settings | knobs),
        )

    def canvas(self, side_px: int = SIDE_PX) -> Latent:
        """An empty latent of one picture; the sampler fits it to the model."""
        return empty_latent(width=side_px, height=side_px, batch=1)

    def decoded(self, latent: Latent) -> np.ndarray[Any, Any]:
        """Decode."""
        return vae_decode(self.ctx, self.parts.vae, latent)

    def encoded(self, image: np.ndarray[Any, Any]) -> Latent:
        """Encode."""
        return vae_encode(self.ctx, self.parts.vae, image)


def picture(side_px: int = SIDE_PX, seed: int = 0) -> np.ndarray[Any, Any]:
    """A smooth random picture ``[1, H, W, 3]``, 0–1."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, size=(side_px, side_px), mode="bilinear")
    return fine.permute(0, 2, 3, 1).contiguous().numpy()


def start(pipe: Any, *, steps: int = STEPS, channels: int = 4, side: int = SIDE_PX // 2) -> torch.Tensor:
    """The noise that makes a pipeline begin where ours does: x = noise · √(1 + σ²)."""
    noise = initial((1, channels, side, side), SEED)
    pipe.scheduler.set_timesteps(steps)
    high = float(pipe.scheduler.sigmas[0])
    return noise * (math.sqrt(1 + high**2) / float(pipe.scheduler.init_noise_sigma))


def theirs(pipe: Any, **arguments: Any) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
    """Final latents, and the picture decoded from them, of a pipeline told what ours is told by default.

    An argument given as None is left out.
    """
    settings: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE,
        "height": SIDE_PX,
        "width": SIDE_PX,
        "latents": None,
        "output_type": "latent",
    }
    told = settings | arguments
    if "latents" not in arguments:
        told["latents"] = start(pipe, steps=told["num_inference_steps"])
    with torch.no_grad():
        latents: torch.Tensor = pipe(
            **{name: value for name, value in told.items() if value is not None}
        ).images
        return latents, decoded(pipe, latents)


def decoded(pipe: Any, latents: torch.Tensor) -> np.ndarray[Any, Any]:
    """Pictures ``[N, H, W, 3]``, 0–1, of latents in the denoiser's scale."""
    config = pipe.vae.config
    plain = latents / config.scaling_factor + (config.shift_factor or 0.0)
    with torch.no_grad():
        pixels = pipe.vae.decode(plain, return_dict=False)[0]
    return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
