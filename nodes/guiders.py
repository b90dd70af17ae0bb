"""Guiders as nodes, and patches of a model that change how it is guided: data, instant."""

from __future__ import annotations

from studio.api import Extension

_GUIDERS = "studio.diffusion.guidance.guiders"
_EFFECTS = "studio.diffusion.guidance.effects"

classifier_free = Extension(
    "guider", "classifier_free", f"{_GUIDERS}:classifier_free", "From the negative through the positive."
)
