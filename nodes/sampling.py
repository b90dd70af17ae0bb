"""The sampler."""

from __future__ import annotations

from typing import Annotated

from studio.api import Conditioning, Context, Latent, Model, Range, Schedule, Seed, Solver, node


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
    negative: Conditioning,
    latent: Latent,
    *,
    seed: Seed = 0,
    steps: Annotated[int, Range(1, 150)] = 20,
    guidance: Annotated[float, Range(0, 30, step=0.1)] = 7.0,
    solver: Solver = "dpmpp_2m",
    schedule: Schedule = "karras",
    denoise: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
) -> Latent:
    """Denoise a latent under text guidance.

    Args:
        model: Denoiser, with any LoRA already attached.
        positive: What the picture should show.
        negative: What it should not show; unused where guidance is 1.
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
