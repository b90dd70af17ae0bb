from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from studio.files.pictures import read
from studio.paths import assets_dir
from studio.raster.measures import EQUAL_DB, psnr, rms, ssim

PALM = read(assets_dir() / "pictures" / "palm_tree.png")[0]
RANDOM = np.random.default_rng(2)


def by_formula(x: np.ndarray, y: np.ndarray, span: float) -> float:
    """SSIM of one plane, window by window."""
    place = np.arange(-5, 6)
    line = np.exp(-(place**2) / (2 * 1.5**2))
    weight = np.outer(line, line) / np.outer(line, line).sum()
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            ma, mb = (a * weight).sum(), (b * weight).sum()
            va, vb = (weight * (a - ma) ** 2).sum(), (weight * (b - mb) ** 2).sum()
            both = (weight * (a - ma) * (b - mb)).sum()
            c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
            found.append((2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize("span", [1.0, 4.0])
def test_similarity_is_the_formula_of_its_paper(span: float) -> None:
    first = RANDOM.random((1, 24, 20, 1)) * span
    second = (first + RANDOM.normal(0, 0.1 * span, first.shape)).clip(0, span)
    assert ssim(first, second, span) == pytest.approx(by_formula(first[0, ..., 0], second[0, ..., 0], span))


def test_measures_are_those_of_scikit_image() -> None:
    # scikit-image 0.26: gaussian_weights=True, sigma=1.5, use_sample_covariance=False, in float64.
    blurred = cv2.GaussianBlur(PALM[0], (0, 0), 2)[None]
    shifted = np.roll(PALM, 1, 2)
    assert ssim(PALM, blurred) == pytest.approx(0.9395859322903629, abs=1e-9)
    assert ssim(PALM, shifted) == pytest.approx(0.9717881249886154, abs=1e-9)
    assert psnr(PALM, blurred) == pytest.approx(29.9346166, abs=1e-6)
    assert psnr(PALM, shifted) == pytest.approx(30.3653074, abs=1e-6)


def test_equal_pictures_are_told_as_equal() -> None:
    assert psnr(PALM, PALM) == EQUAL_DB
    assert ssim(PALM, PALM) == pytest.approx(1)
    assert rms(PALM, PALM) == 0
    flat = np.zeros((1, 16, 16, 1))
    assert ssim(flat, flat, 0.0) == pytest.approx(1)


def test_ratio_is_that_of_span_and_error() -> None:
    first = np.zeros((2, 4, 4, 1), np.float32)
    assert psnr(first, first + 0.1) == pytest.approx(20)
    assert psnr(first, first + 0.1, 2.0) == pytest.approx(20 + 20 * math.log10(2))
    assert rms(first, first + 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize("side", [1, 2, 5, 10])
def test_pictures_smaller_than_the_window_have_a_similarity(side: int) -> None:
    first = RANDOM.random((1, side, 32, 2))
    assert ssim(first, first) == pytest.approx(1)
    assert ssim(first, 1 - first) < 0.9
