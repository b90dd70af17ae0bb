"""Stable Diffusion 1 and its kin: inpainting and InstructPix2Pix."""

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.types import Json

SCALE = 0.18215
PREVIEW = (
    (0.1756, 0.1149, 0.1614),
    (0.1625, 0.2487, 0.1175),
    (-0.1415, 0.0881, 0.1361),
    (-0.1060, -0.1308, -0.3589),
    (0.5, 0.5, 0.5),
)


def _predicts(told: Told) -> Sampling:
    table = scaled_linear(0.00085, 0.012, 1000, zero_snr="ztsnr" in told.marks)
    return Sampling(table, said_prediction(told) or "epsilon")


def _defaults(told: Told) -> Mapping[str, Json]:
    return {"steps": 20, "guidance": 7.0, "size_px": 512} | dict(few_steps(told))


FAMILY = LatentUnet(
    name="stable_diffusion",
    words={"clip_l": Words()},
    scale=SCALE,
    downscale=8,
    preview=PREVIEW,
    predicts=_predicts,
    defaults=_defaults,
    idle_concat=grey_behind_a_mask,
)
