from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio.raster.cells import diverging, enlarged, fitted, within
from studio.raster.grid import side_by_side, stacked
from studio.raster.plots import Curve, colours, histogram, ticks
from studio.raster.telling import told
from studio.raster.text import GROUND, INK, card, width_of, wrapped
from studio.types import Model, Recipe

GROUND_PIXEL = np.array(GROUND) / 255


def ink(picture: np.ndarray) -> np.ndarray:
    """Where something was drawn."""
    return np.abs(picture - GROUND_PIXEL).max(-1) > 0.02


@pytest.mark.parametrize("text", ["1×4 − 2…", "“Grüße”", "狐狸", "лиса", "±0.5"])
def test_letters_of_many_scripts_are_drawn(text: str) -> None:
    picture = card(text, 200)
    unknown = card("\U000f1234" * len(text), 200)
    assert ink(picture).sum() > 20
    assert not np.array_equal(picture, unknown)
    assert picture.max() <= max(INK) / 255 + 1e-6


def test_long_texts_are_broken_between_words_and_keep_their_indent() -> None:
    lines = wrapped("    a fox that sits beneath a palm tree by the sea", 120, 15)
    assert len(lines) > 2
    assert all(line.startswith("    ") for line in lines)
    assert all(width_of(line, 15) <= 120 for line in lines)
    assert " ".join(" ".join(lines).split()) == "a fox that sits beneath a palm tree by the sea"


def test_a_word_without_end_is_cut_and_nothing_is_lost() -> None:
    lines = wrapped("x" * 300, 100, 15)
    assert "".join(lines) == "x" * 300
    assert all(width_of(line, 15) <= 100 for line in lines)
    assert wrapped("狐狸", 1, 15) == ["狐", "狸"]
    assert wrapped("", 100, 15) == [""]


def test_endless_texts_end() -> None:
    assert len(wrapped("a\n" * 9000, 100, 15)) == 401


def test_cards_are_as_high_as_their_text() -> None:
    one, three = card("a", 100), card("a\nb\nc", 100)
    assert one.shape[1] == three.shape[1] == 100
    assert three.shape[0] - one.shape[0] == 2 * 21
    assert not ink(three)[:, 90:].any()


def test_grid_keeps_the_pixels_of_its_pictures() -> None:
    tiles = [np.full((20, 30, 3), value, np.float32) for value in (0.3, 0.6, 0.9)]
    grid = side_by_side(tiles, [], 2)
    assert grid.shape == (3 * 8 + 2 * 20, 3 * 8 + 2 * 30, 3)
    assert np.array_equal(grid[8:28, 8:38], tiles[0])
    assert np.array_equal(grid[8:28, 46:76], tiles[1])
    assert np.array_equal(grid[36:56, 8:38], tiles[2])
    assert np.allclose(grid[36:56, 46:], GROUND_PIXEL)


def test_labels_stand_below_their_pictures() -> None:
    tiles = [np.zeros((20, 120, 3), np.float32)] * 2
    grid = side_by_side(tiles, ["", "second"], 2)
    below = ink(grid[28 + 8 :])
    assert not below[:, : 128 + 8].any()
    assert below[:, 136:].any()


def test_grids_of_different_heights_become_one_batch() -> None:
    both = stacked([np.ones((4, 6, 3), np.float32), np.ones((7, 6, 3), np.float32)])
    assert both.shape == (2, 7, 6, 3)
    assert np.allclose(both[0, 4:], GROUND_PIXEL)


def test_colours_of_numbers_tell_sign_and_size() -> None:
    shown = diverging(np.array([[-9, -1, 0, 1, np.nan]], np.float32), 1)
    cold, cold_too, neutral, warm, unknown = shown[0]
    assert np.array_equal(cold, cold_too)
    assert cold[2] > cold[0]
    assert warm[0] > warm[2]
    assert neutral.min() > 0.9
    assert np.array_equal(neutral, unknown)


def test_small_pictures_are_enlarged_and_large_ones_made_smaller() -> None:
    assert enlarged(np.zeros((10, 30, 3), np.float32), 100).shape == (40, 120, 3)
    assert within(np.zeros((100, 300, 3), np.float32), 150).shape == (50, 150, 3)
    cell = fitted(np.ones((2, 2, 3), np.float32), 6, 4)
    assert cell[1:3, 2:4].min() == 1
    assert ink(cell).sum() == 4


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 3, [-3, -2, -1, 0, 1, 2, 3]),
        (0, 0, [0]),
        (0.1, 950, [200, 400, 600, 800]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


def test_curve_rises_where_its_values_are() -> None:
    heights = np.zeros(64)
    heights[48] = 5
    curve = Curve("one", (250, 10, 10), heights)
    picture = histogram([curve], 0, 1, width=400, height=200)
    red = (picture[..., 0] > 0.6) & (picture[..., 1] < 0.3)
    body = red[40:]
    top = np.argwhere(body)[0]
    assert pytest.approx(top[1], abs=3) == 16 + 48 / 63 * 368
    assert red[:34, :80].any()  # the legend
    assert picture.shape == (234, 400, 3)


def test_many_names_take_more_rows() -> None:
    curves = [Curve(f"channel {index}", colour, np.ones(4)) for index, colour in enumerate(colours(16))]
    assert len({curve.colour for curve in curves}) == 16
    assert histogram(curves, 0, 1).shape[0] > histogram(curves[:2], 0, 1).shape[0]


def test_values_are_told_in_words(tmp_path: Path) -> None:
    assert [told(value) for value in (True, 3, 0.5, "a fox", None)] == ["yes", "3", "0.5", "a fox", "None"]
    assert told(np.array([[0.0, 1.0]])) == "1×2, 0 to 1, mean 0.5 ± 0.5"
    assert told(np.zeros((0, 3))) == "0×3, empty"
    assert told([1, 2]) == "0: 1\n1: 2"
    model = Model(Recipe(str(tmp_path), "abc", "unet", "stable_diffusion"))
    assert told(model).splitlines()[:3] == ["Model", "    recipe: Recipe", "        identity: abc"]
    assert str(tmp_path) not in told(model)
