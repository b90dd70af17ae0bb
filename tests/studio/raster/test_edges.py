from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from studio.files.pictures import read
from studio.paths import assets_dir
from studio.raster import edges, hints
from studio.types import Image

PALM = read(assets_dir() / "pictures" / "palm_tree.png")[0]
DRAWING: list[Callable[[Image], Image]] = [
    edges.canny,
    edges.line_art,
    edges.soft_edge,
    edges.scribble,
    edges.thresholded,
]


def disc(side: int = 96) -> Image:
    """A light disc of radius 24 on a dark ground."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    inside = np.hypot(x - side / 2, y - side / 2) < 24
    return np.where(inside, np.float32(0.9), np.float32(0.1))[None, :, :, None].repeat(3, 3)


def radii(marked: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(marked)
    return np.hypot(columns + 0.5 - 48, rows + 0.5 - 48)


@pytest.mark.parametrize("draw", DRAWING)
def test_batch_is_drawn_picture_by_picture_in_three_channels(draw: Callable[[Image], Image]) -> None:
    alpha = np.concatenate([PALM, np.ones_like(PALM[..., :1])], 3)
    both = draw(np.concatenate([alpha, alpha[:, ::-1]]))
    assert both.shape == (2, 128, 128, 3)
    assert both.dtype == np.float32
    assert 0 <= both.min() < both.max() <= 1
    assert np.array_equal(both[:1], draw(PALM))
    assert np.array_equal(both[..., 0], both[..., 2])


@pytest.mark.parametrize("draw", [edges.canny, edges.soft_edge, edges.scribble])
def test_edge_of_a_disc_is_a_ring(draw: Callable[[Image], Image]) -> None:
    found = draw(disc())[0, ..., 0]
    assert np.abs(radii(found > 0.6) - 24).max() < 4
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    on_ring = [
        found[int(48 + 24 * np.sin(a)) - 2 :, int(48 + 24 * np.cos(a)) - 2 :][:5, :5].max() for a in angles
    ]
    assert min(on_ring) > 0.4


@pytest.mark.parametrize("draw", [edges.canny, edges.line_art, edges.soft_edge, edges.scribble])
@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 1, 40, 3), (1, 33, 17, 3)])
def test_flat_and_tiny_pictures_have_no_edges(draw: Callable[[Image], Image], shape: tuple[int, ...]) -> None:
    assert draw(np.full(shape, 0.5, np.float32)).max() < 0.01


def test_canny_limits_let_less_through() -> None:
    loose, strict = edges.canny(PALM, 0.1, 0.2), edges.canny(PALM, 0.4, 0.8)
    assert strict.sum() < loose.sum()
    assert set(np.unique(loose)) == {0, 1}
    assert edges.canny(PALM, 0.1, 0.2, blur=3).sum() < loose.sum()


def test_dark_strokes_become_light_lines() -> None:
    page = np.ones((1, 64, 64, 3), np.float32)
    page[:, 20:23, 8:56] = 0.2
    lines = edges.line_art(page)[0, ..., 0]
    assert lines[21, 10:54].min() > 0.8
    assert lines[40:].max() < 0.05


def test_soft_edges_keep_what_only_colour_tells() -> None:
    equal_light = np.zeros((1, 64, 64, 3), np.float32)
    equal_light[:, :, :32] = (0.7, 0.2, 0.2)
    equal_light[:, :, 32:] = (0.2, 0.348, 0.2)
    assert edges.soft_edge(equal_light)[0, 32, 32, 0] > 0.5


def test_strokes_are_as_wide_as_asked() -> None:
    thin, wide = edges.scribble(disc(), width=1), edges.scribble(disc(), width=7)
    assert 4 < wide.sum() / thin.sum() < 9


def test_tile_keeps_means_and_loses_detail() -> None:
    checks = np.indices((64, 64)).sum(0)[None, :, :, None].repeat(3, 3) % 2
    flat = hints.tile(checks.astype(np.float32), 4)
    assert flat.shape == (1, 64, 64, 3)
    assert np.allclose(flat, 0.5, atol=0.01)
    assert np.abs(hints.tile(PALM, 4) - PALM).mean() < 0.05


def test_colours_are_the_means_of_their_cells() -> None:
    found = hints.colours(PALM, 32)
    means = PALM.reshape(1, 4, 32, 4, 32, 3).mean((2, 4))
    assert np.allclose(found[:, ::32, ::32], means, atol=1e-5)
    assert np.ptp(found[0, :32, :32], axis=(0, 1)).max() == 0


def test_blurred_picture_keeps_its_border_colours() -> None:
    found = hints.blur(PALM, 6)
    assert found.shape == PALM.shape
    assert np.abs(found[0, 0] - PALM[0, 0]).mean() < 0.05
    assert found.std() < PALM.std()
    assert hints.blur(PALM, 0) is PALM


def test_inverted_twice_is_the_picture_and_alpha_stays() -> None:
    clear = np.concatenate([PALM, np.full_like(PALM[..., :1], 0.3)], 3)
    assert np.allclose(hints.inverted(hints.inverted(clear)), clear, atol=1e-6)
    assert np.array_equal(hints.inverted(clear)[..., 3], clear[..., 3])


def test_shuffle_keeps_colours_and_loses_places() -> None:
    found = hints.shuffled(PALM, 0.25, 1)
    assert np.array_equal(found, hints.shuffled(PALM, 0.25, 1))
    assert not np.array_equal(found, hints.shuffled(PALM, 0.25, 2**64 - 1))
    assert np.abs(found.mean((1, 2)) - PALM.mean((1, 2))).max() < 0.25
    assert np.abs(found - PALM).mean() > 0.1
    assert hints.shuffled(PALM[:, :1, :1], 0.25, 1).shape == (1, 1, 1, 3)


def test_normals_of_a_plane_are_those_of_its_slope() -> None:
    # Nearness grows to the right by 1 over the width: deep = 64 / 4, so the slope is 16 px in 64.
    ramp = np.linspace(0, 1, 65, dtype=np.float32)[None, None, :, None].repeat(64, 1).repeat(3, 3)[:, :, :64]
    normal = hints.normals_from_depth(ramp)[0, 32, 32] * 2 - 1
    wanted = np.array([-0.25, 0, 1]) / np.hypot(0.25, 1)
    assert normal == pytest.approx(wanted, abs=1e-3)
    up = hints.normals_from_depth(ramp.transpose(0, 2, 1, 3)[:, ::-1])[0, 32, 32] * 2 - 1
    assert up == pytest.approx(np.array([0, -0.25, 1]) / np.hypot(0.25, 1), abs=1e-3)
    flat = hints.normals_from_depth(ramp, background=2.0)
    assert np.allclose(flat, [0.5, 0.5, 1])
