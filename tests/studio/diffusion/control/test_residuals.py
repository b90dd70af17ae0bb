from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import interpolate

from studio.diffusion.conditioning import control, name_of
from studio.diffusion.control.residuals import fitted, residuals
from studio.errors import NodeError
from tests.studio.diffusion.controls import (
    call,
    loaded,
    picture,
    randomised,
    saved,
    tiny_controlnet,
    told,
)


def straight(network: Any, batch: Any, hint: torch.Tensor, rows: slice, **more: Any) -> Any:
    with torch.no_grad():
        return network(
            batch.x[rows],
            batch.time,
            batch.tokens[rows],
            hint.expand(len(batch.x[rows]), -1, -1, -1),
            return_dict=False,
            **more,
        )


@torch.inference_mode()
def test_one_network_adds_what_it_adds_alone(tmp_path: Path) -> None:
    network = tiny_controlnet()
    recipe, mine = loaded(saved(network, tmp_path))
    hint = picture(1, 16, 16)
    item = control(recipe, hint, strength=0.7)
    batch = call([told(0, item), told(1, item)])
    given = residuals({name_of(recipe): mine}, batch)
    down, mid = straight(network, batch, hint, slice(None), conditioning_scale=0.7)
    assert float(mid.std()) > 1e-3
    for ours, theirs in zip(given["down_block_additional_residuals"], down, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(given["mid_block_additional_residual"], mid, atol=1e-5)


@torch.inference_mode()
def test_entries_without_a_control_are_left_alone_and_several_controls_add_up(tmp_path: Path) -> None:
    first, second = tiny_controlnet(0), tiny_controlnet(5)
    one, mine = loaded(saved(first, tmp_path, "first.safetensors"))
    two, other = loaded(saved(second, tmp_path, "second.safetensors"))
    hint, hint_2 = picture(1, 16, 16), picture(2, 16, 16)
    both = (control(one, hint), control(two, hint_2, strength=0.5))
    batch = call([told(0, *both), told(1), told(2, both[0])])
    given = residuals({name_of(one): mine, name_of(two): other}, batch)
    middle = given["mid_block_additional_residual"]
    _, alone = straight(first, batch, hint, slice(0, 2))
    _, beside = straight(second, batch, hint_2, slice(0, 2), conditioning_scale=0.5)
    _, last = straight(first, batch, hint, slice(4, 6))
    assert torch.allclose(middle[:2], alone + beside, atol=1e-5)
    assert not middle[2:4].any()
    assert torch.allclose(middle[4:], last, atol=1e-5)


@torch.inference_mode()
def test_the_same_control_twice_counts_twice(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(tiny_controlnet(), tmp_path))
    item = control(recipe, picture(1, 16, 16))
    once = residuals({name_of(recipe): mine}, call([told(0, item)]))
    twice = residuals({name_of(recipe): mine}, call([told(0, item, item)]))
    middle = "mid_block_additional_residual"
    assert torch.allclose(twice[middle], once[middle] * 2, atol=1e-5)


@torch.inference_mode()
def test_a_network_that_gives_one_value_a_channel_adds_to_one_that_gives_all(tmp_path: Path) -> None:
    pooled = tiny_controlnet(3, global_pool_conditions=True)
    pooled.save_pretrained(tmp_path / "pooled")
    one, mine = loaded(saved(tiny_controlnet(), tmp_path))
    two, other = loaded(tmp_path / "pooled")
    hint = picture(1, 16, 16)
    both = call([told(0, control(one, hint), control(two, hint)), told(1, control(one, hint))])
    networks = {name_of(one): mine, name_of(two): other}
    middle = residuals(networks, both)["mid_block_additional_residual"]
    plain = residuals(networks, call([told(0, control(one, hint)), told(1, control(one, hint))]))
    added = middle - plain["mid_block_additional_residual"]
    assert added[:2].std(dim=(2, 3)).max() < 1e-5
    assert added[:2].any()
    assert not added[2:].any()


@torch.inference_mode()
def test_a_mask_keeps_what_lies_outside_of_it(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(tiny_controlnet(), tmp_path))
    mask = torch.zeros(1, 32, 32)
    mask[:, :, :16] = 1
    hint = picture(1, 16, 16)
    plain = residuals({name_of(recipe): mine}, call([told(0, control(recipe, hint))]))
    masked = residuals({name_of(recipe): mine}, call([told(0, control(recipe, hint, mask=mask))]))
    for free, kept in zip(
        plain["down_block_additional_residuals"], masked["down_block_additional_residuals"], strict=True
    ):
        half = free.shape[-1] // 2
        assert torch.equal(kept[..., :half], free[..., :half])
        assert not kept[..., half:].any()


@pytest.mark.parametrize("count", [2, 3])
@torch.inference_mode()
def test_every_entry_has_the_masks_of_its_pictures(tmp_path: Path, count: int) -> None:
    recipe, mine = loaded(saved(tiny_controlnet(), tmp_path))
    masks = torch.stack([torch.zeros(8, 8), torch.ones(8, 8), torch.ones(8, 8)])
    item = control(recipe, picture(1, 16, 16), mask=masks)
    batch = call([told(0, item), told(1, item)], count=count)
    middle = residuals({name_of(recipe): mine}, batch)["mid_block_additional_residual"]
    acts = [bool(row.any()) for row in middle]
    assert acts == [False, True, True][:count] * 2


@torch.inference_mode()
def test_pictures_of_a_batch_each_follow_their_own_hint(tmp_path: Path) -> None:
    network = tiny_controlnet()
    recipe, mine = loaded(saved(network, tmp_path))
    hints = picture(1, 16, 16, count=2)
    batch = call([told(0, control(recipe, hints))])
    given = residuals({name_of(recipe): mine}, batch)["mid_block_additional_residual"]
    for index in range(2):
        _, alone = straight(network, batch, hints[index : index + 1], slice(index, index + 1))
        assert torch.allclose(given[index : index + 1], alone, atol=1e-5)


def test_a_network_for_another_model_is_told_by_both_names(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(tiny_controlnet(), tmp_path))
    item = control(recipe, picture(1, 16, 16))
    with pytest.raises(NodeError, match=r"made for Stable Diffusion 1, the model is SDXL"):
        residuals({name_of(recipe): mine}, call([told(0, item, width=2048)]))


@torch.inference_mode()
def test_a_union_network_is_told_what_the_picture_shows(tmp_path: Path) -> None:
    from diffusers import ControlNetUnionModel

    network = randomised(
        ControlNetUnionModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            layers_per_block=1,
            cross_attention_dim=768,
            conditioning_embedding_out_channels=(16, 32),
            addition_time_embed_dim=32,
            num_trans_channel=32,
            num_proj_channel=32,
        )
    )
    recipe, mine = loaded(saved(network, tmp_path))
    assert recipe.part == "union"
    hint = picture(1, 16, 16)
    batch = call([told(0, control(recipe, hint, strength=0.6, kind="line"))])
    chosen = torch.zeros(2, 6)
    chosen[:, 3] = 1
    given = residuals({name_of(recipe): mine}, batch)
    _, mid = network(
        batch.x,
        batch.time,
        batch.tokens,
        [hint.expand(2, -1, -1, -1)],
        control_type=chosen,
        control_type_idx=[3],
        conditioning_scale=0.6,
        return_dict=False,
    )
    assert torch.allclose(given["mid_block_additional_residual"], mid, atol=1e-5)
    with pytest.raises(NodeError, match="several kinds of picture"):
        residuals({name_of(recipe): mine}, call([told(0, control(recipe, hint))]))


