from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from studio.cache.store import Store
from studio.errors import StudioError
from studio.types import Latent
from studio.worker import pictures
from studio.worker.pictures import fetch, picture, shrunk, to_bytes, unseen
from studio.worker.protocol import FetchPicture


def grey(shade: float, count: int = 1, channels: int = 3) -> np.ndarray[Any, Any]:
    return np.full((count, 2, 3, channels), shade, np.float32)


def test_shades_are_rounded_and_clipped_and_what_is_no_number_is_black() -> None:
    shades = np.array([0, 0.4999, 1, -1, 2, np.nan, 0.5 / 255 + 1e-6], np.float32)
    assert to_bytes(shades).tolist() == [0, 127, 255, 0, 255, 0, 1]


def test_a_batch_is_counted_by_pictures_and_a_list_by_items() -> None:
    batch = np.concatenate([grey(0), grey(0.2), grey(1)])
    assert [int(picture(batch, index, unseen)[0, 0, 0]) for index in range(3)] == [0, 51, 255]
    items = [grey(0, 2), grey(1, 1), grey(0.2, 2)]
    assert [int(picture(items, index, unseen)[0, 0, 0]) for index in range(3)] == [0, 255, 51]
    for value in (batch, items):
        for index in (3, -1):
            with pytest.raises(StudioError, match="no picture number"):
                picture(value, index, unseen)


def test_alpha_is_kept_and_a_mask_is_grey() -> None:
    assert picture(grey(1, channels=4), 0, unseen).shape == (2, 3, 4)
    mask = np.ones((1, 2, 3), np.float32)
    assert picture(mask, 0, unseen).shape == (2, 3, 3)
    assert (picture(mask, 0, unseen) == 255).all()


@pytest.mark.parametrize("value", [7, "text", None, np.zeros((2, 2)), np.zeros((1, 2, 2, 7)), [1], {}])
def test_what_is_no_picture_is_told(value: object) -> None:
    with pytest.raises(StudioError, match="no picture"):
        picture(value, 0, unseen)


class Samples:
    shape = (2, 4, 8, 8)


def test_a_latent_is_shown_through_its_family_or_not_at_all() -> None:
    latent = Latent(cast(Any, Samples()), 8)
    shown = picture(latent, 1, lambda _latent, index: np.full((8, 8, 3), index, np.uint8))
    assert (shown == 1).all()
    with pytest.raises(StudioError, match="decoded"):
        picture(latent, 0, unseen)


@pytest.mark.parametrize(
    ("size", "max_px", "expected"),
    [((40, 20), 10, (10, 5)), ((40, 20), 0, (40, 20)), ((4, 2), 10, (4, 2)), ((400, 1), 10, (10, 1))],
)
def test_a_picture_is_shrunk_to_its_longest_side(
    size: tuple[int, int], max_px: int, expected: tuple[int, int]
) -> None:
    assert shrunk(np.zeros((*size, 3), np.uint8), max_px).shape == (*expected, 3)


def test_a_picture_too_large_for_a_message_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(1 << 24, None)
    store.put("key", {"image": np.zeros((1, 200, 200, 3), np.float32)}, seconds=1.0, keep=False)
    monkeypatch.setattr(pictures, "MAX_BYTES", 100_000)
    assert "120,000 bytes" in fetch(store, FetchPicture("f", "key", "image"), unseen).error
    assert fetch(store, FetchPicture("f", "key", "image", 0, 50), unseen).width == 50
    assert fetch(store, FetchPicture("f", "key", "mask"), unseen).error
