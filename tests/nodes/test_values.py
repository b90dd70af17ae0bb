from __future__ import annotations

import numpy as np
import pytest

from nodes.flow import reroute, switch
from nodes.images import invert_mask, preview_image, resize_image
from nodes.latent import empty_latent, latent_upscale, set_latent_mask
from nodes.values import integer, join_text, number, text
from studio.errors import NodeError


def test_values_give_what_they_hold() -> None:
    assert number(value=0.25) == 0.25
    assert integer(value=2**64 - 1) == 2**64 - 1
    assert text(value="a\nfox") == "a\nfox"


@pytest.mark.parametrize(
    ("first", "second", "joined"), [("a", "b", "a, b"), ("", "b", "b"), ("a", "", "a"), ("", "", "")]
)
def test_joined_texts_leave_no_lone_separator(first: str, second: str, joined: str) -> None:
    assert join_text(first=first, second=second) == joined


@pytest.mark.parametrize(("condition", "branch"), [(True, "on_true"), (False, "on_false")])
def test_switch_asks_for_its_branch_alone(condition: bool, branch: str) -> None:
    asking = switch(condition=condition)
    assert next(asking) == branch
    with pytest.raises(StopIteration) as ended:
        asking.send("value")
    assert ended.value.value == "value"


def test_what_passes_is_not_touched() -> None:
    picture = np.zeros((1, 2, 2, 3), np.float32)
    assert reroute(picture) is picture
    assert preview_image(picture) is picture
    assert reroute.spec.passes
    assert preview_image.spec.passes
    assert preview_image.spec.shows


def test_inverted_mask_is_its_complement() -> None:
    mask = np.array([[[0, 0.25, 1]]], np.float32)
    inverted = invert_mask(mask)
    assert inverted.tolist() == [[[1, 0.75, 0]]]
    assert inverted.dtype == np.float32


def test_resized_picture_has_the_size_asked_for() -> None:
    assert resize_image(np.zeros((2, 5, 7, 4), np.float32), width=16, height=8).shape == (2, 8, 16, 4)


def test_empty_latent_is_blank_and_of_the_size_asked_for() -> None:
    latent = empty_latent(width=128, height=64, batch=3)
    assert tuple(latent.samples.shape) == (3, 4, 8, 16)
    assert latent.blank
    assert not latent.samples.any()


def test_empty_latent_of_a_crooked_size_is_refused() -> None:
    with pytest.raises(NodeError, match="100 px") as caught:
        empty_latent(width=100, height=64)
    assert caught.value.socket == "width"
    assert "96" in caught.value.remedy


def test_latent_mask_is_fitted_to_the_latent() -> None:
    mask = np.zeros((1, 64, 128), np.float32)
    mask[:, :, 64:] = 1
    mask.setflags(write=False)
    masked = set_latent_mask(empty_latent(width=128, height=64), mask)
    assert masked.noise_mask is not None
    assert tuple(masked.noise_mask.shape) == (1, 8, 16)
    assert masked.noise_mask[0, 0, :7].max() == 0
    assert masked.noise_mask[0, 0, 9:].min() == 1


def test_masks_must_be_one_or_one_for_each() -> None:
    with pytest.raises(NodeError, match="3 masks for 2 pictures"):
        set_latent_mask(empty_latent(batch=2), np.zeros((3, 8, 8), np.float32))


def test_upscaled_latent_takes_its_mask_along() -> None:
    masked = set_latent_mask(empty_latent(width=128, height=64), np.ones((1, 8, 16), np.float32))
    larger = latent_upscale(masked, factor=1.5)
    assert tuple(larger.samples.shape) == (1, 4, 12, 24)
    assert larger.noise_mask is not None
    assert tuple(larger.noise_mask.shape) == (1, 12, 24)
