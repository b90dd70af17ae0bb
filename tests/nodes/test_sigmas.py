from __future__ import annotations

import itertools

import numpy as np
import pytest

from nodes.sigmas import (
    flip_sigmas,
    karras_sigmas,
    manual_sigmas,
    plot_sigmas,
    polyexponential_sigmas,
    split_sigmas,
    split_sigmas_by_denoise,
)
from studio.diffusion import schedules
from studio.errors import NodeError
from studio.types import Sigmas
from tests.studio.diffusion.reference import KINDS

SD = KINDS["eps"]


def test_karras_at_its_defaults_is_the_schedule_of_stable_diffusion() -> None:
    assert karras_sigmas(steps=12).values == pytest.approx(tuple(schedules.karras(SD, 12)), rel=2e-5)
    assert polyexponential_sigmas(steps=12).values == pytest.approx(
        tuple(schedules.exponential(SD, 12)), rel=2e-5
    )


def test_rho_moves_levels_towards_the_low_end() -> None:
    for make in (karras_sigmas, polyexponential_sigmas):
        few, many = (make(steps=9, rho=rho).values for rho in (2.0, 9.0))
        assert few[0] == pytest.approx(many[0])
        assert few[4] > many[4]


def test_ends_the_wrong_way_round_are_told() -> None:
    with pytest.raises(NodeError, match="not above the last") as caught:
        karras_sigmas(sigma_max=0.1, sigma_min=1.0)
    assert caught.value.socket == "sigma_max"


def test_numbers_are_read_with_commas_spaces_and_lines_between() -> None:
    assert manual_sigmas(values="10, 5 2;1\n0").values == (10, 5, 2, 1, 0)
    assert manual_sigmas(values="1 0.5", flow=True) == Sigmas((1.0, 0.5), True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("10 5 x", "“x” is no number"),
        ("", "There are 0 noise levels"),
        ("3", "There are 1 noise levels"),
        ("10 5 5 0", "5 follows 5"),
        ("1 2 0", "2 follows 1"),
        ("1 -1", "below 0"),
        ("inf 1", "endless"),
        ("nan 1", "endless"),
        ("1 " * 10_001, "There are 10001 noise levels"),
    ],
)
def test_numbers_that_are_no_noise_levels_are_told(values: str, told: str) -> None:
    with pytest.raises(NodeError, match=told) as caught:
        manual_sigmas(values=values)
    assert caught.value.socket == "values"


def test_a_flow_does_not_begin_above_one() -> None:
    with pytest.raises(NodeError, match="A flow begins at 1, not at 14"):
        manual_sigmas(values="14 1 0", flow=True)


def test_halves_share_the_level_they_are_cut_at() -> None:
    whole = Sigmas((5.0, 4.0, 3.0, 2.0, 0.0), False)
    high, low = split_sigmas(whole, step=2)
    assert (high.values, low.values) == ((5, 4, 3), (3, 2, 0))
    high, low = split_sigmas(whole, step=99)
    assert (high.values, low.values) == (whole.values, (0,))
    high, low = split_sigmas_by_denoise(whole, denoise=0.25)
    assert (high.values, low.values) == ((5, 4, 3, 2), (2, 0))
    high, low = split_sigmas_by_denoise(whole, denoise=1.0)
    assert (high.values, low.values) == ((5,), whole.values)


def test_a_flipped_trajectory_rises_from_just_above_zero() -> None:
    turned = flip_sigmas(Sigmas((5.0, 4.0, 0.0), True))
    assert turned == Sigmas((0.0001, 4.0, 5.0), True)
    assert flip_sigmas(Sigmas((5.0, 4.0))).values == (4, 5)
    assert flip_sigmas(Sigmas(())).values == ()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_curves_are_drawn_in_colours_of_their_own(logarithmic: bool) -> None:
    curves = [Sigmas(tuple(make(SD, 20))) for make in (schedules.karras, schedules.normal)]
    picture = plot_sigmas(curves, logarithmic=logarithmic)
    assert picture.shape == (1, 400, 640, 3)
    assert picture.dtype == np.float32
    pixels = (picture[0] * 255).round().astype(np.uint8).reshape(-1, 3)
    counts = [int((pixels == colour).all(1).sum()) for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0))]
    assert min(counts) > 500


def test_a_curve_falls_from_the_upper_left() -> None:
    picture = plot_sigmas([Sigmas((10.0, 0.0))])[0]
    blue = np.argwhere((picture[..., 2] > 0.6) & (picture[..., 0] < 0.1))
    rows = [blue[np.abs(blue[:, 1] - x) < 2][:, 0].mean() for x in (100, 250, 400)]
    assert all(above < below for above, below in itertools.pairwise(rows))


def test_odd_curves_are_drawn_too() -> None:
    for values in ((0.0,), (1e-9, 0.0), (5000.0, 1.0), (1.0,)):
        for logarithmic in (False, True):
            assert plot_sigmas([Sigmas(values)], logarithmic=logarithmic, width=200, height=150).size
    with pytest.raises(NodeError, match="no noise levels to draw"):
        plot_sigmas([Sigmas(())])
