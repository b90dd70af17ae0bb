from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes.conditioning_changes import (
    average_conditioning,
    combine_conditioning,
    concatenate_conditioning,
    ranges_by_steps,
    set_conditioning_area,
    set_conditioning_area_px,
    set_conditioning_mask,
    set_conditioning_range,
    set_conditioning_strength,
    zero_conditioning,
)
from nodes.loaders import load_checkpoint
from nodes.sigmas import karras_sigmas
from studio.diffusion.conditioning import changed, entry
from studio.errors import NodeError
from studio.types import Conditioning
from tests.studio.diffusion.bench import context


def said(value: float, tokens: int = 2, width: int = 3, pooled: bool = True) -> Conditioning:
    embeddings = torch.full((1, tokens, width), float(value))
    return Conditioning((entry(embeddings, torch.full((1, width), float(value)) if pooled else None),))


def test_combined_conditionings_act_side_by_side() -> None:
    first, second = said(1), said(2)
    assert combine_conditioning(first, second).entries == (*first.entries, *second.entries)


def test_an_average_lies_between_and_is_as_long_as_the_first() -> None:
    (mixed,) = average_conditioning(said(1, 3), said(3), weight=0.75).entries
    assert mixed.embeddings[0, :, 0].tolist() == [1.5, 1.5, 0.75]
    assert mixed.pooled is not None
    assert mixed.pooled[0].tolist() == [1.5] * 3
    (cut,) = average_conditioning(said(1), said(3, 9, pooled=False), weight=0.0).entries
    assert cut.embeddings[0, :, 0].tolist() == [3.0, 3.0]
    assert cut.pooled is not None
    assert cut.pooled[0].tolist() == [1.0] * 3


def test_tokens_of_the_second_follow_those_of_the_first() -> None:
    first = Conditioning((changed(said(1).entries[0], strength=2.0), said(5).entries[0]))
    made = concatenate_conditioning(first, said(3, 1)).entries
    assert made[0].embeddings[0, :, 0].tolist() == [1, 1, 3]
    assert made[1].embeddings[0, :, 0].tolist() == [5, 5, 3]
    assert made[0].strength == 2.0
    assert made[0].digest != first.entries[0].digest


@pytest.mark.parametrize("join", [average_conditioning, concatenate_conditioning])
def test_what_does_not_fit_is_told_in_a_sentence(join: object) -> None:
    with pytest.raises(NodeError, match="encoded for different models: 3 and 4 wide"):
        join(said(1), said(1, width=4))  # type: ignore[operator]
    with pytest.raises(NodeError, match="holds 2 prompts, of which one can be taken"):
        join(said(1), combine_conditioning(said(1), said(2)))  # type: ignore[operator]


def test_a_box_is_kept_within_the_picture() -> None:
    (old,) = said(1).entries
    made = set_conditioning_area(said(1), left=0.5, top=0.25, width=0.25, height=1.0, strength=0.5)
    assert made.entries[0].area == (0.25, 0.5, 0.75, 0.25)
    assert made.entries[0].strength == 0.5
    assert made.entries[0].digest != old.digest
    with pytest.raises(NodeError, match="outside of the picture"):
        set_conditioning_area(said(1), left=1.0)


def test_a_box_in_pixels_is_told_in_parts() -> None:
    made = set_conditioning_area_px(
        said(1), left=256, top=0, width=128, height=600, picture_width=512, picture_height=512
    )
    assert made.entries[0].area == (0, 0.5, 1, 0.25)
    with pytest.raises(NodeError, match="outside of the picture"):
        set_conditioning_area_px(said(1), top=512)


def test_a_mask_is_copied() -> None:
    mask = np.zeros((1, 4, 4), np.float32)
    (made,) = set_conditioning_mask(said(1), mask, strength=0.7).entries
    mask[:] = 1
    assert made.mask is not None
    assert made.mask.shape == (1, 4, 4)
    assert not made.mask.any()
    assert made.strength == 0.7


def test_strength_and_range_are_set() -> None:
    assert set_conditioning_strength(said(1), strength=0.3).entries[0].strength == 0.3
    ranged = set_conditioning_range(said(1), start=0.25, end=0.75)
    assert ranged.entries[0].span == (0.25, 0.75)
    assert ranged.entries[0].digest == said(1).entries[0].digest


def test_a_range_narrows_the_one_that_is_there() -> None:
    early = set_conditioning_range(said(1), end=0.5)
    both = combine_conditioning(early, set_conditioning_range(said(2), start=0.5))
    made = set_conditioning_range(both, start=0.25, end=0.5)
    assert [old.span for old in made.entries] == [(0.25, 0.5)]
    with pytest.raises(NodeError, match="Nothing acts between 60% and 50% of the way"):
        set_conditioning_range(said(1), start=0.6, end=0.5)


def test_zeros_keep_the_shape() -> None:
    (made,) = zero_conditioning(set_conditioning_strength(said(4), strength=2.0)).entries
    assert made.embeddings.shape == (1, 2, 3)
    assert not made.embeddings.any()
    assert made.pooled is not None
    assert not made.pooled.any()
    assert made.strength == 2.0
    assert zero_conditioning(said(4, pooled=False)).entries[0].pooled is None


def test_ranges_are_moved_to_the_steps_of_a_schedule() -> None:
    ctx = context()
    half = set_conditioning_range(said(1), end=0.5)
    model = load_checkpoint(ctx).model
    levels = karras_sigmas(steps=4)
    (moved,) = ranges_by_steps(ctx, model, half, levels).entries
    with ctx.weights.use(ctx, model.recipe) as denoiser:
        progress = [denoiser.sampling.progress(level) for level in levels.values]
    assert progress[1] < moved.span[1] < progress[2]
    assert moved.span[0] == 0
    assert moved.digest == half.entries[0].digest
