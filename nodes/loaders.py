"""Nodes that bring models into the graph, as recipes: instant, and without weights or torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from studio.api import Context, Extension, File, Json, Model, NodeError, TextEncoder, Vae, node

stable_diffusion = Extension(
    "family",
    "stable_diffusion",
    "studio.diffusion.families.stable_diffusion:FAMILY",
    "Stable Diffusion 1 and its kin: a UNet in a diffusers folder, one CLIP text encoder, a VAE.",
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
        path: Folder of a diffusers pipeline; left empty, the starter model that ships with the application.
    """
    from studio.models.checkpoints import recipes

    parts = recipes(path, ctx)
    missing = [part for part in ("unet", "text_encoder", "vae") if part not in parts]
    if missing:
        raise NodeError(
            f"The model in {path or 'assets/starter'} has no {' and no '.join(missing)}.",
            "Choose a whole checkpoint, or a node made for this kind of model.",
            socket="path",
        )
    return Checkpoint(Model(parts["unet"]), TextEncoder(parts["text_encoder"]), Vae(parts["vae"]))
