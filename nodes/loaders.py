"""Nodes that bring models into the graph, as recipes: instant, and without weights or torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from studio.api import Context, Extension, File, Json, Model, NodeError, TextEncoder, Vae, node

stable_diffusion = Extension(
    "family",
    "stable_diffusion",
    "studio.diffusion.families.stable_diffusion:FAMILY",
    "Stable Diffusion 1, inpainting and InstructPix2Pix: a UNet, CLIP-L, a VAE of 4 channels.",
)
stable_diffusion_2 = Extension(
    "family",
    "stable_diffusion_2",
    "studio.diffusion.families.stable_diffusion_2:FAMILY",
    "Stable Diffusion 2, inpainting, depth and unCLIP: a UNet, OpenCLIP-H, a VAE of 4 channels.",
)
sdxl = Extension(
    "family",
    "sdxl",
    "studio.diffusion.families.sdxl:FAMILY",
    "SDXL, its refiner, inpainting and models of few steps: a UNet, CLIP-L and CLIP-G, a VAE of 4 channels.",
)
x4_upscaler = Extension(
    "family",
    "x4_upscaler",
    "studio.diffusion.families.x4_upscaler:FAMILY",
    "The diffusion model that makes pictures four times as wide and high.",
)
clip = Extension(
    "family",
    "clip",
    "studio.diffusion.families.clip:FAMILY",
    "The text encoders CLIP-L, CLIP-G and OpenCLIP-H, shared by the families that use them.",
)
vae = Extension(
    "family",
    "vae",
    "studio.diffusion.families.vae:FAMILY",
    "Image autoencoders from files of their own, tiny ones too.",
)


MoreText = Annotated[
    str, File(content="model", folder=True, empty=True, kinds=("text_encoder", "checkpoint"))
]


class Checkpoint(NamedTuple):
    """The networks of a text-to-image model.

    Attributes:
        model: Denoiser.
        text_encoder: Tokenizer and text encoder.
        vae: Image autoencoder.
    """

    model: Model
    text_encoder: TextEncoder
    vae: Vae


def _files(knobs: Mapping[str, Json]) -> list[str]:
    """The starter model's files, where it is meant: what is in them belongs to the key."""
    from studio.models.checkpoints import starter_files

    return [] if knobs["path"] else starter_files()


@node(
    "load_checkpoint",
    category="Loaders",
    instant=True,
    refs=_files,
    synonyms=("CheckpointLoaderSimple", "Load Checkpoint", "model", "DiffusersLoader"),
)
def load_checkpoint(
    ctx: Context,
    *,
    path: Annotated[str, File(content="model", folder=True, empty=True, kinds=("checkpoint",))] = "",
) -> Checkpoint:
    """Name a model to work with; its weights are loaded when a node first needs them.

    Args:
        path: Model file, or folder of a diffusers pipeline; left empty, the starter model that ships with the
            application.
    """
    from studio.models.checkpoints import recipes

    parts = recipes(path, ctx)
    denoiser = parts.get("unet") or parts.get("transformer")
    text_encoder, vae = parts.get("text_encoder"), parts.get("vae")
    if denoiser is None or text_encoder is None or vae is None:
        there = {"denoiser": denoiser, "text encoder": text_encoder, "VAE": vae}
        missing = [name for name, recipe in there.items() if recipe is None]
        raise NodeError(
            f"The model in {path or 'assets/starter'} has no {' and no '.join(missing)}.",
            "Load what it has with “Load diffusion model”, and the rest from files of their own with "
            "“Load text encoders” and “Load VAE”.",
            socket="path",
        )
    return Checkpoint(Model(denoiser), TextEncoder(text_encoder), Vae(vae))


@node(
    "load_diffusion_model",
    category="Loaders",
    instant=True,
    synonyms=("UNETLoader", "Load Diffusion Model", "UnetLoaderGGUF", "unet", "transformer"),
)
def load_diffusion_model(
    ctx: Context,
    *,
    path: Annotated[str, File(content="model", folder=True, kinds=("denoiser", "checkpoint"))] = "",
) -> Model:
    """Name a file that holds a denoiser alone; of a whole checkpoint, its denoiser is taken.

    Args:
        path: Model file, or folder of the network or pipeline.
    """
    from studio.models.apart import diffusion_model

    return Model(diffusion_model(path, ctx))


@node(
    "load_text_encoders",
    category="Loaders",
    instant=True,
    synonyms=("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "Load CLIP", "T5"),
)
def load_text_encoders(
    ctx: Context,
    *,
    first: Annotated[str, File(content="model", folder=True, kinds=("text_encoder", "checkpoint"))] = "",
    second: MoreText = "",
    third: MoreText = "",
    kind: Literal[
        "auto",
        "stable_diffusion",
        "stable_diffusion_2",
        "sdxl",
        "stable_diffusion_3",
        "flux",
        "x4_upscaler",
    ] = "auto",
) -> TextEncoder:
    """Name the files of text encoders, in any order; of a whole checkpoint, all it has are taken.

    Args:
        first: Model file, or folder of the network or pipeline.
        second: Another, where the kind of model has two.
        third: Another, where the kind of model has three.
        kind: Model the text is encoded for; “auto” tells by what the files hold.
    """
    from studio.models.apart import text_encoders

    paths = [path for path in (first, second, third) if path]
    if not paths:
        raise NodeError("No file is chosen.", "Choose the file of a text encoder.", socket="first")
    return TextEncoder(text_encoders(paths, "" if kind == "auto" else kind, ctx))


def _told_by_name(knobs: Mapping[str, Json]) -> list[str]:
    """What a VAE's name decides: the kind, where it is left to that, and the file of its other half."""
    from studio.models.apart import other_half

    path = Path(str(knobs["path"]))
    half = other_half(path)
    return [*([path.name] if knobs["kind"] == "auto" else []), *([str(half)] if half else [])]


@node(
    "load_vae",
    category="Loaders",
    title="Load VAE",
    instant=True,
    refs=_told_by_name,
    synonyms=("VAELoader", "Load VAE", "TAESD", "autoencoder"),
)
def load_vae(
    ctx: Context,
    *,
    path: Annotated[str, File(content="model", folder=True, kinds=("vae", "tiny_vae", "checkpoint"))] = "",
    kind: Literal["auto", "stable_diffusion", "sdxl", "stable_diffusion_3", "flux", "x4_upscaler"] = "auto",
) -> Vae:
    """Name a file that holds an image autoencoder, a tiny one too; of a whole checkpoint, its VAE is taken.

    Args:
        path: Model file, or folder of the network or pipeline; of a tiny VAE in two files, the decoder's.
        kind: Model it is used with, whose scale its latents take; “auto” goes by what lies beside it and its
            name, for the file itself does not say.
    """
    from studio.models.apart import vae as recipe_of

    return Vae(recipe_of(path, "" if kind == "auto" else kind, ctx))
