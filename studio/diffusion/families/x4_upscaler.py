"""The ×4 diffusion upscaler: it sees the small picture beside its latents, and how much noise that bears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.diffusion.families.latent_unet import LatentUnet, Told, Words, said_prediction
from studio.diffusion.schedules import Sampling, scaled_linear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from studio.diffusion.denoisers.unet import Added
    from studio.types import ConditioningEntry, Json

SCALE = 0.08333
PREVIEW = (
    (-0.1170, -0.1932, -0.1629),
    (0.0497, 0.0443, -0.0454),
    (-0.1417, -0.1175, -0.1871),
    (0.1262, -0.0028, -0.0826),
    (0.5, 0.5, 0.5),
)


def _predicts(told: Told) -> Sampling:
    return Sampling(scaled_linear(0.0001, 0.02, 1000), said_prediction(told) or "v_prediction")


def _defaults(told: Told) -> Mapping[str, Json]:
    return {"steps": 40, "guidance": 9.0, "size_px": 512}


def _added(told: Told) -> Added:
    def added(entries: Sequence[ConditioningEntry], size: tuple[int, int]) -> Mapping[str, torch.Tensor]:
        import torch

        levels = [entry.extra.get("noise_level", 0) for entry in entries]
        return {"class_labels": torch.tensor([level if isinstance(level, int) else 0 for level in levels])}

    return added


FAMILY = LatentUnet(
    name="x4_upscaler",
    words={"clip_h": Words(skip=1)},
    scale=SCALE,
    downscale=4,
    preview=PREVIEW,
    predicts=_predicts,
    defaults=_defaults,
    added=_added,
)
