"""Noise levels: a model's table of sigmas, and the schedules that choose among them. Free of torch."""

from studio.diffusion.schedules.levels import (
    Prediction,
    Sampling,
    Sigmas,
    flow,
    linear,
    scaled_linear,
)
from studio.diffusion.schedules.spacing import (
    Schedule,
    beta,
    ddim_uniform,
    denoised_part,
    exponential,
    karras,
    kl_optimal,
    linear_quadratic,
    normal,
    sgm_uniform,
    simple,
)

__all__ = [
    "Prediction",
    "Sampling",
    "Schedule",
    "Sigmas",
    "beta",
    "ddim_uniform",
    "denoised_part",
    "exponential",
    "flow",
    "karras",
    "kl_optimal",
    "linear",
    "linear_quadratic",
    "normal",
    "scaled_linear",
    "sgm_uniform",
    "simple",
]
