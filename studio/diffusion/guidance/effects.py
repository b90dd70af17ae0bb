"""Patches of a model that change how it is guided: data on the recipe, carried out by the guider.

Notation: P, N the estimates under the positive and the negative conditioning, w the scale of guidance,
x the picture at noise level σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch

from studio.diffusion.api import Perturb, Sampling
from studio.types import Json

Worse = Callable[[Perturb], torch.Tensor]


@dataclass(eq=False)
class Moment:
    """What is known when the estimates of one call are put together.

    Attributes:
        x: float32 ``[N, C, (T,) H, W]``.
        sigma: Its noise level.
        sampling: Of the denoiser.
        scale: Of guidance.
        positive: Estimate under the positive conditioning.
        negative: Estimate under the negative one; None where there is none.
        worse: Gives the positive estimate of the denoiser made worse.
        memory: What guidance remembers from the call before; replaced by what it remembers of this one.
    """

    x: torch.Tensor
    sigma: float
    sampling: Sampling
    scale: float
    positive: torch.Tensor
    negative: torch.Tensor | None
    worse: Worse
    memory: tuple[torch.Tensor, ...] = ()


Change = Callable[[Moment, torch.Tensor, Mapping[str, Json]], torch.Tensor]
Stage = Literal["combine", "after", "interval", "scale", "tiling", "mask"]


@dataclass(frozen=True)
class Effect:
    """A kind of patch that acts on guidance and leaves the denoiser as it is.

    Attributes:
        stage: ``combine`` puts P and N together in place of N + w·(P − N); the last one that acts does.
            ``after`` changes what came of it, in the order of the patches. ``interval`` lets guidance be 1
            outside the patch's span, ``scale`` changes it on the way. ``tiling`` and ``mask`` are read by
            those whom they concern.
        change: What a ``combine`` or ``after`` does: from the moment, the guided estimate so far and the
            patch's parameters, another estimate.
        kind: No patch that the store of weights applies.
    """

    stage: Stage
    change: Change | None = None
    kind: str = "guidance"


def number(params: Mapping[str, Json], name: str, default: float = 0.0) -> float:
    """A parameter that is a number."""
    value = params.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def rescaled(moment: Moment, guided: torch.Tensor, params: Mapping[str, Json]) -> torch.Tensor:
    """Give the guided prediction the spread of the positive one (Lin et al., 2023, section 3.4).

    ``of`` chooses in which form: the ``velocity`` v, whatever the model predicts, or the ``noise``.
    """
    x, sigma = moment.x, moment.sigma
    as_noise = params.get("of") == "noise" or moment.sampling.flow

    def prediction(denoised: torch.Tensor) -> torch.Tensor:
        if as_noise:
            return (x - denoised) / sigma
        return (x - denoised * (sigma**2 + 1)) / (sigma * (sigma**2 + 1) ** 0.5)

    made, wanted = prediction(guided), prediction(moment.positive)
    dims = tuple(range(1, x.ndim))
    spread = wanted.std(dims, keepdim=True) / made.std(dims, keepdim=True)
    part = number(params, "rescale", 0.7)
    made = made * (spread * part + (1 - part))
    if as_noise:
        return x - made * sigma
    return (x - made * (sigma * (sigma**2 + 1) ** 0.5)) / (sigma**2 + 1)


def projected(moment: Moment, guided: torch.Tensor, params: Mapping[str, Json]) -> torch.Tensor:
    """P + (w − 1)·(Δ⊥ + η·Δ∥), Δ = P − N with momentum and a limit to its length (Sadat et al., 2024)."""
    if moment.negative is None:
        return guided
    positive, change = moment.positive, moment.positive - moment.negative
    momentum, limit = number(params, "momentum"), number(params, "norm_threshold")
    if momentum:
        before = moment.memory[0] if moment.memory else torch.zeros_like(change)
        change = change + before * momentum
        moment.memory = (change,)
    dims = tuple(range(1, change.ndim))
    if limit > 0:
        length = change.square().sum(dims, keepdim=True).sqrt()
        change = change * (limit / length.clamp(min=1e-12)).clamp(max=1.0)
    toward = positive.double()
    toward = toward / toward.square().sum(dims, keepdim=True).sqrt().clamp(min=1e-12)
    parallel = ((change.double() * toward).sum(dims, keepdim=True) * toward).to(change.dtype)
    update = change - parallel + parallel * number(params, "eta", 1.0)
    return positive + update * (moment.scale - 1)


def zero_star(moment: Moment, guided: torch.Tensor, params: Mapping[str, Json]) -> torch.Tensor:
    """V = αVₙ + w·(Vₚ − αVₙ), α = ⟨Vₚ, Vₙ⟩ / ⟨Vₙ, Vₙ⟩, V the way from D to x (CFG-Zero*, Fan et al., 2025).

    Up to the part ``zero_until`` of the trajectory the way is 0.
    """
    x = moment.x
    if moment.sampling.progress(moment.sigma) < number(params, "zero_until"):
        return x.clone()
    if moment.negative is None:
        return guided
    dims = tuple(range(1, x.ndim))
    wanted, unwanted = x - moment.positive, x - moment.negative
    product = (wanted * unwanted).sum(dims, keepdim=True)
    unwanted = unwanted * (product / (unwanted.square().sum(dims, keepdim=True) + 1e-8))
    return x - (unwanted + (wanted - unwanted) * moment.scale)


def perturbed(moment: Moment, guided: torch.Tensor, params: Mapping[str, Json]) -> torch.Tensor:
    """Guided + s·(P − P′), P′ with identity attention or without some layers (Ahn et al., 2024; SLG)."""
    strength = number(params, "scale")
    if strength == 0:
        return guided
    kind = cast("Literal['identity_attention', 'skip_layers']", params.get("kind", "identity_attention"))
    layers = params.get("layers")
    names = tuple(str(item) for item in layers) if isinstance(layers, list) else ()
    return guided + (moment.positive - moment.worse(Perturb(kind, names))) * strength


def factor(params: Mapping[str, Json], progress: float) -> float:
    """Factor of guidance at a point of the trajectory, between ``first`` and ``last``."""
    first, last = number(params, "first", 1.0), number(params, "last", 1.0)
    part = (1 - math.cos(math.pi * progress)) / 2 if params.get("curve") == "cosine" else progress
    return first + (last - first) * part


RESCALE = Effect("after", rescaled)
PROJECTED = Effect("combine", projected)
ZERO_STAR = Effect("combine", zero_star)
PERTURBED = Effect("after", perturbed)
INTERVAL = Effect("interval")
OVER_STEPS = Effect("scale")
TILED = Effect("tiling")
DIFFERENTIAL = Effect("mask")
