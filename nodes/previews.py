"""What is shown while a picture is sampled."""

from __future__ import annotations

from dataclasses import replace

from studio.api import Extension, Model, NodeError, Patch, Vae, node

tiny_preview_patch = Extension(
    "patch",
    "tiny_preview",
    "studio.diffusion.patches.tiny_preview:TINY_PREVIEW",
    "Previews decoded by a tiny VAE.",
)


@node(
    "tiny_preview",
    category="Model/Patches",
    title="Previews by tiny VAE",
    instant=True,
    synonyms=("TAESD", "preview method", "LatentPreview"),
)
def tiny_preview(model: Model, vae: Vae) -> Model:
    """Show what is being sampled as a tiny VAE decodes it, and not as rough colours.

    Args:
        model: Model to be sampled.
        vae: Tiny VAE (TAESD, TAESDXL, TAESD3, TAEF1) made for this kind of model.
    """
    from pathlib import Path

    from studio.models.recognise import kind_at

    recipe = vae.recipe
    kind = kind_at(Path(recipe.path))
    if kind is None or kind.type != "tiny_vae":
        raise NodeError(
            "This VAE is no tiny one: decoding with it at every step would take longer than the steps.",
            "Load a tiny VAE, such as TAESD, with “Load VAE”.",
            socket="vae",
        )
    patch = Patch("tiny_preview", path=recipe.path, identity=recipe.identity)
    return Model(replace(model.recipe, patches=(*model.recipe.patches, patch)))