@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter"])
@torch.inference_mode()
def test_an_adapter_gives_its_features_to_all_rows(tmp_path: Path, kind: str) -> None:
    from diffusers import T2IAdapter

    network = randomised(
        T2IAdapter(channels=[32, 64], num_res_blocks=2, downscale_factor=2, adapter_type=kind)
    )
    recipe, mine = loaded(saved(network, tmp_path))
    hint = picture(1, 16, 16)
    item = control(recipe, hint, strength=0.4)
    given = residuals({name_of(recipe): mine}, call([told(0, item), told(1, item)], count=1))
    wanted = network(hint)
    inside = given["down_intrablock_additional_residuals"]
    assert len(inside) == len(wanted)
    for ours, theirs in zip(inside, wanted, strict=True):
        assert torch.allclose(ours, theirs.expand(2, -1, -1, -1) * 0.4, atol=1e-6)


def test_an_adapter_for_another_model_is_told_by_both_names(tmp_path: Path) -> None:
    from diffusers import T2IAdapter

    network = randomised(T2IAdapter(channels=[32, 64], downscale_factor=2))
    recipe, mine = loaded(saved(network, tmp_path))
    batch = call([told(0, control(recipe, picture(1, 16, 16)))], time_ids=torch.zeros(2, 6))
    with pytest.raises(NodeError, match="made for Stable Diffusion 1, the model is SDXL"):
        residuals({name_of(recipe): mine}, batch)


def test_a_hint_of_other_proportions_is_cut_on_both_sides() -> None:
    wide = torch.zeros(1, 3, 10, 30)
    wide[..., 10:20] = 1
    assert torch.equal(fitted(wide, 10, 10), torch.ones(1, 3, 10, 10))
    small = fitted(picture(3, 64, 64), 32, 32)
    assert torch.allclose(
        small, interpolate(picture(3, 64, 64), size=(32, 32), mode="bicubic", antialias=True).clamp(0, 1)
    )


def test_pixels_to_repaint_are_not_blended_with_others() -> None:
    hint = torch.ones(1, 3, 8, 8)
    hint[..., 3:] = -1
    assert set(fitted(hint, 12, 12).unique().tolist()) == {-1.0, 1.0}
