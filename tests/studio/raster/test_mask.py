from __future__ import annotations

import numpy as np
import pytest

from studio.errors import NodeError
from studio.raster import mask as masks
from studio.raster.batch import together
from studio.raster.colour import luminance, parsed
from studio.types import Mask

RANDOM = np.random.default_rng(3)


def square(side: int = 32, begin: int = 12, end: int = 20) -> Mask:
    mask = np.zeros((1, side, side), np.float32)
    mask[:, begin:end, begin:end] = 1
    return mask


def distances(side: int = 32, begin: int = 12, end: int = 20) -> np.ndarray:
    """Of every pixel to the nearest marked one, by going through all of them."""
    marked = np.argwhere(square(side, begin, end)[0] > 0)
    places = np.argwhere(np.ones((side, side)))
    return np.linalg.norm(places[:, None] - marked[None], axis=2).min(1).reshape(side, side)


def test_channels_are_taken_as_they_are() -> None:
    image = RANDOM.random((2, 4, 5, 4), np.float32)
    for index, name in enumerate(("red", "green", "blue", "alpha")):
        assert np.array_equal(masks.from_image(image, name), image[..., index])
    assert np.allclose(masks.from_image(image, "transparency"), 1 - image[..., 3])
    assert masks.from_image(image[..., :3], "alpha").min() == 1
    grey = np.full((1, 2, 2, 3), 0.25, np.float32)
    assert np.allclose(masks.from_image(grey, "luminance"), 0.25)


def test_green_looks_brighter_than_blue() -> None:
    colours = np.eye(3, dtype=np.float32)[None, None]
    assert luminance(colours)[0, 0].argsort().tolist() == [2, 0, 1]


@pytest.mark.parametrize(("text", "colour"), [("#ff0080", (1, 0, 128 / 255)), (" 0F0", (0, 1, 0))])
def test_colours_are_read_as_people_write_them(text: str, colour: tuple[float, ...]) -> None:
    assert parsed(text, "colour") == pytest.approx(colour)


@pytest.mark.parametrize("text", ["", "green", "#12345", "#12345g", "#١٢٣"])
def test_what_is_no_colour_is_told(text: str) -> None:
    with pytest.raises(NodeError, match="is no colour") as caught:
        parsed(text, "colour")
    assert caught.value.socket == "colour"


def test_colour_mask_fades_with_distance() -> None:
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None, None, :, None].repeat(3, 3)
    mask = masks.from_colour(ramp, (0.0, 0.0, 0.0), 0.205, 0.1)[0, 0]
    assert mask[:20].min() == 1
    assert mask[26] == pytest.approx(0.45, abs=0.01)
    assert mask[31:].max() == 0
    hard = masks.from_colour(ramp, (0.0, 0.0, 0.0), 0.205, 0)[0, 0]
    assert hard.tolist() == [1.0] * 21 + [0.0] * 80


