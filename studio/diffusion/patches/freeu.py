"""FreeU: the features on the way up weigh more, the skips beside them less in their low frequencies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.diffusion.guidance.effects import number
from studio.diffusion.patches.runs import RunPatch, Undo, unet_of
from studio.types import Json


def freeu(denoiser: Any, params: Mapping[str, Json]) -> Undo:
    """Weigh features (``b1``, ``b2``) and skips (``s1``, ``s2``) of two levels (Si et al., 2023)."""
    unet = unet_of(denoiser, "FreeU")
    unet.enable_freeu(*(number(params, name, 1.0) for name in ("s1", "s2", "b1", "b2")))
    return unet.disable_freeu


FREEU = RunPatch(freeu)
