"""The built-in schedules by name, and nodes that give their noise levels for a model."""

from __future__ import annotations

import math
from typing import Annotated

from studio.api import Context, Extension, Latent, Model, Range, Schedule, Sigmas, node

_HERE = "studio.diffusion.schedules"


def _schedule(name: str, doc: str) -> Extension:
    return Extension("schedule", name, f"{_HERE}:{name}", doc)


normal = _schedule("normal", "Even in the model's own time.")
karras = _schedule("karras", "More steps where details form; ρ = 7.")
exponential = _schedule("exponential", "Even in log sigma.")
sgm_uniform = _schedule("sgm_uniform", "Even in time, without the last entry.")
simple = _schedule("simple", "Every n-th entry of the model's table.")
ddim_uniform = _schedule("ddim_uniform", "Table entries at an even stride.")
beta = _schedule("beta", "Quantiles of Beta(0.6, 0.6): dense at both ends.")
kl_optimal = _schedule("kl_optimal", "Even in the angle of sigma.")
linear_quadratic = _schedule("linear_quadratic", "Slow at first, then by squares.")
ays = _schedule("ays", "Align Your Steps: found for Stable Diffusion 1 at ten steps.")
ays_sdxl = _schedule("ays_sdxl", "Align Your Steps: found for SDXL at ten steps.")
turbo = _schedule("turbo", "Tenths of the model's time, for SD Turbo and SDXL Turbo; at most ten steps.")

Steps = Annotated[int, Range(1, 150)]
Part = Annotated[float, Range(0, 1, step=0.01)]
Shape = Annotated[float, Range(0.01, 100, step=0.1)]


@node(
    "schedule_sigmas",
    category="Sampling/Sigmas",
    device=True,
    synonyms=("BasicScheduler", "scheduler", "noise levels", "AlignYourStepsScheduler"),
)
def schedule_sigmas(
    ctx: Context,
    model: Model,
    latent: Latent | None = None,
    *,
    schedule: Schedule = "karras",
    steps: Steps = 20,
    denoise: Part = 1.0,
) -> Sigmas:
    """Give the noise levels of a schedule for a model.

    Args:
        model: Whose noise levels these are.
        latent: What will be denoised; models whose levels depend on the size of the picture need it.
        schedule: How the noise is spread over the steps.
        steps: How many steps lead from noise to picture.
        denoise: How much of the way is gone: below 1 its last steps, of a schedule that much longer.
    """
    from studio.diffusion.schedules import denoised_part
    from studio.diffusion.sigmas import sampling_of, wired

    chosen = ctx.extension("schedule", schedule)
    sampling = sampling_of(ctx, model, latent)
    if denoise == 0:
        return Sigmas((), sampling.flow)
    return wired(denoised_part(chosen, sampling, steps, denoise))


@node("beta_sigmas", category="Sampling/Sigmas", device=True, synonyms=("BetaSamplingScheduler", "beta"))
def beta_sigmas(
    ctx: Context,
    model: Model,
    latent: Latent | None = None,
    *,
    steps: Steps = 20,
    alpha: Shape = 0.6,
    beta: Shape = 0.6,
) -> Sigmas:
    """Give noise levels at the quantiles of a Beta distribution over the model's own.

    Args:
        model: Whose noise levels these are.
        latent: What will be denoised; models whose levels depend on the size of the picture need it.
        steps: How many; where two fall on one level, one is left out.
        alpha: The lower, the more of them lie at the low end.
        beta: The lower, the more of them lie at the high end.
    """
    from studio.diffusion.schedules import beta_quantiles
    from studio.diffusion.sigmas import sampling_of, wired

    return wired(beta_quantiles(sampling_of(ctx, model, latent), steps, alpha, beta))


@node(
    "turbo_sigmas",
    category="Sampling/Sigmas",
    device=True,
    synonyms=("SDTurboScheduler", "SDXL Turbo", "few steps"),
)
def turbo_sigmas(
    ctx: Context,
    model: Model,
    *,
    steps: Annotated[int, Range(1, 10)] = 1,
    denoise: Part = 1.0,
) -> Sigmas:
    """Give the noise levels that turbo models were trained on.

    Args:
        model: A turbo model.
        steps: How many of its ten, from where it begins.
        denoise: Where it begins: 1 at pure noise, 0.5 halfway.
    """
    from studio.diffusion.schedules import turbo
    from studio.diffusion.sigmas import sampling_of

    sampling = sampling_of(ctx, model)
    levels = turbo(sampling, 10)
    first = 10 - math.floor(10 * denoise)
    return Sigmas((*levels[first : min(first + steps, 10)], 0.0), sampling.flow)
