from __future__ import annotations

import numpy as np
import pytest

from nodes import masks
from nodes.compositing import composite_images, crop_image, crop_to_mask, pad_for_outpainting
from studio.errors import NodeError
from studio.files.pictures import read
from studio.paths import assets_dir
from studio.types import Image

PALM = assets_dir() / "pictures" / "palm_tree.png"


@pytest.fixture
def palm() -> Image:
    return read(PALM)[0]


def test_crown_of_the_palm_is_found_by_its_colour(palm: Image) -> None:
    crown = masks.mask_from_colour(palm, colour="#40a020", tolerance=0.2, softness=0.0)
    crown = masks.remove_islands(masks.fill_holes(crown), smallest=50)
    rows, columns = np.nonzero(crown[0])
    assert 300 < crown.sum() < 3000
    assert 40 < rows.mean() < 65
    assert 55 < columns.mean() < 90


def test_sun_is_found_by_its_brightness(palm: Image) -> None:
    bright = masks.mask_from_brightness(palm, low=0.7, high=1.0, softness=0.0)
    assert bright[0, 10:25, 10:25].mean() > bright[0, 60:100, 55:75].mean()


def test_mask_shown_as_picture_is_grey() -> None:
    mask = masks.gradient_mask(width=16, height=8)
    shown = masks.mask_to_image(mask)
    assert shown.shape == (1, 8, 16, 3)
    assert np.array_equal(masks.mask_from_image(shown, channel="red"), mask)


def test_masks_of_numbers_have_the_size_asked_for() -> None:
    assert masks.solid_mask(width=16, height=8, value=0.25).tolist() == [[[0.25] * 16] * 8]
    drawn = masks.shape_mask(width=40, height=20, shape="rectangle", left=0.5, top=0, right=1, bottom=0.5)
    assert drawn[0, :10, 20:].min() == 1
    assert drawn.sum() == 200


def test_edges_are_grown_softened_and_cut() -> None:
    mask = masks.shape_mask(width=64, height=64)
    wide = masks.grow_mask(mask, pixels=4)
    assert wide.sum() > mask.sum()
    soft = masks.blur_mask(masks.feather_mask(wide, pixels=8, side="outside"), radius=2)
    assert masks.threshold_mask(soft, level=0.01).sum() > wide.sum()
    ring = masks.combine_masks(wide, mask, how="subtract")
    assert ring[0, 32, 32] == 0
    assert masks.resize_mask(ring, width=32, height=16).shape == (1, 16, 32)


def test_part_that_was_worked_on_comes_back_to_its_place(palm: Image) -> None:
    mask = masks.shape_mask(width=128, height=128, left=0.3, top=0.3, right=0.6, bottom=0.6)
    crop = crop_to_mask(palm, mask, padding=6, multiple=8)
    assert (crop.width % 8, crop.height % 8) == (0, 0)
    assert crop.image.shape[1:3] == crop.mask.shape[1:] == (crop.height, crop.width)
    dark = crop.image * np.float32(0.5)
    found = composite_images(palm, dark, crop.mask, left=crop.left, top=crop.top)
    assert np.allclose(found, palm * (1 - mask[..., None] / 2), atol=1e-6)


def test_empty_mask_cannot_be_cut_out(palm: Image) -> None:
    with pytest.raises(NodeError, match="marks nothing") as caught:
        crop_to_mask(palm, np.zeros((1, 8, 8), np.float32))
    assert caught.value.socket == "mask"


def test_numbers_of_pictures_must_go_together(palm: Image) -> None:
    two = np.concatenate([palm, palm])
    with pytest.raises(NodeError, match="3 for 2 pictures") as caught:
        composite_images(two, np.concatenate([two, palm]))
    assert caught.value.socket == "above"
    with pytest.raises(NodeError, match="There are 3") as caught:
        composite_images(two, palm, np.zeros((3, 4, 4), np.float32))
    assert caught.value.socket == "mask"


def test_crop_ends_with_the_picture(palm: Image) -> None:
    assert crop_image(palm, left=100, top=8, width=64, height=16).shape == (1, 16, 28, 3)
    with pytest.raises(NodeError, match="128×128 px") as caught:
        crop_image(palm, left=0, top=128)
    assert caught.value.socket == "top"


def test_outpainting_room_is_masked(palm: Image) -> None:
    wide = pad_for_outpainting(palm, right=64, feather=16, fill="edge")
    assert wide.image.shape == (1, 128, 192, 3)
    assert wide.mask[0, :, 128:].min() == 1
    assert wide.mask[0, :, :112].max() == 0
