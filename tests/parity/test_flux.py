"""Flux.1 beside diffusers: dev, schnell, Fill, Canny and Depth, Kontext."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nodes.guiders import distilled_guidance
from studio.diffusion.conditioning import changed, each
from studio.diffusion.denoisers.flux import packed, unpacked
from studio.diffusion.noise import initial
from studio.types import Latent
from tests.parity import tiny_transformers as tiny
from tests.parity.both import NEGATIVE, PROMPT, SEED, SIDE_PX, Ours, decoded, picture
from tests.parity.conftest import Compare

SHAPE = (1, 16, 16, 16)


def spread(tokens: torch.Tensor) -> torch.Tensor:
    return unpacked(tokens, SHAPE[2], SHAPE[3])


def noise() -> torch.Tensor:
    return packed(initial(SHAPE, SEED))


def run(pipe: Any, **arguments: Any) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
    given = {"latents": noise(), "height": SIDE_PX, "width": SIDE_PX, "output_type": "latent"} | arguments
    with torch.no_grad():
        latents = spread(pipe(**{k: v for k, v in given.items() if v is not None}).images)
    return latents, decoded(pipe, latents)


def sampled(folder: Path, guidance: float, **hints: torch.Tensor) -> tuple[Ours, Latent]:
    """What our nodes give for the pipeline saved in a folder."""
    ours = Ours(folder)
    told = distilled_guidance(ours.told(PROMPT), guidance=guidance)
    told = each(told, lambda entry: changed(entry, hints=hints))
    return ours, ours.sampled(positive=told, guidance=1.0)


def test_dev_gives_the_latents_and_pictures_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.flux()
    pipe.save_pretrained(tmp_path)
    latents, image = run(pipe, prompt=PROMPT, num_inference_steps=5, guidance_scale=2.0)
    ours, mine = sampled(tmp_path, 2.0)
    compare(
        "Flux.1 dev",
        "text to image",
        "FluxPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_schnell_gives_the_latents_and_pictures_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.flux(dynamic=False, guidance_embeds=False)
    pipe.save_pretrained(tmp_path)
    latents, image = run(pipe, prompt=PROMPT, num_inference_steps=4)
    ours = Ours(tmp_path)
    mine = ours.sampled(guidance=1.0, steps=4)
    compare(
        "Flux.1 schnell",
        "text to image",
        "FluxPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_guidance_with_a_negative_prompt_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare
) -> None:
    pipe = tiny.flux()
    pipe.save_pretrained(tmp_path)
    latents, painted = run(
        pipe,
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=5,
        guidance_scale=3.5,
        true_cfg_scale=4.0,
    )
    ours = Ours(tmp_path)
    mine = ours.sampled(guidance=4.0)
    compare(
        "Flux.1 dev",
        "text to image with a negative prompt",
        "FluxPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_fill_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxFillPipeline

    # Its mask has one channel for each pixel that a latent pixel stands for: 4 here, 64 in the real one.
    pipe = tiny.quiet(FluxFillPipeline(**tiny.flux_parts(in_channels=64 + 64 + 16, out_channels=64)))
    pipe.save_pretrained(tmp_path)
    image = torch.from_numpy(picture()).permute(0, 3, 1, 2)
    mask = torch.zeros(1, 1, SIDE_PX, SIDE_PX)
    mask[..., 5:21, 8:30] = 1
    latents, painted = run(
        pipe, prompt=PROMPT, image=image, mask_image=mask, num_inference_steps=5, guidance_scale=30.0
    )
    ours = Ours(tmp_path)
    kept = ours.encoded((image * (1 - mask) + 0.5 * mask).permute(0, 2, 3, 1).numpy()).samples
    squares = mask.reshape(1, 16, 2, 16, 2).permute(0, 2, 4, 1, 3).reshape(1, 4, 16, 16)
    ours, mine = sampled(tmp_path, 30.0, concat=torch.cat([kept, squares], dim=1))
    compare(
        "Flux.1 Fill",
        "inpainting",
        "FluxFillPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_canny_and_depth_give_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxControlPipeline

    pipe = tiny.quiet(FluxControlPipeline(**tiny.flux_parts(in_channels=128, out_channels=64)))
    pipe.save_pretrained(tmp_path)
    image = torch.from_numpy(picture()).permute(0, 3, 1, 2)
    latents, painted = run(
        pipe, prompt=PROMPT, control_image=image * 2 - 1, num_inference_steps=5, guidance_scale=30.0
    )
    hint = Ours(tmp_path).encoded(picture()).samples
    ours, mine = sampled(tmp_path, 30.0, concat=hint)
    compare(
        "Flux.1 Canny, Depth",
        "control",
        "FluxControlPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_kontext_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxKontextPipeline

    pipe = tiny.quiet(FluxKontextPipeline(**tiny.flux_parts()))
    pipe.save_pretrained(tmp_path)
    image = torch.from_numpy(picture()).permute(0, 3, 1, 2)
    latents, painted = run(
        pipe,
        prompt=PROMPT,
        image=image,
        num_inference_steps=5,
        guidance_scale=2.5,
        max_area=SIDE_PX**2,
        _auto_resize=False,
    )
    reference = Ours(tmp_path).encoded(picture()).samples
    ours, mine = sampled(tmp_path, 2.5, reference=reference)
    compare(
        "Flux.1 Kontext",
        "editing",
        "FluxKontextPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )
