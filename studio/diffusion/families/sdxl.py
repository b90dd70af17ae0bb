"""SDXL and its kin: refiner, inpainting, editing, and the models distilled to few steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.diffusion.families.latent_unet import (
    LatentUnet,
    Told,
    Words,
    few_steps,
    grey_behind_a_mask,
    said_prediction,
)
from studio.diffusion.schedules import Sampling, scaled_linear
from studio.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from studio.diffusion.denoisers.unet import Added
    from studio.types import ConditioningEntry, Json

SCALE = 0.13025
PREVIEW = (
    (0.1826, 0.2116, 0.2171),
    (-0.1267, -0.0021, 0.0534),
    (0.0538, 0.0556, -0.0181),
    (-0.1583, -0.1246, -0.1094),
    (0.5542, 0.4913, 0.4995),
)
_DOWNSCALE = 8
_SCORE = 6.0


def _predicts(told: Told) -> Sampling:
    table = scaled_linear(0.00085, 0.012, 1000, zero_snr="ztsnr" in told.marks)
    return Sampling(table, said_prediction(told) or "epsilon")


def _defaults(told: Told) -> Mapping[str, Json]:
    size = 512 if "turbo" in told.name else 1024
    return {"steps": 25, "guidance": 6.0, "size_px": size} | dict(few_steps(told))


def _added(told: Told) -> Added:
    is_refiner = told.variant == "refiner"

    def added(entries: Sequence[ConditioningEntry], size_px: tuple[int, int]) -> Mapping[str, torch.Tensor]:
        import torch

        return {
            "text_embeds": torch.cat([_pooled(entry) for entry in entries]),
            "time_ids": torch.tensor([_told_size(entry, size_px, is_refiner) for entry in entries]),
        }

    return added


def _pooled(entry: ConditioningEntry) -> torch.Tensor:
    if entry.pooled is None:
        raise NodeError(
            "The conditioning has no pooled text, which SDXL is told beside the words.",
            "Encode the prompt with the text encoder of an SDXL model.",
            socket="positive",
        )
    return entry.pooled


def _told_size(entry: ConditioningEntry, size_px: tuple[int, int], is_refiner: bool) -> list[float]:
    """Size before cropping, crop and size wanted, each down then across; of the refiner a score for the last.

    Source: Podell et al., “SDXL: Improving Latent Diffusion Models”, 2023, section 2.2.
    """
    height, width = (float(side_px) for side_px in size_px)
    original = _pair(entry, "size", (height, width))
    crop = _pair(entry, "crop", (0.0, 0.0))
    if is_refiner:
        score = entry.extra.get("aesthetic", _SCORE)
        return [*original, *crop, float(score) if isinstance(score, int | float) else _SCORE]
    return [*original, *crop, *_pair(entry, "target", (height, width))]


def _pair(entry: ConditioningEntry, name: str, usual: tuple[float, float]) -> tuple[float, float]:
    match entry.extra.get(name):
        case [int() | float() as down, int() | float() as across]:
            return float(down), float(across)
        case _:
            return usual


FAMILY = LatentUnet(
    name="sdxl",
    words={"clip_l": Words(skip=1, normed=False), "clip_g": Words(skip=1, normed=False, projected=True)},
    scale=SCALE,
    downscale=_DOWNSCALE,
    preview=PREVIEW,
    predicts=_predicts,
    defaults=_defaults,
    added=_added,
    idle_concat=grey_behind_a_mask,
)
