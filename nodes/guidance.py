"""Patches of a model that change how it is guided, whatever samples it: data, instant."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from studio.api import Extension, Json, Model, NodeError, Patch, Range, node

_EFFECTS = "studio.diffusion.guidance.effects"

rescale = Extension("patch", "rescale_guidance", f"{_EFFECTS}:RESCALE", "Gives the guided its old spread.")
perturbed = Extension("patch", "perturbed_guidance", f"{_EFFECTS}:PERTURBED", "Away from a worse model.")
projected = Extension("patch", "projected_guidance", f"{_EFFECTS}:PROJECTED", "Guidance off the estimate.")
zero_star = Extension("patch", "zero_star_guidance", f"{_EFFECTS}:ZERO_STAR", "Guidance scaled to fit.")
interval = Extension("patch", "guidance_interval", f"{_EFFECTS}:INTERVAL", "Guidance for some steps alone.")
over_steps = Extension("patch", "guidance_over_steps", f"{_EFFECTS}:OVER_STEPS", "Guidance that changes.")

Start = Annotated[float, Range(0, 1, step=0.01)]


@node(
    "rescale_guidance",
    category="Model/Guidance",
    instant=True,
    synonyms=("RescaleCFG", "guidance rescale", "CFG rescale", "phi"),
)
def rescale_guidance(
    model: Model,
    *,
    rescale: Annotated[float, Range(0, 1, step=0.01)] = 0.7,
    of: Literal["velocity", "noise"] = "velocity",
) -> Model:
    """Keep strong guidance from burning contrast: the guided prediction gets the spread of the positive one.

    Args:
        model: Model to change.
        rescale: How much of the spread is corrected.
        of: Prediction whose spread is meant; velocity suits v-prediction models and all others.
    """
    return patched(model, "rescale_guidance", {"rescale": rescale, "of": of})


@node(
    "perturbed_attention",
    category="Model/Guidance",
    instant=True,
    synonyms=("PerturbedAttentionGuidance", "PAG"),
)
def perturbed_attention(
    model: Model,
    *,
    scale: Annotated[float, Range(0, 100, step=0.1)] = 3.0,
    layers: str = "",
    start: Start = 0.0,
    end: Start = 1.0,
) -> Model:
    """Guide away from the picture that the model sees without self-attention: clearer structure.

    Args:
        model: Model to change.
        scale: How strongly; one more call of the model a step, unless 0.
        layers: Names of the blocks without attention, with commas between; empty means the middle one.
        start: Part of the way from noise to picture from which it acts.
        end: Part of the way at which it ends.
    """
    params: dict[str, Json] = {"kind": "identity_attention", "scale": scale, "layers": _listed(layers)}
    return patched(model, "perturbed_guidance", params, (start, end))


@node(
    "skip_layer_guidance",
    category="Model/Guidance",
    instant=True,
    synonyms=("SkipLayerGuidanceSD3", "SkipLayerGuidanceDiT", "SLG"),
)
def skip_layer_guidance(
    model: Model,
    *,
    scale: Annotated[float, Range(0, 10, step=0.1)] = 3.0,
    layers: str = "7, 8, 9",
    start: Start = 0.01,
    end: Start = 0.15,
) -> Model:
    """Guide away from the picture that the model sees without some of its layers: better anatomy.

    Args:
        model: Model of transformer blocks, such as Stable Diffusion 3.5.
        scale: How strongly; one more call of the model a step, unless 0.
        layers: Numbers of the layers left out, with commas between.
        start: Part of the way from noise to picture from which it acts.
        end: Part of the way at which it ends.
    """
    params: dict[str, Json] = {"kind": "skip_layers", "scale": scale, "layers": _listed(layers)}
    return patched(model, "perturbed_guidance", params, (start, end))


@node(
    "adaptive_projected_guidance",
    category="Model/Guidance",
    instant=True,
    synonyms=("APG", "Adaptive Projected Guidance", "oversaturation"),
)
def adaptive_projected_guidance(
    model: Model,
    *,
    eta: Annotated[float, Range(-10, 10, step=0.1)] = 0.0,
    norm_threshold: Annotated[float, Range(0, 100, step=0.5)] = 15.0,
    momentum: Annotated[float, Range(-5, 1, step=0.05)] = -0.5,
    start: Start = 0.0,
    end: Start = 1.0,
) -> Model:
    """Let guidance act across the estimate rather than along it: strong guidance without oversaturation.

    Args:
        model: Model to change.
        eta: Part of guidance along the estimate that is kept.
        norm_threshold: Longest guidance allowed; 0 sets no limit.
        momentum: How much of the guidance of the steps before is added; negative takes it away.
        start: Part of the way from noise to picture from which it acts.
        end: Part of the way at which it ends.
    """
    params: dict[str, Json] = {"eta": eta, "norm_threshold": norm_threshold, "momentum": momentum}
    return patched(model, "projected_guidance", params, (start, end))


@node(
    "zero_star_guidance",
    category="Model/Guidance",
    instant=True,
    synonyms=("CFGZeroStar", "CFG-Zero*", "zero init"),
)
def zero_star_guidance(model: Model, *, zero_until: Start = 0.0) -> Model:
    """Scale the negative estimate to fit the positive one before guiding: for flow models such as SD3.

    Args:
        model: Model to change.
        zero_until: Part of the way from noise to picture up to which nothing is done at all.
    """
    return patched(model, "zero_star_guidance", {"zero_until": zero_until})


@node(
    "guidance_interval",
    category="Model/Guidance",
    instant=True,
    synonyms=("limited interval guidance", "skip CFG", "CFG interval"),
)
def guidance_interval(model: Model, *, start: Start = 0.1, end: Start = 0.8) -> Model:
    """Guide for a part of the steps alone; the others need half the work and keep more variety.

    Args:
        model: Model to change.
        start: Part of the way from noise to picture from which guidance acts.
        end: Part of the way at which it ends.
    """
    return patched(model, "guidance_interval", {}, (start, end))


@node(
    "guidance_over_steps",
    category="Model/Guidance",
    instant=True,
    synonyms=("CFG scheduler", "dynamic CFG", "guidance schedule"),
)
def guidance_over_steps(
    model: Model,
    *,
    first: Annotated[float, Range(0, 4, step=0.05)] = 1.0,
    last: Annotated[float, Range(0, 4, step=0.05)] = 0.5,
    curve: Literal["linear", "cosine"] = "linear",
) -> Model:
    """Let guidance grow or fade on the way from noise to picture.

    Args:
        model: Model to change.
        first: Factor of guidance at the beginning.
        last: Factor of guidance at the end.
        curve: How it changes between; cosine begins and ends gently.
    """
    return patched(model, "guidance_over_steps", {"first": first, "last": last, "curve": curve})


def patched(
    model: Model, name: str, params: dict[str, Json], span: tuple[float, float] = (0.0, 1.0)
) -> Model:
    """The model with one patch more.

    Raises:
        NodeError: The patch would end before it begins.
    """
    if span[0] > span[1]:
        raise NodeError(
            f"It would end at {span[1]:g} before it begins at {span[0]:g}.",
            "Set the end to the start or more.",
            socket="end",
        )
    recipe = model.recipe
    return Model(replace(recipe, patches=(*recipe.patches, Patch(name, params=params, span=span))))


def _listed(text: str) -> list[Json]:
    return [part.strip() for part in text.split(",") if part.strip()]
