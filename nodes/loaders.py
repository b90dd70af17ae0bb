"""Nodes that bring models into the graph, as recipes: instant, and without weights or torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from studio.api import Context, Extension, File, Json, Model, NodeError, TextEncoder, Vae, node

stable_diffusion = Extension(
    "family",
    "stable_diffusion",
    "studio.diffusion.families.stable_diffusion:FAMILY",
    "Stable Diffusion 1, inpainting and InstructPix2Pix: a UNet, CLIP-L, a VAE of 4 channels.",
)
clip = Extension(
    "family",
    "clip",
    "studio.diffusion.families.clip:FAMILY",
    "The text encoders CLIP-L, CLIP-G and OpenCLIP-H, shared by the families that use them.",
)


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
    path: Annotated[str, File(content="model", folder=True, empty=True)] = "",
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
