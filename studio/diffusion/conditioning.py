"""Conditioning that is changed keeps an honest digest: entries are copied here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studio.cache import codec
from studio.types import Conditioning, ConditioningEntry, Control, ImagePrompt

if TYPE_CHECKING:
    import torch

    from studio.types import Json, Recipe


def entry(
    embeddings: torch.Tensor,
    pooled: torch.Tensor | None = None,
    extra: Mapping[str, Json] | None = None,
) -> ConditioningEntry:
    """Make an entry of what an encoder gave: ``[1, tokens, width]``, ``[1, width]``, float32 on the CPU."""
    return changed(ConditioningEntry(embeddings, "", pooled, extra=extra or {}))


def changed(old: ConditioningEntry, **fields: Any) -> ConditioningEntry:
    """Copy an entry with other fields, and its digest to match."""
    new = replace(old, **fields)
    said = [
        _said(new.embeddings),
        _said(new.pooled),
        float(new.strength).hex(),
        dict(new.extra),
        _said(new.mask),
        None if new.area is None else [float(side).hex() for side in new.area],
        {name: _said(tensor) for name, tensor in new.hints.items()},
    ]
    return replace(new, digest=codec.digest(said))


def each(
    conditioning: Conditioning, change: Callable[[ConditioningEntry], ConditioningEntry]
) -> Conditioning:
    """Change every entry."""
    return Conditioning(tuple(change(old) for old in conditioning.entries))


def from_place(conditioning: Conditioning, place: int) -> Conditioning:
    """What is told of the pictures of a batch from one on, that one's rows first.

    Row k of masks and hints is told of every picture whose place leaves a rest of k, divided by the rows.
    """

    def moved(old: ConditioningEntry) -> ConditioningEntry:
        many = [
            tensor for tensor in (old.mask, *old.hints.values()) if tensor is not None and len(tensor) > 1
        ]
        new = replace(
            old,
            controls=tuple(_control_from(item, place) for item in old.controls),
            images=tuple(_image_from(item, place) for item in old.images),
        )
        if not many:
            return new
        hints = {name: tensor.roll(-place, 0) for name, tensor in old.hints.items()}
        return changed(new, mask=None if old.mask is None else old.mask.roll(-place, 0), hints=hints)

    return each(conditioning, moved) if place else conditioning


def _control_from(old: Control, place: int) -> Control:
    if len(old.hint) == 1 and (old.mask is None or len(old.mask) == 1):
        return old
    return control(
        old.recipe,
        old.hint.roll(-place, 0),
        strength=old.strength,
        span=old.span,
        mask=None if old.mask is None else old.mask.roll(-place, 0),
        kind=old.kind,
        vae=old.vae,
    )


def _image_from(old: ImagePrompt, place: int) -> ImagePrompt:
    """Its pictures are told together, of each picture of the batch; its masks are of one each."""
    if old.mask is None or len(old.mask) == 1:
        return old
    mask = old.mask.roll(-place, 0)
    return image_prompt(old.recipe, old.embeds, strength=old.strength, span=old.span, mask=mask)


def control(
    recipe: Recipe,
    hint: torch.Tensor,
    *,
    strength: float = 1.0,
    span: tuple[float, float] = (0.0, 1.0),
    mask: torch.Tensor | None = None,
    kind: str = "",
    vae: Recipe | None = None,
) -> Control:
    """Make a control with its digest; see `Control` for the arguments."""
    said = [recipe.key_part, _said(hint), float(strength).hex(), _said(mask), kind, vae and vae.key_part]
    return Control(recipe, hint, codec.digest(said), strength, span, mask, kind, vae)


def image_prompt(
    recipe: Recipe,
    embeds: torch.Tensor,
    *,
    strength: float = 1.0,
    span: tuple[float, float] = (0.0, 1.0),
    mask: torch.Tensor | None = None,
) -> ImagePrompt:
    """Make an image prompt with its digest; see `ImagePrompt` for the arguments."""
    said = [recipe.key_part, _said(embeds), float(strength).hex(), _said(mask)]
    return ImagePrompt(recipe, embeds, codec.digest(said), strength, span, mask)


def name_of(recipe: Recipe) -> str:
    """The name under which a run lends a network to a denoiser."""
    return codec.digest(recipe.key_part)


def _said(tensor: torch.Tensor | None) -> object:
    return None if tensor is None else tensor.contiguous().numpy()
