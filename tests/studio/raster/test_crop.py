from __future__ import annotations

import numpy as np
import pytest

from studio.raster.crop import Box, around, composite, widened
from studio.raster.shapes import gradient, shape

RANDOM = np.random.default_rng(4)


def dot(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((1, 60, 100), np.float32)
    mask[0, top:bottom, left:right] = 0.1
    return mask


def test_box_lies_around_what_is_marked() -> None:
    assert around(dot(30, 20, 40, 30), 0, 1, False) == Box(30, 20, 10, 10)
    assert around(dot(30, 20, 40, 30), 4, 8, False) == Box(23, 13, 24, 24)
    assert around(dot(30, 20, 50, 30), 0, 1, True) == Box(30, 15, 20, 20)
    assert around(np.zeros((1, 4, 4), np.float32), 0, 1, False) is None


@pytest.mark.parametrize("multiple", [1, 8, 64])
def test_box_stays_in_the_picture(multiple: int) -> None:
    for mask in (dot(0, 0, 1, 1), dot(99, 59, 100, 60), dot(0, 0, 100, 60), dot(50, 0, 51, 60)):
        box = around(mask, 20, multiple, True)
        assert box
        assert box.left >= 0
        assert box.top >= 0
        assert box.left + box.width <= 100
        assert box.top + box.height <= 60
        assert box.width % multiple == 0 or box.width == 100
        assert box.height % multiple == 0 or box.height == 60


def test_part_put_back_gives_the_picture_again() -> None:
    image = RANDOM.random((2, 60, 100, 3), np.float32)
    box = around(dot(30, 20, 40, 30), 4, 8, False)
    assert box
    part = image[:, box.rows, box.columns]
    assert np.array_equal(composite(image, part, None, box.left, box.top), image)


def test_mask_and_alpha_say_what_is_seen() -> None:
    below = np.zeros((1, 8, 8, 3), np.float32)
    above = np.ones((1, 4, 4, 4), np.float32)
    above[..., 3] = 0.5
    mask = np.zeros((1, 4, 4), np.float32)
    mask[:, :, 2:] = 0.5
    found = composite(below, above, mask, 2, 2)
    assert found[0, 2:6, 4:6].tolist() == np.full((4, 2, 3), 0.25).tolist()
    assert found[0, 2:6, :4].max() == 0
    assert found[0, :2].max() == 0


def test_transparent_ground_takes_the_colours_of_what_is_laid_on_it() -> None:
    below = np.zeros((1, 2, 2, 4), np.float32)
    above = np.full((1, 2, 2, 3), 0.75, np.float32)
    found = composite(below, above, np.full((1, 2, 2), 0.5, np.float32), 0, 0)
    assert np.allclose(found, [0.75, 0.75, 0.75, 0.5])


@pytest.mark.parametrize(
    ("left", "top", "pixels"), [(-3, -3, 1), (6, 7, 2), (-4, 0, 0), (8, 0, 0), (2, 2, 16)]
)
def test_what_reaches_over_the_border_is_cut_off(left: int, top: int, pixels: int) -> None:
    found = composite(np.zeros((1, 8, 8, 3), np.float32), np.ones((1, 4, 4, 3), np.float32), None, left, top)
    assert np.count_nonzero(found[..., 0]) == pixels


def test_one_ground_serves_a_batch() -> None:
    above = RANDOM.random((3, 4, 4, 3), np.float32)
    assert np.array_equal(composite(np.zeros((1, 4, 4, 3), np.float32), above, None, 0, 0), above)


def test_new_room_is_masked_and_fades_into_the_picture() -> None:
    image = RANDOM.random((2, 40, 50, 3), np.float32)
    wide, mask = widened(image, (0, 8, 16, 0), 10, "grey")
    assert wide.shape == (2, 48, 66, 3)
    assert mask.shape == (1, 48, 66)
    assert np.array_equal(wide[:, 8:, :50], image)
    assert wide[:, :8].min() == wide[:, :8].max() == 0.5
    assert mask[0, :8].min() == mask[0, :, 50:].min() == 1
    # Towards the right side, far from the top: (1 − d / 10)², d counted from the new room.
    assert mask[0, 40, 45:50] == pytest.approx([(1 - d / 10) ** 2 for d in (5, 4, 3, 2, 1)])
    assert mask[0, 20:, :40].max() == 0
    assert widened(image, (0, 8, 16, 0), 0, "grey")[1][0, 8:, :50].max() == 0


def test_room_may_be_filled_by_what_is_there() -> None:
    image = RANDOM.random((1, 4, 4, 4), np.float32)
    edge, _ = widened(image, (3, 0, 0, 0), 0, "edge")
    assert np.array_equal(edge[:, :, 0], image[:, :, 0])
    mirror, _ = widened(image, (3, 0, 0, 0), 0, "mirror")
    assert np.array_equal(mirror[:, :, 0], image[:, :, 3])
    grey, _ = widened(image, (3, 0, 0, 0), 0, "grey")
    assert grey[:, :, :3, 3].min() == 1


def test_ellipse_and_rectangle_have_their_area() -> None:
    box = (0.25, 0.25, 0.5, 0.5)
    assert shape(200, 100, "rectangle", box, 0, 0).sum() == pytest.approx(5000, rel=1e-3)
    assert shape(200, 100, "ellipse", box, 0, 0).sum() == pytest.approx(np.pi * 50 * 25, rel=5e-3)
    rounded = shape(200, 200, "rectangle", box, 0, 1)
    assert np.allclose(rounded, shape(200, 200, "ellipse", box, 0, 0), atol=0.02)
    turned = shape(200, 200, "rectangle", (0.1, 0.4, 0.8, 0.2), 90, 0)
    assert np.allclose(turned, shape(200, 200, "rectangle", (0.4, 0.1, 0.2, 0.8), 0, 0), atol=1e-3)
    assert shape(20, 20, "ellipse", (0.5, 0.5, 0.0, 0.2), 0, 0).max() == 0


def test_gradient_leads_where_it_says() -> None:
    across = gradient(101, 3, "linear", 0, 0, 1)[0, 1]
    assert across == pytest.approx((np.arange(101) + 0.5) / 101, abs=1e-6)
    down = gradient(3, 101, "linear", 90, 0, 1)[0, :, 1]
    assert down == pytest.approx(across, abs=1e-6)
    back = gradient(101, 3, "linear", 0, 1, 0)[0, 1]
    assert back == pytest.approx(1 - across, abs=1e-6)
    assert gradient(101, 3, "linear", 0, 0.5, 0.5)[0, 1].tolist() == [0.0] * 50 + [1.0] * 51
    round_ = gradient(101, 101, "radial", 0, 0, 1)[0]
    assert round_[50, 50] == 1
    assert round_[0, 0] < 0.02
