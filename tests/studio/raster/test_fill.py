from __future__ import annotations

import numpy as np
import pytest

from nodes.compositing import fill_masked
from studio.errors import NodeError
from studio.files.pictures import read
from studio.paths import assets_dir
from studio.raster.fill import filled
from studio.types import Mask

PALM = read(assets_dir() / "pictures" / "palm_tree.png")[0]
METHODS = ["blur", "border", "grey", "black", "white"]


@pytest.fixture
def hole() -> Mask:
    mask = np.zeros((1, 128, 128), np.float32)
    mask[:, 40:110, 40:100] = 1
    return mask


@pytest.mark.parametrize("method", METHODS)
def test_only_what_is_marked_is_replaced(method: str, hole: Mask) -> None:
    clear = np.concatenate([PALM, np.full_like(PALM[..., :1], 0.4)], 3)
    found = filled(clear, hole, method, 8)
    outside = hole[0] == 0
    assert np.array_equal(found[0][outside], clear[0][outside])
    assert np.abs(found[0, ..., :3] - PALM[0])[~outside].mean() > 0.05
    assert np.array_equal(found[..., 3], clear[..., 3])
    assert found.dtype == np.float32


@pytest.mark.parametrize("method", ["blur", "border"])
def test_filling_comes_from_around_and_not_from_below(method: str, hole: Mask) -> None:
    other = PALM.copy()
    other[:, 41:109, 41:99] = (1, 0, 1)
    assert np.allclose(filled(PALM, hole, method, 8), filled(other, hole, method, 8), atol=0.02)
    sky_and_sand = filled(PALM, hole, method, 8)[0]
    assert sky_and_sand[42, 70, 2] > sky_and_sand[107, 70, 2]


@pytest.mark.parametrize("method", ["blur", "border"])
def test_flat_surroundings_fill_flat(method: str, hole: Mask) -> None:
    flat = np.full((1, 128, 128, 3), 0.3, np.float32)
    holed = np.where(hole[..., None] > 0, np.float32(0.9), flat)
    assert np.allclose(filled(holed, hole, method, 4), flat, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_all_and_nothing_can_be_marked(method: str) -> None:
    all_, nothing = np.ones((1, 128, 128), np.float32), np.zeros((1, 128, 128), np.float32)
    assert np.isfinite(filled(PALM, all_, method, 8)).all()
    assert np.array_equal(filled(PALM, nothing, method, 8), PALM)


def test_grey_masks_mix_old_and_new(hole: Mask) -> None:
    assert np.allclose(filled(PALM, hole / 2, "black", 1)[0, 60, 60], PALM[0, 60, 60] / 2)


def test_one_picture_serves_several_masks(hole: Mask) -> None:
    two = np.concatenate([hole, 1 - hole])
    found = fill_masked(PALM, two[:, ::2, ::2], method="white")
    assert found.shape == (2, 128, 128, 3)
    with pytest.raises(NodeError, match="There are 2 for 3 pictures"):
        fill_masked(np.concatenate([PALM] * 3), two)
