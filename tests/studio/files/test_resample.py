from __future__ import annotations

import numpy as np
import pytest

from studio.files.resample import resize

HALVES = np.concatenate([np.zeros((1, 8, 8, 3)), np.ones((1, 8, 8, 3))], 2).astype(np.float32)


@pytest.mark.parametrize("method", ["lanczos", "bicubic", "bilinear", "nearest"])
@pytest.mark.parametrize(("fit", "shape"), [("stretch", (6, 6)), ("crop", (6, 6)), ("inside", (3, 6))])
def test_size_is_what_the_fit_says(method: str, fit: str, shape: tuple[int, int]) -> None:
    made = resize(HALVES, 6, 6, fit, method)
    assert made.shape == (1, *shape, 3)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert made.mean() == pytest.approx(0.5, abs=0.01)


def test_crop_takes_the_middle() -> None:
    sides = HALVES.copy()
    sides[:, :, :2] = sides[:, :, -2:] = 0.25
    made = resize(sides, 8, 8, "crop", "nearest")
    assert 0.25 not in made


def test_hidden_colours_do_not_bleed() -> None:
    picture = np.zeros((1, 2, 8, 4), np.float32)
    picture[:, :, :4] = [1, 0, 0, 1]
    picture[:, :, 4:] = [0, 1, 0, 0]
    made = resize(picture, 3, 2, "stretch", "bilinear")
    seen = made[made[..., 3] > 0.01]
    assert np.allclose(seen[:, :3], [1, 0, 0], atol=1e-4)


def test_same_size_is_the_same_picture() -> None:
    picture = np.random.default_rng(0).random((2, 5, 7, 3), np.float32)
    assert np.allclose(resize(picture, 7, 5, "crop", "nearest"), picture)
