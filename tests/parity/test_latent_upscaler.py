"""The ×2 latent upscaler beside its pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.upscaling import latent_upscale_conditioning
from studio.types import Latent
from tests.parity import tiny
from tests.parity.both import GUIDANCE, SIDE_PX, Ours, theirs
from tests.parity.conftest import Compare

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def upscaler() -> Any:
    """A StableDiffusionLatentUpscalePipeline."""
    from diffusers import StableDiffusionLatentUpscalePipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        act_fn="gelu",
        attention_head_dim=8,
        block_out_channels=(32, 32, 64, 64),
        conv_in_kernel=1,
        conv_out_kernel=1,
        cross_attention_dim=tiny.CROSS,
        down_block_types=("KDownBlock2D", *("KCrossAttnDownBlock2D",) * 3),
        in_channels=8,
        mid_block_type=None,
        norm_num_groups=None,
        only_cross_attention=False,
        out_channels=5,
        resnet_time_scale_shift="scale_shift",
        time_cond_proj_dim=128 + tiny.CROSS,
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        up_block_types=(*("KCrossAttnUpBlock2D",) * 3, "KUpBlock2D"),
    ).eval()
    pipe = StableDiffusionLatentUpscalePipeline(
        vae=tiny.vae(),
        text_encoder=tiny.clip(),
        tokenizer=tiny.tokenizer(),
        unet=unet,
        scheduler=tiny.scheduler("sample"),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("guidance", [1.0, GUIDANCE])
def test_doubled_latents_are_those_of_diffusers(tmp_path: Path, compare: Compare, guidance: float) -> None:
    pipe = upscaler()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    small = torch.randn(1, 4, SIDE_PX // 4, SIDE_PX // 4, generator=torch.Generator().manual_seed(3))
    told = latent_upscale_conditioning(ours.told("a fox"), Latent(small, 2), ours.told("a castle"))
    mine = ours.sampled(told.positive, told.negative, told.latent, guidance=guidance)
    latents, images = theirs(
        pipe,
        prompt="a fox",
        negative_prompt="a castle",
        image=small,
        guidance_scale=guidance,
        height=None,
        width=None,
    )
    what = "×2 latent upscaling" if guidance == 1 else "×2 latent upscaling, guided"
    compare(
        "SD 1.x",
        what,
        "StableDiffusionLatentUpscalePipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), images),
    )
