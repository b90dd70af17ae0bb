"""Families whose denoiser is a transformer, and the text encoder they share."""

from __future__ import annotations

from studio.api import Extension

stable_diffusion_3 = Extension(
    "family",
    "stable_diffusion_3",
    "studio.diffusion.families.stable_diffusion_3:FAMILY",
    "Stable Diffusion 3 and 3.5: a transformer, CLIP-L, CLIP-G and T5, a VAE of 16 channels.",
)
flux = Extension(
    "family",
    "flux",
    "studio.diffusion.families.flux:FAMILY",
    "Flux.1 dev, schnell, Fill, Canny, Depth, Kontext: a transformer, CLIP-L, T5, a VAE of 16 channels.",
)
t5 = Extension(
    "family",
    "t5",
    "studio.diffusion.families.t5:FAMILY",
    "The text encoder T5, shared by the families that use it.",
)
