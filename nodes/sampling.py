"""The samplers."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from studio.api import (
    Conditioning,
    Context,
    Guider,
    Latent,
    Model,
    Noise,
    Range,
    Schedule,
    Seed,
    Sigmas,
    Solver,
    SolverChoice,
    node,
)

Guidance = Annotated[float, Range(0, 30, step=0.1)]


@node(
    "k_sampler",
    category="Sampling",
    title="K sampler",
    device=True,
    synonyms=("KSampler", "sampler", "generate", "denoise", "txt2img", "img2img"),
)
def k_sampler(
    ctx: Context,
    model: Model,
    positive: Conditioning,
    negative: Conditioning | None,
    latent: Latent,
    *,
    seed: Seed = 0,
    steps: Annotated[int, Range(1, 150)] = 20,
    guidance: Guidance = 7.0,
    solver: Solver = "dpmpp_2m",
    schedule: Schedule = "karras",
    denoise: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
) -> Latent:
    """Denoise a latent under text guidance.

    Args:
        model: Denoiser, with any LoRA already attached.
        positive: What the picture should show.
        negative: What it should not show; unused where guidance is 1. Left out, there is no guidance.
        latent: Where to begin: empty, or an encoded picture together with a denoise below 1.
        seed: Number from which the noise is drawn; the same seed gives the same picture.
        steps: How many steps lead from noise to picture.
        guidance: How strongly the prompt is followed; 1 ignores the negative prompt and is twice as fast.
        solver: How a step is taken.
        schedule: How the noise is spread over the steps.
        denoise: How much of the latent is replaced: 1 all of it, 0 none.
    """
    from studio.diffusion.sampling import Settings, sample

    settings = Settings(seed, steps, guidance, solver, schedule, denoise)
    return sample(ctx, model, positive, negative, latent, settings)


@node(
    "k_sampler_advanced",
    category="Sampling",
    title="K sampler (advanced)",
    device=True,
    synonyms=("KSamplerAdvanced", "refiner", "start at step", "leftover noise"),
)
def k_sampler_advanced(
    ctx: Context,
    model: Model,
    positive: Conditioning,
    negative: Conditioning | None,
    latent: Latent,
    *,
    add_noise: bool = True,
    seed: Seed = 0,
    steps: Annotated[int, Range(1, 10_000)] = 20,
    guidance: Guidance = 7.0,
    solver: Solver = "dpmpp_2m",
    schedule: Schedule = "karras",
    start_step: Annotated[int, Range(0, 10_000)] = 0,
    end_step: Annotated[int, Range(0, 10_000)] = 10_000,
    leftover_noise: bool = False,
) -> Latent:
    """Denoise a latent over a part of the steps, so that another sampler can go on from there.

    A base model with leftover noise up to a step, and a refiner without added noise from that step on, share
    one way from noise to picture.

    Args:
        model: Denoiser, with any LoRA already attached.
        positive: What the picture should show.
        negative: What it should not show; unused where guidance is 1. Left out, there is no guidance.
        latent: Where to begin.
        add_noise: Add noise to begin with; off where the latent comes with noise left over.
        seed: Number from which the noise is drawn; the same seed gives the same picture.
        steps: How many steps the whole way from noise to picture has.
        guidance: How strongly the prompt is followed; 1 ignores the negative prompt and is twice as fast.
        solver: How a step is taken.
        schedule: How the noise is spread over the steps.
        start_step: First step taken here, counted from 0.
        end_step: Step to stop before; beyond the last one, all are taken.
        leftover_noise: Where it stops early, leave the noise in for the next sampler.
    """
    from studio.diffusion.sampling import Settings, sample

    settings = Settings(
        seed,
        steps,
        guidance,
        solver,
        schedule,
        start=start_step,
        end=end_step,
        added=add_noise,
        leftover=leftover_noise,
    )
    return sample(ctx, model, positive, negative, latent, settings)


class CustomSample(NamedTuple):
    """What came of a trajectory.

    Attributes:
        latent: Its end.
        predicted: The picture as the model saw it in the last step, without noise; or in every step, one
            behind the other.
    """

    latent: Latent
    predicted: Latent


@node(
    "sample_custom",
    category="Sampling/Custom",
    device=True,
    synonyms=("SamplerCustomAdvanced", "SamplerCustom", "custom sampler", "predicted image"),
)
def sample_custom(
    ctx: Context,
    noise: Noise,
    guider: Guider,
    solver: SolverChoice,
    sigmas: Sigmas,
    latent: Latent,
    *,
    keep_steps: bool = False,
) -> CustomSample:
    """Denoise a latent with parts chosen one by one.

    Args:
        noise: Noise to begin with.
        guider: Model, conditionings and how they are followed.
        solver: How a step is taken.
        sigmas: Noise levels of the steps.
        latent: Where to begin.
        keep_steps: Give the predicted picture of every step, not of the last alone.
    """
    from studio.diffusion.sampling import custom

    made = custom(ctx, guider, noise, latent, sigmas, solver, every=keep_steps)
    return CustomSample(made.latent, made.predicted or made.latent)
