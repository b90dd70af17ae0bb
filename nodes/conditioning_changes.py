"""Nodes that join conditionings, or change where, when and how strongly they act."""

from __future__ import annotations

from typing import Annotated

from studio.api import Conditioning, Context, Mask, Model, NodeError, Range, Sigmas, node

Fraction = Annotated[float, Range(0, 1, step=0.01)]
Strength = Annotated[float, Range(0, 10, step=0.01)]
Pixels = Annotated[int, Range(0, 16384, step=8)]


@node(
    "combine_conditioning",
    category="Conditioning",
    synonyms=("ConditioningCombine", "Conditioning (Combine)", "and"),
)
def combine_conditioning(first: Conditioning, second: Conditioning) -> Conditioning:
    """Let two conditionings act side by side: the picture follows both, each by its strength.

    Args:
        first: One.
        second: The other.
    """
    return Conditioning((*first.entries, *second.entries))


@node(
    "average_conditioning",
    category="Conditioning",
    synonyms=("ConditioningAverage", "blend prompts", "interpolate"),
)
def average_conditioning(
    first: Conditioning, second: Conditioning, *, weight: Fraction = 0.5
) -> Conditioning:
    """Mix two prompts into one that lies between them, word place by word place.

    Args:
        first: One; its length is kept: what the other has beyond it is left out.
        second: The other, in which a single prompt acts.
        weight: How much of the first there is in the mix; the rest is of the second.
    """
    from studio.diffusion.text.mixing import average

    return average(first, second, weight)


@node(
    "concatenate_conditioning",
    category="Conditioning",
    synonyms=("ConditioningConcat", "join prompts", "BREAK"),
)
def concatenate_conditioning(first: Conditioning, second: Conditioning) -> Conditioning:
    """Put the tokens of one prompt behind those of another, as if they were one long prompt.

    Args:
        first: What comes first; everything but the words is taken from it.
        second: What comes after, in which a single prompt acts.
    """
    from studio.diffusion.text.mixing import concatenate

    return concatenate(first, second)


