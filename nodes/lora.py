"""LoRA and its kin on models and text encoders: patches of their recipes, instant and without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from studio.api import Context, Extension, File, Model, NodeError, Range, TextEncoder, node
from studio.types import Patch, Recipe

lora = Extension(
    "patch",
    "lora",
    "studio.diffusion.lora.patch:LORA",
    "Adds what a LoRA file has learnt to the weights: LoRA, LoHa, LoKr, DoRA, OFT, whole differences.",
)

LoraFile = Annotated[str, File(content="model", kinds=("lora",))]
Strength = Annotated[float, Range(-20, 20, step=0.05)]
Part = Annotated[float, Range(0, 1, step=0.01)]


class Adapted(NamedTuple):
    """A model and a text encoder with a LoRA.

    Attributes:
        model: Denoiser with the LoRA.
        text_encoder: Text encoder with the LoRA.
    """

    model: Model
    text_encoder: TextEncoder


@node(
    "load_lora",
    category="Loaders",
    title="Load LoRA",
    instant=True,
    synonyms=("LoraLoader", "Load LoRA", "LoRA", "LyCORIS", "LoHa", "LoKr", "DoRA", "adapter", "style"),
)
def load_lora(
    ctx: Context,
    model: Model,
    text_encoder: TextEncoder,
    *,
    path: LoraFile = "",
    strength: Strength = 1.0,
    text_strength: Strength = 1.0,
    start: Part = 0.0,
    end: Part = 1.0,
) -> Adapted:
    """Add what a LoRA has learnt to a model and its text encoder; put several one behind the other.

    Args:
        model: Denoiser of the kind that the LoRA was made for.
        text_encoder: Its text encoder; a LoRA that knows only pictures leaves it as it is.
        path: File of the LoRA, of any common tool.
        strength: How much of it the denoiser takes: 1 as it was trained, 0 nothing, below 0 the opposite.
        text_strength: How much of it the text encoder takes.
        start: From which part of the way from noise to picture on it acts on the denoiser.
        end: Up to which part of the way it acts on the denoiser.
    """
    return Adapted(
        Model(_patched(ctx, model.recipe, path, strength, (start, end))),
        TextEncoder(_patched(ctx, text_encoder.recipe, path, text_strength, (0.0, 1.0))),
    )


@node(
    "load_lora_for_model",
    category="Loaders",
    title="Load LoRA for model",
    instant=True,
    synonyms=("LoraLoaderModelOnly", "LoRA model only"),
)
def load_lora_for_model(
    ctx: Context,
    model: Model,
    *,
    path: LoraFile = "",
    strength: Strength = 1.0,
    start: Part = 0.0,
    end: Part = 1.0,
) -> Model:
    """Add what a LoRA has learnt to a model, and leave its text encoder alone.

    Args:
        model: Denoiser of the kind that the LoRA was made for.
        path: File of the LoRA, of any common tool.
        strength: How much of it is taken: 1 as it was trained, 0 nothing, below 0 the opposite.
        start: From which part of the way from noise to picture on it acts.
        end: Up to which part of the way it acts.
    """
    return Model(_patched(ctx, model.recipe, path, strength, (start, end)))


def _patched(ctx: Context, recipe: Recipe, path: str, strength: float, span: tuple[float, float]) -> Recipe:
    """The recipe with the LoRA as its last patch; as it is where that would do nothing.

    Raises:
        NodeError: There is no such file, it was made for another family, or it ends before it begins.
        FileError: It is cut short or no LoRA.
    """
    from studio.models import recognise
    from studio.models.checkpoints import place_of, told
    from studio.models.identity import identity_of
    from studio.models.lora_header import misfit

    if not path:
        raise NodeError("No LoRA is chosen.", "Choose the file of a LoRA.", socket="path")
    if span[0] > span[1]:
        raise NodeError(
            f"It would end at {span[1]:g} before it begins at {span[0]:g}.",
            "Set the end to the start or more.",
            socket="end",
        )
    place = place_of(path, ctx)
    if place.is_dir():
        raise NodeError(f"{place} is a folder.", "Choose the file of a LoRA in it.", socket="path")
    kind = recognise.kind_at(place)
    # Adapters of few layers can look as embeddings do.
    if kind is not None and kind.type not in ("lora", "embedding"):
        raise NodeError(
            f"{place.name} is {told(kind)}, not a LoRA.", "Choose the file of a LoRA.", socket="path"
        )
    wrong = misfit(place, recipe.family)
    if wrong:
        raise NodeError(wrong, "Choose a LoRA made for this kind of model.", socket="path")
    if strength == 0 or span[0] == span[1]:
        return recipe
    patch = Patch(
        "lora", params={"strength": strength}, span=span, path=str(place), identity=identity_of(place)
    )
    return replace(recipe, patches=(*recipe.patches, patch))
