"""Guiders as nodes: a model, what it is told, and how strongly. Data; the sampler carries them out."""

from __future__ import annotations

from typing import Annotated

from studio.api import Conditioning, Extension, Guider, Json, Knob, Model, Range, node

_GUIDERS = "studio.diffusion.guidance.guiders"

classifier_free = Extension(
    "guider", "classifier_free", f"{_GUIDERS}:classifier_free", "From the negative through the positive."
)

Guidance = Annotated[float, Range(0, 30, step=0.1)]


@node(
    "basic_guider",
    category="Sampling/Guiders",
    instant=True,
    synonyms=("BasicGuider", "no negative prompt", "Flux"),
)
def basic_guider(model: Model, positive: Conditioning) -> Guider:
    """Follow one conditioning as it is: for models that take no negative prompt, and for few-step models.

    Args:
        model: Denoiser.
        positive: What the picture should show.
    """
    return Guider(model, {"positive": positive}, {"guidance": 1.0})


@node(
    "cfg_guider",
    category="Sampling/Guiders",
    title="CFG guider",
    instant=True,
    synonyms=("CFGGuider", "classifier-free guidance", "negative prompt"),
)
def cfg_guider(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    *,
    guidance: Guidance = 7.0,
    kind: Annotated[str, Knob("choice", {"extension": "guider"})] = "classifier_free",
) -> Guider:
    """Go from what the picture should not show towards what it should, and beyond.

    Args:
        model: Denoiser; patches on it may change guidance further.
        positive: What the picture should show.
        negative: What it should not show.
        guidance: How strongly the prompt is followed; 1 ignores the negative prompt and is twice as fast.
        kind: How the two estimates are put together.
    """
    return Guider(model, {"positive": positive, "negative": negative}, {"guidance": guidance}, kind)


@node(
    "dual_cfg_guider",
    category="Sampling/Guiders",
    title="Dual CFG guider",
    instant=True,
    synonyms=("DualCFGGuider", "InstructPix2Pix", "image guidance", "text and image guidance"),
)
def dual_cfg_guider(
    model: Model,
    positive: Conditioning,
    middle: Conditioning,
    negative: Conditioning,
    *,
    guidance: Guidance = 7.5,
    middle_guidance: Guidance = 1.5,
) -> Guider:
    """Guide twice: from the negative to the middle, and from the middle to the positive conditioning.

    For editing by instruction the middle one has the picture and no words, the negative one neither.

    Args:
        model: Denoiser.
        positive: All that the picture should follow: words and picture, say.
        middle: The part of it that has a strength of its own: the picture without words.
        negative: What the picture should not show.
        guidance: How strongly the positive conditioning is followed, seen from the middle one.
        middle_guidance: How strongly the middle conditioning is followed, seen from the negative one.
    """
    params: dict[str, Json] = {"guidance": guidance, "guidance_2": middle_guidance}
    return Guider(model, {"positive": positive, "middle": middle, "negative": negative}, params)


@node(
    "distilled_guidance",
    category="Conditioning",
    synonyms=("FluxGuidance", "Flux guidance", "embedded guidance"),
)
def distilled_guidance(
    conditioning: Conditioning, *, guidance: Annotated[float, Range(0, 100, step=0.1)] = 3.5
) -> Conditioning:
    """Tell a model that was distilled with guidance, such as Flux.1 dev, how strongly to follow the prompt.

    Args:
        conditioning: What the picture should show.
        guidance: How strongly; the sampler's own guidance is best left at 1 then.
    """
    from studio.diffusion.conditioning import changed, each

    return each(conditioning, lambda entry: changed(entry, extra={**entry.extra, "guidance": guidance}))
