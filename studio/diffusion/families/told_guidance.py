"""UNets that were distilled with guidance, and are told how much of it there is to be (LCM)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from studio.diffusion.denoisers.unet import Added
    from studio.types import ConditioningEntry, Json

MARK = "time_embedding.cond_proj.weight"
"""Only UNets that are told have it: ``[width of time, width of what tells them]``."""
DEFAULTS: Mapping[str, Json] = {
    "steps": 6,
    "guidance": 1.0,
    "distilled_guidance": 8.5,
    "solver": "lcm",
    "schedule": "sgm_uniform",
}


def with_guidance(width: int, rest: Added | None) -> Added:
    """What the network is told: the guidance of each entry, ``extra["guidance"]``, and the rest."""

    def added(entries: Sequence[ConditioningEntry], size_px: tuple[int, int]) -> Mapping[str, torch.Tensor]:
        import torch

        told = dict(rest(entries, size_px)) if rest is not None else {}
        scales = [entry.extra.get("guidance", DEFAULTS["distilled_guidance"]) for entry in entries]
        numbers = [float(scale) if isinstance(scale, int | float) else 1.0 for scale in scales]
        return {**told, "timestep_cond": embedded(torch.tensor(numbers), width)}

    return added


def embedded(guidance: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of guidance, ``[n]`` to ``[n, width]``, float32.

    Source: Luo et al., “Latent Consistency Models”, 2023, section 4.2, where 0 is what 1 is here: none.
    """
    import torch

    half = width // 2
    rates = torch.exp(torch.arange(half) * (-math.log(10000.0) / (half - 1)))
    angles = (guidance - 1)[:, None] * 1000 * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
