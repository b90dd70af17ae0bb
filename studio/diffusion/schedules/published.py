"""Schedules whose sigmas were found by experiment, for one model each. Free of torch."""

from __future__ import annotations

import math

import numpy as np

from studio.diffusion.schedules.levels import Sampling, Sigmas
from studio.diffusion.schedules.spacing import ended

_SD1 = (
    14.6146412293,
    6.4745760956,
    3.8636745985,
    2.6946151520,
    1.8841921177,
    1.3943805092,
    0.9642583904,
    0.6523686016,
    0.3977456272,
    0.1515232662,
    0.0291671582,
)
_SDXL = (
    14.6146412293,
    6.3184485287,
    3.7681790315,
    2.1811480769,
    1.3405244945,
    0.8620721141,
    0.5550693289,
    0.3798540708,
    0.2332364134,
    0.1114188177,
    0.0291671582,
)
_TURBO_STEPS = 10


def ays(sampling: Sampling, steps: int) -> Sigmas:
    """Levels found for Stable Diffusion 1 at ten steps; for others, the logarithm runs straight between them.

    Sabour et al., "Align Your Steps: Optimizing Sampling Schedules in Diffusion Models" (2024).
    """
    return _aligned(sampling, steps, _SD1)


def ays_sdxl(sampling: Sampling, steps: int) -> Sigmas:
    """`ays` as found for SDXL."""
    return _aligned(sampling, steps, _SDXL)


def _aligned(sampling: Sampling, steps: int, found: tuple[float, ...]) -> Sigmas:
    if sampling.flow:
        # Equal ratios of signal to noise; at the first a flow has hardly any left.
        found = (sampling.high, *(sigma / (1 + sigma) for sigma in found[1:]))
    places = np.linspace(0, 1, steps + 1)[:-1]
    logs = np.interp(places, np.linspace(0, 1, len(found)), [math.log(sigma) for sigma in found])
    return ended(sampling, [math.exp(level) for level in logs])


def turbo(sampling: Sampling, steps: int) -> Sigmas:
    """Every tenth part of the table from the top: what SD Turbo and SDXL Turbo were trained on; at most ten.

    Sauer et al., "Adversarial Diffusion Distillation" (2023).
    """
    count = len(sampling.table)
    entries = [
        count * (_TURBO_STEPS - index) // _TURBO_STEPS - 1 for index in range(min(steps, _TURBO_STEPS))
    ]
    return ended(sampling, [sampling.table[index] for index in entries])