@node(
    "set_conditioning_area",
    category="Conditioning",
    synonyms=("ConditioningSetAreaPercentage", "regional prompt", "box", "region"),
)
def set_conditioning_area(
    conditioning: Conditioning,
    *,
    left: Fraction = 0.0,
    top: Fraction = 0.0,
    width: Annotated[float, Range(0.01, 1, step=0.01)] = 1.0,
    height: Annotated[float, Range(0.01, 1, step=0.01)] = 1.0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Let a conditioning act in a box of the picture, given in parts of its sides.

    Args:
        conditioning: What acts there.
        left: Left edge; 0.5 is the middle.
        top: Top edge.
        width: Width of the box.
        height: Height of the box.
        strength: Weight beside others that act in the same place.
    """
    return _boxed(conditioning, left, top, width, height, strength)


@node(
    "set_conditioning_area_px",
    title="Set conditioning area (pixels)",
    category="Conditioning",
    synonyms=("ConditioningSetArea", "regional prompt", "box", "region"),
)
def set_conditioning_area_px(
    conditioning: Conditioning,
    *,
    left: Pixels = 0,
    top: Pixels = 0,
    width: Annotated[int, Range(8, 16384, step=8)] = 256,
    height: Annotated[int, Range(8, 16384, step=8)] = 256,
    picture_width: Annotated[int, Range(8, 16384, step=8)] = 512,
    picture_height: Annotated[int, Range(8, 16384, step=8)] = 512,
    strength: Strength = 1.0,
) -> Conditioning:
    """Let a conditioning act in a box of the picture, given in pixels.

    Args:
        conditioning: What acts there.
        left: Left edge.
        top: Top edge.
        width: Width of the box.
        height: Height of the box.
        picture_width: Width of the whole picture.
        picture_height: Height of the whole picture.
        strength: Weight beside others that act in the same place.
    """
    across, down = 1 / picture_width, 1 / picture_height
    return _boxed(conditioning, left * across, top * down, width * across, height * down, strength)


def _boxed(
    conditioning: Conditioning, left: float, top: float, width: float, height: float, strength: float
) -> Conditioning:
    from studio.diffusion.conditioning import changed, each

    if left >= 1 or top >= 1:
        raise NodeError(
            "The box lies outside of the picture.",
            "Move it to the left, or up.",
            socket="left" if left >= 1 else "top",
        )
    area = (top, left, min(height, 1 - top), min(width, 1 - left))
    return each(conditioning, lambda old: changed(old, area=area, strength=strength))


@node(
    "set_conditioning_mask",
    category="Conditioning",
    synonyms=("ConditioningSetMask", "regional prompt", "region", "attention mask"),
)
def set_conditioning_mask(
    conditioning: Conditioning, mask: Mask, *, strength: Strength = 1.0
) -> Conditioning:
    """Let a conditioning act where a mask is white.

    Args:
        conditioning: What acts there.
        mask: Where; it is fitted to the picture.
        strength: Weight beside others that act in the same place.
    """
    import torch

    from studio.diffusion.conditioning import changed, each

    where = torch.tensor(mask)
    return each(conditioning, lambda old: changed(old, mask=where, strength=strength))


@node(
    "set_conditioning_strength",
    category="Conditioning",
    synonyms=("ConditioningSetAreaStrength", "weight of a prompt"),
)
def set_conditioning_strength(conditioning: Conditioning, *, strength: Strength = 1.0) -> Conditioning:
    """Say how much a conditioning weighs beside others that act in the same place.

    Args:
        conditioning: What is weighed.
        strength: Its weight; twice another's counts twice as much.
    """
    from studio.diffusion.conditioning import changed, each

    return each(conditioning, lambda old: changed(old, strength=strength))


@node(
    "set_conditioning_range",
    category="Conditioning",
    synonyms=("ConditioningSetTimestepRange", "prompt schedule", "start", "end"),
)
def set_conditioning_range(
    conditioning: Conditioning, *, start: Fraction = 0.0, end: Fraction = 1.0
) -> Conditioning:
    """Let a conditioning act in a part of the way from noise to picture; elsewhere it is silent.

    Args:
        conditioning: What acts; a range that it has already is narrowed.
        start: Where it begins: 0 is pure noise.
        end: Where it ends: 1 is the finished picture.
    """
    from studio.diffusion.conditioning import changed

    narrowed = [(max(start, old.span[0]), min(end, old.span[1])) for old in conditioning.entries]
    kept = tuple(
        changed(old, span=span)
        for old, span in zip(conditioning.entries, narrowed, strict=True)
        if span[0] < span[1]
    )
    if conditioning.entries and not kept:
        raise NodeError(
            f"Nothing acts between {start:.0%} and {end:.0%} of the way.",
            "Let the range end after it starts, and overlap with the one before.",
            socket="end",
        )
    return Conditioning(kept)


@node(
    "ranges_by_steps",
    category="Conditioning",
    device=True,
    synonyms=("prompt editing", "prompt schedule by step", "karras"),
)
def ranges_by_steps(ctx: Context, model: Model, conditioning: Conditioning, sigmas: Sigmas) -> Conditioning:
    """Let ranges act in the steps of a schedule, where they are parts of the way from noise to picture.

    What ends half the way then ends with half of the steps, and [a|b] in a prompt takes turns at every step,
    however the schedule spreads them: as A1111 counts.

    Args:
        model: The model that is to follow the schedule.
        conditioning: What acts in ranges, encoded for as many steps as the schedule has.
        sigmas: The schedule.
    """
    from studio.diffusion.conditioning import changed
    from studio.diffusion.text.schedule import on_steps

    with ctx.weights.use(ctx, model.recipe) as denoiser:
        progress = [float(denoiser.sampling.progress(level)) for level in sigmas.values[:-1]]
    moved = ((old, on_steps(old.span, progress)) for old in conditioning.entries)
    return Conditioning(tuple(changed(old, span=span) for old, span in moved if span is not None))


@node(
    "zero_conditioning",
    category="Conditioning",
    synonyms=("ConditioningZeroOut", "unconditional", "empty negative"),
)
def zero_conditioning(conditioning: Conditioning) -> Conditioning:
    """Put zeros in place of all that the words say: less than an empty prompt, as some models were trained.

    Args:
        conditioning: Whose shape, size, place and range are kept.
    """
    import torch

    from studio.diffusion.conditioning import changed, each

    return each(
        conditioning,
        lambda old: changed(
            old,
            embeddings=torch.zeros_like(old.embeddings),
            pooled=None if old.pooled is None else torch.zeros_like(old.pooled),
        ),
    )
