"""Single files under the names of the first implementations, beside pipelines of the same networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.parity import tiny
from tests.parity.both import Ours, start, theirs
from tests.parity.conftest import Compare
from tests.studio.diffusion.test_families import CASES, made

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIDE_PX, SIDE = 64, 8
GUIDANCE = 1.0
"""These networks give large values: guidance would take their rounding to the bound."""


def pipeline(folder: Path, scheduler: Any) -> Any:
    """A pipeline of the networks in a folder that has no more than these."""
    from diffusers import (
        AutoencoderKL,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    parts: dict[str, Any] = {
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet"),
        "vae": AutoencoderKL.from_pretrained(folder / "vae"),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder"),
        "scheduler": scheduler,
    }
    if (folder / "text_encoder_2").exists():
        second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")
        parts |= {"text_encoder_2": second, "tokenizer": tiny.tokenizer()}
        parts["tokenizer_2"] = tiny.tokenizer(pad="!")
        return tiny.quiet(StableDiffusionXLPipeline(**parts, add_watermarker=False))
    pad = "!" if parts["text_encoder"].config.pad_token_id == 0 else "<|endoftext|>"
    parts |= {"tokenizer": tiny.tokenizer(pad), "safety_checker": None, "feature_extractor": None}
    return tiny.quiet(StableDiffusionPipeline(**parts, requires_safety_checker=False))


@pytest.mark.parametrize(
    ("family", "name", "marks", "what"),
    [
        ("SD 1.x", "1", (), "epsilon"),
        # The text encoder of the file has a layer more than that of the folder; neither uses it.
        ("SD 2.x", "2", (), "epsilon"),
        ("SD 2.x", "2", ("v_pred",), "v_prediction"),
        ("SDXL", "xl", (), "epsilon"),
        ("SDXL", "xl", ("v_pred",), "v_prediction"),
    ],
)
def test_a_single_file_gives_the_latents_and_pictures_of_diffusers(
    family: str, name: str, marks: tuple[str, ...], what: str, tmp_path: Path, compare: Compare
) -> None:
    file, folder = made(tmp_path, CASES[name])
    save_file(load_file(file) | {mark: torch.zeros(0) for mark in marks}, file)
    prediction = "v_prediction" if "v_pred" in marks else "epsilon"
    pipe = pipeline(folder, tiny.scheduler(prediction))
    size = {"height": SIDE_PX, "width": SIDE_PX}
    latents, image = theirs(pipe, latents=start(pipe, side=SIDE), guidance_scale=GUIDANCE, **size)
    ours = Ours(file)
    mine = ours.sampled(latent=ours.canvas(SIDE_PX), guidance=GUIDANCE)
    compare(
        family,
        f"text to image from one file, {what}",
        type(pipe).__name__,
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
