"""Stable Diffusion 2 and its kin: base and 768-v, inpainting, depth, unCLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.diffusion.families import stable_diffusion
from studio.diffusion.families.latent_unet import (
    LatentUnet,
    Told,
    Words,
    few_steps,
    grey_behind_a_mask,
    said_prediction,
)
from studio.diffusion.schedules import Prediction, Sampling, scaled_linear
from studio.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from studio.diffusion.denoisers.unet import Added
    from studio.types import ConditioningEntry, Json

# A normalisation whose biases training towards v spread wider than training towards the noise ever did.
_TELLTALE = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
_SPREAD_OF_V = 0.09


def _prediction(told: Told) -> Prediction:
    said = said_prediction(told)
    if said is not None:
        return said
    if told.variant == "unclip":
        return "v_prediction"
    bias = told.tensors.get(_TELLTALE)
    if told.variant or bias is None:
        return "epsilon"
    return "v_prediction" if float(bias.float().std(correction=0)) > _SPREAD_OF_V else "epsilon"


def _predicts(told: Told) -> Sampling:
    table = scaled_linear(0.00085, 0.012, 1000, zero_snr="ztsnr" in told.marks)
    return Sampling(table, _prediction(told))


def _defaults(told: Told) -> Mapping[str, Json]:
    size = 768 if _prediction(told) == "v_prediction" else 512
    return {"steps": 20, "guidance": 7.0, "size_px": size} | dict(few_steps(told))


def _added(told: Told) -> Added | None:
    if told.variant != "unclip":
        return None
    width = int(told.tensors["class_embedding.linear_1.weight"].shape[1])

    def added(entries: Sequence[ConditioningEntry], size: tuple[int, int]) -> Mapping[str, torch.Tensor]:
        import torch

        rows = [entry.hints.get("unclip", torch.zeros(1, width)) for entry in entries]
        for row in rows:
            if row.shape[-1] != width:
                raise NodeError(
                    f"The picture's embedding is {row.shape[-1]} wide, the model takes {width}.",
                    "Encode it with the CLIP vision model of this unCLIP model.",
                    socket="positive",
                )
        return {"class_labels": torch.cat(rows)}

    return added


FAMILY = LatentUnet(
    name="stable_diffusion_2",
    words={"clip_h": Words(skip=1)},
    scale=stable_diffusion.SCALE,
    downscale=8,
    preview=stable_diffusion.PREVIEW,
    predicts=_predicts,
    defaults=_defaults,
    added=_added,
    idle_concat=grey_behind_a_mask,
)