def test_brightness_mask_marks_a_range() -> None:
    ramp = np.linspace(0, 1, 11, dtype=np.float32)[None, None, :, None].repeat(3, 3)
    mask = masks.from_brightness(ramp, 0.35, 0.65, 0)
    assert mask[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("radius", [1, 5, 11])
def test_round_growth_reaches_as_far_as_it_says(radius: int) -> None:
    far = distances()
    assert np.array_equal(masks.grown(square(), radius, "round")[0] > 0, far <= radius + 0.5)
    hole = 1 - square()
    assert np.array_equal(masks.grown(hole, -radius, "round")[0] == 0, far <= radius + 0.5)


@pytest.mark.parametrize("shape", ["round", "square", "diamond"])
def test_grown_grey_masks_keep_their_greys(shape: str) -> None:
    mask = square() * np.float32(0.6)
    wide = masks.grown(mask, 11, shape)
    assert set(np.unique(wide)) == {np.float32(0), np.float32(0.6)}
    assert np.count_nonzero(wide) > np.count_nonzero(mask)
    assert np.array_equal(masks.grown(masks.grown(mask, 3, shape), -3, shape), mask)


def test_square_and_diamond_have_their_corners() -> None:
    dot = np.zeros((1, 41, 41), np.float32)
    dot[0, 20, 20] = 0.5
    y, x = np.abs(np.mgrid[-20:21, -20:21])
    assert np.array_equal(masks.grown(dot, 13, "square")[0] > 0, np.maximum(x, y) <= 13)
    assert np.array_equal(masks.grown(dot, 13, "diamond")[0] > 0, x + y <= 13)


def test_narrowing_past_the_middle_leaves_nothing() -> None:
    assert masks.grown(square(), -5, "round").max() == 0
    assert masks.grown(square(), 0, "round").tolist() == square().tolist()


@pytest.mark.parametrize(
    ("side", "at_edge"), [("inside", (0, 0.125)), ("outside", (0.875, 1)), ("both", (0.375, 0.625))]
)
def test_feather_is_a_slope_on_the_side_it_says(side: str, at_edge: tuple[float, float]) -> None:
    mask = np.zeros((1, 4, 40), np.float32)
    mask[:, :, 20:] = 1
    slope = masks.feathered(mask, 4, side)[0, 0]
    assert (slope[19], slope[20]) == pytest.approx(at_edge)
    steps = np.diff(slope)
    assert steps.min() >= 0
    assert np.isclose(steps[(slope[1:] < 1) & (slope[:-1] > 0)], 0.25).all()


def test_feather_of_all_or_nothing_is_all_or_nothing() -> None:
    for value in (0.0, 1.0):
        assert np.unique(masks.feathered(np.full((1, 5, 5), value, np.float32), 3, "both")) == [value]


def test_blur_keeps_the_sum_and_the_ends() -> None:
    soft = masks.blurred(square(64, 28, 36), 3)
    assert soft.sum() == pytest.approx(64, rel=1e-3)
    assert 0 < soft.max() < 1
    assert np.allclose(masks.blurred(np.ones((1, 9, 9), np.float32), 5), 1)
    assert np.array_equal(masks.blurred(square(), 0), square())


def test_threshold_takes_the_level_in() -> None:
    assert masks.thresholded(np.array([[[0.4, 0.5, 0.6]]], np.float32), 0.5).tolist() == [[[0, 1, 1]]]


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("add", [0, 1, 1, 1]),
        ("subtract", [0, 0, 1, 0]),
        ("intersect", [0, 0, 0, 1]),
        ("difference", [0, 1, 1, 0]),
        ("multiply", [0, 0, 0, 1]),
        ("mean", [0, 0.5, 0.5, 1]),
    ],
)
def test_masks_combine_like_sets(how: str, wanted: list[float]) -> None:
    first, second = np.array([[[0, 0, 1, 1]]], np.float32), np.array([[[0, 1, 0, 1]]], np.float32)
    found = masks.combined(first, second, how)
    assert found.tolist() == [[wanted]]
    assert found.dtype == np.float32


def test_second_mask_is_fitted_and_repeated() -> None:
    first, second = together(np.zeros((3, 8, 8), np.float32), np.ones((1, 4, 2), np.float32))
    assert first.shape == second.shape == (3, 8, 8)
    with pytest.raises(NodeError, match="There are 2 for 3 pictures"):
        together(first, np.ones((2, 8, 8), np.float32))


def test_holes_are_filled_and_bays_are_not() -> None:
    mask = np.zeros((1, 16, 16), np.float32)
    mask[:, 2:14, 2:14] = 1
    mask[:, 4:6, 4:6] = 0.2  # a hole
    mask[:, 8:10, 8:] = 0  # a bay
    mask[:, 2, 2] = 0.7
    found = masks.filled(mask)
    assert found[0, 4:6, 4:6].min() == 1
    assert found[0, 8:10, 8:14].max() == 0
    assert found[0, 2, 2] == np.float32(0.7)
    assert found[0, :2].max() == 0


def test_small_islands_go_and_large_ones_stay() -> None:
    mask = square()
    mask[0, 2:4, 2:4] = 0.9
    found = masks.without_islands(mask, 5)
    assert found.tolist() == square().tolist()
    assert masks.without_islands(mask, 4).tolist() == mask.tolist()
    assert masks.without_islands(mask, 65).max() == 0


def test_resized_masks_keep_their_mean() -> None:
    mask = square()
    for side in (8, 31, 64, 100):
        assert masks.resized(mask, side, side).mean() == pytest.approx(mask.mean(), abs=0.01)
    assert set(np.unique(masks.resized(mask, 50, 70, smooth=False))) == {0, 1}


def test_masks_given_are_not_written_to_even_if_they_could_not_be() -> None:
    mask = square()
    mask.setflags(write=False)
    for found in (
        masks.grown(mask, 3, "round"),
        masks.feathered(mask, 3, "both"),
        masks.blurred(mask, 2),
        masks.filled(mask),
        masks.without_islands(mask, 3),
        masks.resized(mask, 9, 9),
    ):
        assert found.dtype == np.float32
        assert found.max() > 0
    assert mask.tolist() == square().tolist()
