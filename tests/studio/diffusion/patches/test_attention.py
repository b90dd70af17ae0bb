from __future__ import annotations

from typing import Any

import pytest
import torch

from studio.diffusion.patches.attention import HYPERTILE, TOKEN_MERGING, merge
from studio.diffusion.patches.freeu import FREEU
from studio.diffusion.patches.runs import RunPatch
from studio.errors import NodeError
from studio.types import Patch
from tests.studio.diffusion.echo import Echo


class Denoiser:
    """A small UNet, called as a denoiser's is."""

    downscale = 8

    def __init__(self) -> None:
        from diffusers import UNet2DConditionModel

        torch.manual_seed(0)
        self.modules: dict[str, Any] = {
            "unet": UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(8, 16),
                layers_per_block=1,
                down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                cross_attention_dim=16,
                attention_head_dim=2,
                norm_num_groups=4,
            ).eval()
        }

    def __call__(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(2, 4, 12, 16, generator=generator)
        tokens = torch.randn(2, 5, 16, generator=generator)
        with torch.inference_mode():
            return self.modules["unet"](x, torch.tensor(500), tokens, return_dict=False)[0]


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser()


PATCHES = [
    (HYPERTILE, {"tile_px": 32, "depth": 0}),
    (HYPERTILE, {"tile_px": 32, "depth": 1}),
    (TOKEN_MERGING, {"ratio": 0.5, "depth": 0}),
    (FREEU, {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
]


@pytest.mark.parametrize(("patch", "params"), PATCHES)
def test_a_patch_changes_what_comes_out_and_can_be_undone(
    denoiser: Denoiser, patch: RunPatch, params: dict[str, Any]
) -> None:
    plain = denoiser()
    undo = patch.apply(denoiser, Patch("it", params=params))
    changed = denoiser()
    undo()
    assert changed.isfinite().all()
    assert not torch.allclose(plain, changed, atol=1e-4)
    assert torch.equal(denoiser(), plain)


def test_patches_over_each_other_are_undone_in_turn(denoiser: Denoiser) -> None:
    plain = denoiser()
    first = HYPERTILE.apply(denoiser, Patch("it", params={"tile_px": 32}))
    tiled = denoiser()
    second = TOKEN_MERGING.apply(denoiser, Patch("it", params={"ratio": 0.5}))
    assert not torch.equal(denoiser(), tiled)
    second()
    assert torch.equal(denoiser(), tiled)
    first()
    assert torch.equal(denoiser(), plain)


def test_a_tile_as_large_as_the_picture_changes_nothing(denoiser: Denoiser) -> None:
    plain = denoiser()
    undo = HYPERTILE.apply(denoiser, Patch("it", params={"tile_px": 256, "depth": 3}))
    assert torch.equal(denoiser(), plain)
    undo()


def test_models_without_a_unet_are_refused() -> None:
    denoiser = Echo()
    denoiser.modules = {"transformer": torch.nn.Identity()}  # type: ignore[attr-defined]
    with pytest.raises(NodeError, match="HyperTile acts on models with a UNet"):
        HYPERTILE.apply(denoiser, Patch("it"))


def test_like_tokens_are_merged_and_spread_again() -> None:
    pixels = torch.randn(2, 6 * 8, 5, generator=torch.Generator().manual_seed(1))
    # A picture of 2 × 2 blocks of one colour each loses nothing.
    blocks = pixels.view(2, 6, 8, 5)[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)
    fewer, back = merge(blocks.reshape(2, 48, 5), (6, 8), 0.75)
    assert fewer.shape == (2, 12, 5)
    assert torch.allclose(back(fewer), blocks.reshape(2, 48, 5), atol=1e-5)


def test_unlike_tokens_keep_their_places() -> None:
    pixels = torch.randn(1, 20, 7, generator=torch.Generator().manual_seed(1))
    fewer, back = merge(pixels, (4, 5), 0.0)
    assert torch.equal(back(fewer), pixels)
    fewer, back = merge(pixels, (4, 5), 0.3)
    assert fewer.shape[1] == 14
    assert int((back(fewer) == pixels).all(-1).sum()) >= 20 - 12
