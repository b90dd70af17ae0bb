"""Patches of a model that change how it runs, whatever samples it: data, instant."""

from __future__ import annotations

from typing import Annotated, Literal

from nodes.guidance import Start, patched
from studio.api import Extension, Json, Model, NodeError, Range, node

_PATCHES = "studio.diffusion.patches"
_EFFECTS = "studio.diffusion.guidance.effects"

freeu_patch = Extension("patch", "freeu", f"{_PATCHES}.freeu:FREEU", "Weighs features against skips.")
hypertile_patch = Extension("patch", "hypertile", f"{_PATCHES}.attention:HYPERTILE", "Attention over tiles.")
merging_patch = Extension(
    "patch", "token_merging", f"{_PATCHES}.attention:TOKEN_MERGING", "Attention over fewer tokens."
)
sampling_patch = Extension(
    "patch", "model_sampling", f"{_PATCHES}.model_sampling:MODEL_SAMPLING", "Prediction and noise levels."
)
tiled_patch = Extension("patch", "tiled_diffusion", f"{_EFFECTS}:TILED", "Overlapping tiles at every step.")
differential_patch = Extension(
    "patch", "differential_diffusion", f"{_EFFECTS}:DIFFERENTIAL", "A grey mask frees pixels by and by."
)


@node("freeu", category="Model/Patches", title="FreeU", instant=True, synonyms=("FreeU", "FreeU_V2"))
def freeu(
    model: Model,
    *,
    b1: Annotated[float, Range(0, 10, step=0.01)] = 1.3,
    b2: Annotated[float, Range(0, 10, step=0.01)] = 1.4,
    s1: Annotated[float, Range(0, 10, step=0.01)] = 0.9,
    s2: Annotated[float, Range(0, 10, step=0.01)] = 0.2,
) -> Model:
    """Weigh what a UNet builds up against what it passes by: richer detail without more steps.

    Args:
        model: Model with a UNet.
        b1: Weight of the features at the lowest level.
        b2: Weight of the features one level above.
        s1: Weight of the low frequencies of the skips at the lowest level.
        s2: Weight of the low frequencies of the skips one level above.
    """
    return patched(model, "freeu", {"b1": b1, "b2": b2, "s1": s1, "s2": s2})


@node("hypertile", category="Model/Patches", title="HyperTile", instant=True, synonyms=("HyperTile",))
def hypertile(
    model: Model,
    *,
    tile: Annotated[int, Range(64, 4096, step=64)] = 256,
    depth: Annotated[int, Range(0, 4)] = 0,
) -> Model:
    """Let pixels attend within tiles only: large pictures in much less time, a little less coherent.

    Args:
        model: Model with a UNet.
        tile: Smallest side of a tile in pixels of the picture.
        depth: Up to how many halvings of the latent it acts; 0 is the finest level only.
    """
    return patched(model, "hypertile", {"tile_px": tile, "depth": depth})


@node(
    "token_merging",
    category="Model/Patches",
    instant=True,
    synonyms=("TomePatchModel", "ToMe", "tomesd"),
)
def token_merging(
    model: Model,
    *,
    ratio: Annotated[float, Range(0, 0.75, step=0.05)] = 0.3,
    depth: Annotated[int, Range(0, 4)] = 0,
) -> Model:
    """Let pixels that look alike attend as one: faster, with a little less detail.

    Args:
        model: Model with a UNet.
        ratio: Part of the pixels that go into others.
        depth: Up to how many halvings of the latent it acts; 0 is the finest level only.
    """
    return patched(model, "token_merging", {"ratio": ratio, "depth": depth})


@node(
    "model_sampling",
    category="Model/Patches",
    instant=True,
    synonyms=("ModelSamplingDiscrete", "v-prediction", "zsnr", "zero terminal SNR"),
)
def model_sampling(
    model: Model,
    *,
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon",
    zero_snr: bool = False,
) -> Model:
    """Say what a model predicts, where its file does not.

    Args:
        model: Model with a UNet.
        prediction: Noise (epsilon), velocity (v_prediction) or the picture itself (sample).
        zero_snr: Let the noisiest step have no picture in it at all, as some v-prediction models need.
    """
    return patched(model, "model_sampling", {"prediction": prediction, "zero_snr": zero_snr})


@node(
    "model_sampling_flow",
    category="Model/Patches",
    title="Model sampling (flow)",
    instant=True,
    synonyms=("ModelSamplingSD3", "ModelSamplingAuraFlow", "shift"),
)
def model_sampling_flow(model: Model, *, shift: Annotated[float, Range(0.01, 100, step=0.05)] = 3.0) -> Model:
    """Spend more of the steps of a flow model at high noise, as large pictures need.

    Args:
        model: Flow model, such as Stable Diffusion 3.
        shift: How far; 1 spreads the noise levels evenly.
    """
    return patched(model, "model_sampling", {"shift": shift})


@node(
    "model_sampling_flux",
    category="Model/Patches",
    title="Model sampling (Flux)",
    instant=True,
    synonyms=("ModelSamplingFlux", "dynamic shift", "mu"),
)
def model_sampling_flux(
    model: Model,
    *,
    max_shift: Annotated[float, Range(0, 100, step=0.01)] = 1.15,
    base_shift: Annotated[float, Range(0, 100, step=0.01)] = 0.5,
    width: Annotated[int, Range(16, 16384, step=8)] = 1024,
    height: Annotated[int, Range(16, 16384, step=8)] = 1024,
) -> Model:
    """Shift the noise levels of a flow model by the size of the picture, as Flux does.

    Args:
        model: Flow model, such as Flux.
        max_shift: Logarithm of the shift at 1024 × 1024 pixels.
        base_shift: Logarithm of the shift at 256 × 256 pixels.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """
    from studio.diffusion.schedules import shift_for

    shift = shift_for(width * height / 256, base_shift, max_shift)
    return patched(model, "model_sampling", {"shift": shift})


@node(
    "differential_diffusion",
    category="Model/Patches",
    instant=True,
    synonyms=("DifferentialDiffusion", "soft inpainting", "gradient mask"),
)
def differential_diffusion(model: Model) -> Model:
    """Take the grey of a latent's mask for how much may change: dark parts are freed in the last steps only.

    Args:
        model: Model to change.
    """
    return patched(model, "differential_diffusion", {})


@node(
    "tiled_diffusion",
    category="Model/Patches",
    instant=True,
    synonyms=("TiledDiffusion", "MultiDiffusion", "Tiled Diffusion", "large pictures"),
)
def tiled_diffusion(
    model: Model,
    *,
    tile: Annotated[int, Range(64, 4096, step=64)] = 768,
    overlap: Annotated[int, Range(0, 2048, step=32)] = 128,
    start: Start = 0.0,
    end: Start = 1.0,
) -> Model:
    """Estimate a large picture in overlapping tiles at every step, so that it fits into memory.

    Args:
        model: Model to change.
        tile: Side of a tile in pixels of the picture.
        overlap: How many pixels neighbouring tiles share at least.
        start: Part of the way from noise to picture from which it acts.
        end: Part of the way at which it ends.
    """
    if overlap >= tile:
        raise NodeError(
            f"Tiles of {tile} px cannot overlap by {overlap} px.",
            f"Set the overlap to {tile // 4} px.",
            socket="overlap",
        )
    params: dict[str, Json] = {"tile_px": tile, "overlap_px": overlap}
    return patched(model, "tiled_diffusion", params, (start, end))
