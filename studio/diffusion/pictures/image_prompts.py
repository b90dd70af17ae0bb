"""From what an image encoder sees to image prompts in conditioning, refused where they cannot fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from studio.diffusion.conditioning import each, image_prompt
from studio.diffusion.families.image_prompts import IP_ADAPTER
from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.models.control_header import title_of
from studio.models.image_header import AdapterPlan, adapter_of
from studio.models.loose import shapes_at
from studio.types import Conditioning, ImageEmbeds, ImagePrompt, Mask, Recipe


def applied(
    positive: Conditioning,
    negative: Conditioning | None,
    recipe: Recipe,
    embeds: ImageEmbeds,
    mask: Mask | None,
    strength: float,
    span: tuple[float, float],
    take: str,
) -> tuple[Conditioning, Conditioning]:
    """Tell pictures with the positive entries, and a picture of nothing with the negative ones.

    Args:
        positive: Entries to tell the pictures with.
        negative: Entries to tell nothing with; None = there are none.
        recipe: The IP-Adapter.
        embeds: What its encoder sees.
        mask: Where they are told; None = everywhere.
        strength: Factor of what it adds.
        span: Range of the trajectory in which they are told.
        take: ``all``, or the part of the layers that acts.

    Raises:
        NodeError: The adapter was made for another encoder or another kind of model.
    """
    plan = adapter_of(shapes_at(Path(recipe.path)))
    _check(plan, embeds, (positive, negative or Conditioning(())), span)
    kind = recipe.part if plan is None else plan.kind
    if kind == "plain":
        shown = embeds.pooled[:, None]
        nothing = torch.zeros_like(shown)
    else:
        shown = embeds.hidden
        nothing = embeds.blank.expand_as(shown).contiguous()
    used = recipe if take == "all" else Recipe("", "", take, IP_ADAPTER, members=(recipe,))
    where = None if mask is None else borrow(mask)
    told = image_prompt(used, shown, strength=strength, span=span, mask=where)
    untold = image_prompt(used, nothing, strength=strength, span=span, mask=where)
    return _with(positive, told), _with(negative or Conditioning(()), untold)


def _with(conditioning: Conditioning, prompt: ImagePrompt) -> Conditioning:
    return each(conditioning, lambda entry: replace(entry, images=(*entry.images, prompt)))


def _check(
    plan: AdapterPlan | None,
    embeds: ImageEmbeds,
    told: tuple[Conditioning, Conditioning],
    span: tuple[float, float],
) -> None:
    if span[0] > span[1]:
        raise NodeError(
            f"The pictures would stop, at {span[1]:g}, before they start, at {span[0]:g}.",
            "Set the start below the end.",
            socket="start",
        )
    if plan is None:
        return
    seen = (embeds.pooled if plan.kind == "plain" else embeds.hidden).shape[-1]
    if seen != plan.embeds:
        raise NodeError(
            f"The IP-Adapter takes pictures seen {plan.embeds} wide, the image encoder gives {seen}.",
            "Use the image encoder that belongs to the IP-Adapter.",
            socket="embeds",
        )
    for conditioning in told:
        for entry in conditioning.entries:
            width = entry.embeddings.shape[-1]
            if width != plan.width:
                raise NodeError(
                    f"The IP-Adapter was made for {title_of(plan.width)}, the prompt is encoded for "
                    f"{title_of(width)}.",
                    f"Choose an IP-Adapter for {title_of(width)}.",
                    socket="ip_adapter",
                )
