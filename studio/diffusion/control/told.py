"""From a picture on a wire to a control in conditioning, refused where it cannot fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from studio.diffusion.conditioning import control as made
from studio.diffusion.conditioning import each
from studio.diffusion.families.controlnet import plan_at
from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.models.control_header import title_of
from studio.models.control_plan import FLUX_KINDS, UNION_KINDS, ControlPlan
from studio.types import Conditioning, Control, Image, Mask, Recipe


def control_of(
    recipe: Recipe,
    image: Image,
    *,
    vae: Recipe | None,
    mask: Mask | None,
    repaint: Mask | None,
    strength: float,
    span: tuple[float, float],
    kind: str,
) -> Control:
    """Make a control of a picture.

    Args:
        recipe: The network.
        image: What it follows.
        vae: Encodes the picture, for networks of transformers.
        mask: Where it acts.
        repaint: Pixels that it is to make up, for networks trained to.
        strength: Factor of what it adds.
        span: Range of the trajectory in which it acts.
        kind: What the picture shows; empty = the network takes one kind.

    Raises:
        NodeError: The network needs something that is not given.
    """
    plan = plan_at(Path(recipe.path))
    if span[0] > span[1]:
        raise NodeError(
            f"The ControlNet would end, at {span[1]:g}, before it starts, at {span[0]:g}.",
            "Set the start below the end.",
            socket="start",
        )
    if plan is not None:
        _check(plan, kind, vae)
    hint = pixels_of(image)
    if repaint is not None:
        # Those of SDXL that take several kinds were trained on black there, the others on −1.
        hint = _marked(hint, repaint, 0.0 if recipe.part == "union" else -1.0)
    where = None if mask is None else borrow(mask)
    needed = vae if plan is None or plan.kind in ("sd3", "flux") else None
    return made(recipe, hint, strength=strength, span=span, mask=where, kind=kind, vae=needed)


def applied(conditioning: Conditioning, control: Control) -> Conditioning:
    """Let a control act with every entry.

    Raises:
        NodeError: The network was made for another kind of model.
    """
    plan = plan_at(Path(control.recipe.path))
    for entry in conditioning.entries:
        width = entry.embeddings.shape[-1]
        if plan is not None and plan.width and plan.width != width:
            raise NodeError(
                f"The ControlNet was made for {title_of(plan.width)}, the prompt is encoded for "
                f"{title_of(width)}.",
                f"Choose a ControlNet for {title_of(width)}.",
                socket="control_net",
            )
    return each(conditioning, lambda entry: replace(entry, controls=(*entry.controls, control)))


def pixels_of(image: Image) -> torch.Tensor:
    """Colours of pictures, ``[N, 3, H, W]``; alpha is left out."""
    return borrow(image)[..., :3].permute(0, 3, 1, 2).contiguous()


def _check(plan: ControlPlan, kind: str, vae: Recipe | None) -> None:
    if plan.kind in ("sd3", "flux") and vae is None and "input_hint_block.conv_in.weight" not in plan.names:
        raise NodeError(
            "The ControlNet of this kind of model takes its picture encoded.",
            "Wire the model's VAE to this node.",
            socket="vae",
        )
    if plan.kinds:
        numbers = FLUX_KINDS if plan.kind == "flux" else UNION_KINDS
        known = [name for name, number in numbers.items() if number < plan.kinds]
        if kind not in known:
            raise NodeError(
                "The ControlNet takes several kinds of picture, "
                + (f"but none of kind “{kind}”." if kind else "and must be told which this is."),
                f"Set the kind to one of these: {', '.join(known)}.",
                socket="kind",
            )


def _marked(hint: torch.Tensor, repaint: Mask, value: float) -> torch.Tensor:
    where = borrow(np.ascontiguousarray(repaint))[:, None]
    if where.shape[-2:] != hint.shape[-2:]:
        where = interpolate(where, size=hint.shape[-2:], mode="bilinear", antialias=True)
    if len(where) != 1 and len(hint) != 1 and len(where) != len(hint):
        raise NodeError(
            f"There are {len(where)} masks for {len(hint)} pictures.",
            "Give one mask, or one for each picture.",
            socket="repaint",
        )
    return torch.where(where > 0.5, torch.tensor(value), hint)
