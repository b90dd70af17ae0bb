from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from studio.diffusion import conditioning
from studio.diffusion.guidance.regions import Box, box_of, cropped, fitted_mask, tiles, to_batch, weight_of
from studio.types import Recipe
from tests.studio.diffusion.echo import entry

X = torch.zeros(2, 4, 16, 24)
NETWORK = Recipe("", "identity", "controlnet", "it")


def test_an_area_becomes_a_box_inside_the_latent() -> None:
    assert box_of(None, (16, 24)) == Box(0, 0, 16, 24)
    assert box_of((0.25, 0.5, 0.5, 0.5), (16, 24)) == Box(4, 12, 8, 12)
    assert box_of((0.9, 0.9, 0.5, 0.5), (16, 24)) == Box(14, 22, 2, 2)
    assert box_of((0.0, 0.0, 0.001, 0.001), (16, 24)) == Box(0, 0, 1, 1)


def test_an_area_fades_where_it_does_not_end_at_the_edge() -> None:
    weight = weight_of(entry(1.0, area=(0.0, 0.5, 1.0, 0.5), strength=2.0), X)
    assert weight.shape == (1, 1, 16, 24)
    assert torch.equal(weight[0, 0, 3], torch.tensor([0.0] * 12 + [k / 4 for k in range(1, 9)] + [2.0] * 4))


def test_a_mask_weighs_by_its_values_and_the_strength() -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, 4:8] = 0.5
    weight = weight_of(entry(1.0, mask=mask, strength=3.0), X)
    assert torch.equal(weight[0, 0], mask[0] * 3)


def test_masks_of_several_pictures_are_repeated_over_the_batch() -> None:
    masks = torch.stack([torch.zeros(16, 24), torch.ones(16, 24)])
    assert weight_of(entry(1.0, mask=masks), torch.zeros(3, 4, 16, 24))[:, 0, 0, 0].tolist() == [0, 1, 0]
    assert to_batch(masks[:1], 5).shape[0] == 1


def test_a_mask_of_another_size_is_fitted() -> None:
    mask = torch.zeros(1, 8, 12)
    mask[:, :4] = 1
    assert fitted_mask(mask, (16, 24)).shape == (1, 16, 24)
    assert fitted_mask(mask, (16, 24))[0, 0, 0] == 1


@pytest.mark.parametrize(("size", "tile", "overlap"), [((40, 64), (16, 16), 4), ((16, 17), (16, 16), 8)])
def test_tiles_cover_everything_and_overlap(
    size: tuple[int, int], tile: tuple[int, int], overlap: int
) -> None:
    total = torch.zeros(size)
    for box, weight in tiles(size, tile, overlap):
        assert weight.shape == (box.height, box.width) == tile
        assert weight.min() > 0
        box.of(total).add_(weight)
    assert total.min() > 0


def test_a_tile_as_large_as_the_latent_is_all_of_it() -> None:
    ((box, weight),) = tiles((16, 24), (32, 32), 8)
    assert box == Box(0, 0, 16, 24)
    assert torch.equal(weight, torch.ones(16, 24))


def test_what_an_entry_carries_is_cropped_with_its_box() -> None:
    hint = torch.rand(1, 3, 128, 192)
    control = conditioning.control(NETWORK, hint, mask=torch.rand(1, 32, 48))
    image = conditioning.image_prompt(NETWORK, torch.rand(1, 4, 8), mask=torch.rand(1, 16, 24))
    beside = torch.rand(1, 5, 16, 24)
    whole = entry(1.0, controls=(control,), images=(image,), hints={"concat": beside, "class": torch.ones(1)})
    box = Box(4, 8, 8, 12)
    part = cropped(whole, box, (16, 24))
    assert torch.equal(part.controls[0].hint, hint[..., 32:96, 64:160])
    assert part.controls[0].mask is not None
    assert part.controls[0].mask.shape == (1, 16, 24)
    assert part.images[0].mask is not None
    assert part.images[0].mask.shape == (1, 8, 12)
    assert torch.equal(part.hints["concat"], beside[..., 4:12, 8:20])
    assert torch.equal(part.hints["class"], torch.ones(1))
    assert len({part.digest, whole.digest}) == len({part.controls[0].digest, control.digest}) == 2
    bare = replace(whole, hints={})
    assert cropped(bare, box, (16, 24)).digest == bare.digest
    assert cropped(whole, Box(0, 0, 16, 24), (16, 24)) is whole
