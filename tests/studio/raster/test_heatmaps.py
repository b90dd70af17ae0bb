from __future__ import annotations

import numpy as np
import pytest

from studio.raster.heatmaps import crop_for, joints_of
from studio.raster.palette import palette


def bump(x: float, y: float, rows: int = 64, columns: int = 48) -> np.ndarray:
    v, u = np.mgrid[0:rows, 0:columns]
    return np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 2**2)).astype(np.float32)


@pytest.mark.parametrize("place", [(20.3, 30.7), (5.0, 5.5), (40.49, 60.1)])
def test_peaks_are_found_between_pixels(place: tuple[float, float]) -> None:
    places, scores = joints_of(bump(*place)[None], (0.0, 0.0, 47.0, 63.0), (1, 1))
    assert places[0] == pytest.approx(place, abs=0.05)
    assert scores[0] > 0.9


def test_plains_and_corners_have_a_place_too() -> None:
    flat = np.zeros((2, 64, 48), np.float32)
    flat[1, 0, 0] = 1
    places, scores = joints_of(flat, (0.0, 0.0, 47.0, 63.0), (1, 1))
    assert np.abs(places).max() <= 1
    assert scores.tolist() == [0, 1]


@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.2, 0.1, 0.3, 0.8), (0.5, 0.4, 0.5, 0.1)])
def test_what_is_seen_in_a_crop_is_found_in_the_picture(box: tuple[float, float, float, float]) -> None:
    middle = (box[0] + box[2] * 0.4, box[1] + box[3] * 0.6)
    y, x = np.mgrid[0:120, 0:200]
    spot = np.exp(-((x - middle[0] * 200) ** 2 + (y - middle[1] * 120) ** 2) / (2 * 6**2))
    picture = np.repeat(spot[..., None], 3, 2).astype(np.float32)
    crop, area = crop_for(picture, box, (256, 192))
    assert crop.shape == (256, 192, 3)
    assert area[2] / area[3] == pytest.approx(192 / 256)
    places, _ = joints_of(crop[None, ..., 0], area, (200, 120))
    assert places[0] == pytest.approx(middle, abs=0.006)


def test_labels_have_colours_apart() -> None:
    assert (palette(150)[:3] * 255).round().tolist() == [[120, 120, 120], [180, 120, 120], [6, 230, 230]]
    assert len(np.unique(palette(150), axis=0)) >= 148  # the field's own list has one twice
    for count in (2, 5, 21, 133, 200):
        assert len(np.unique(palette(count), axis=0)) == count
