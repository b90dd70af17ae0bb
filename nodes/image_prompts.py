"""Nodes that let pictures speak beside words: image encoders, IP-Adapters, Redux, image variations."""

from __future__ import annotations

from typing import Annotated, Literal

from nodes.control import Both
from studio.api import (
    Conditioning,
    Context,
    Extension,
    File,
    Image,
    Mask,
    Model,
    Range,
    Seed,
    node,
)
from studio.types import ClipVision, ImageEmbeds, IpAdapter, StyleModel

_FAMILIES = "studio.diffusion.families.image_prompts"
clip_vision = Extension(
    "family", "clip_vision", f"{_FAMILIES}:CLIP_VISION_FAMILY", "Image encoders: CLIP's and SigLIP."
)
ip_adapter = Extension(
    "family", "ip_adapter", f"{_FAMILIES}:IP_ADAPTER_FAMILY", "IP-Adapters of Stable Diffusion 1 and XL."
)
style_model = Extension(
    "family", "style_model", f"{_FAMILIES}:STYLE_MODEL_FAMILY", "Flux Redux: pictures as tokens."
)


@node(
    "load_clip_vision",
    category="Loaders",
    title="Load image encoder",
    instant=True,
    synonyms=("CLIPVisionLoader", "Load CLIP Vision", "SigLIP", "image encoder"),
)
def load_clip_vision(
    ctx: Context,
    *,
    path: Annotated[str, File(content="model", folder=True, kinds=("clip_vision", "checkpoint"))] = "",
) -> ClipVision:
    """Name a network that looks at pictures; its weights are loaded when they are first needed.

    Args:
        path: CLIP vision or SigLIP: a file, or a folder of transformers.
    """
    from studio.diffusion.families.image_prompts import CLIP_VISION, CLIP_VISION_FAMILY
    from studio.models.loose import recipe_of

    return ClipVision(recipe_of(ctx, path, CLIP_VISION_FAMILY, CLIP_VISION, "an image encoder"))


@node(
    "load_ip_adapter",
    category="Loaders",
    title="Load IP-Adapter",
    instant=True,
    synonyms=("IPAdapterModelLoader", "IPAdapterUnifiedLoader", "image prompt", "plus face"),
)
def load_ip_adapter(
    ctx: Context, *, path: Annotated[str, File(content="model", kinds=("ip_adapter",))] = ""
) -> IpAdapter:
    """Name a network that lets pictures prompt a model; its weights are loaded when they are first needed.

    Args:
        path: IP-Adapter for Stable Diffusion 1 or SDXL: plain, plus, plus face or full face.
    """
    from studio.diffusion.families.image_prompts import IP_ADAPTER, IP_ADAPTER_FAMILY, name_of_alien
    from studio.models.loose import recipe_of

    what = "an IP-Adapter, plain, plus, plus face or full face"
    return IpAdapter(recipe_of(ctx, path, IP_ADAPTER_FAMILY, IP_ADAPTER, what, name_of_alien))


@node(
    "load_style_model",
    category="Loaders",
    instant=True,
    synonyms=("StyleModelLoader", "Load Style Model", "Redux", "flux1-redux-dev"),
)
def load_style_model(
    ctx: Context, *, path: Annotated[str, File(content="model", folder=True, kinds=("style",))] = ""
) -> StyleModel:
    """Name a network that turns a picture into tokens; its weights are loaded when they are first needed.

    Args:
        path: Flux Redux: a file, or a folder of diffusers.
    """
    from studio.diffusion.families.image_prompts import STYLE_MODEL, STYLE_MODEL_FAMILY
    from studio.models.loose import recipe_of

    return StyleModel(recipe_of(ctx, path, STYLE_MODEL_FAMILY, STYLE_MODEL, "a style model (Flux Redux)"))


@node(
    "encode_image",
    category="Conditioning",
    device=True,
    synonyms=("CLIPVisionEncode", "CLIP Vision Encode", "IPAdapterEncoder", "look"),
)
def encode_image(ctx: Context, clip_vision: ClipVision, image: Image, *, crop: bool = True) -> ImageEmbeds:
    """Look at pictures, for networks that are told what is in them.

    Args:
        clip_vision: Image encoder that belongs to the network that is told.
        image: Pictures; several are told together.
        crop: Cut the longer side to a square; otherwise, and for SigLIP, the picture is squeezed into one.
    """
    from studio.diffusion.pictures.clip_vision import encode

    return encode(ctx, clip_vision, image, crop=crop)


@node(
    "apply_ip_adapter",
    category="Conditioning",
    title="Apply IP-Adapter",
    synonyms=(
        "IPAdapter",
        "IPAdapterAdvanced",
        "IPAdapterStyleComposition",
        "image prompt",
        "style transfer",
        "image variations",
        "reference",
    ),
)
def apply_ip_adapter(
    positive: Conditioning,
    negative: Conditioning | None,
    ip_adapter: IpAdapter,
    embeds: ImageEmbeds,
    mask: Mask | None = None,
    *,
    strength: Annotated[float, Range(0, 5, step=0.05)] = 1.0,
    start: Annotated[float, Range(0, 1, step=0.01)] = 0.0,
    end: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
    take: Literal["all", "style", "composition"] = "all",
) -> Both:
    """Let pictures prompt the model beside the words; several in a row add up.

    Args:
        positive: What the picture should show.
        negative: What it should not show; the model is told a picture of nothing with it.
        ip_adapter: IP-Adapter that was made for the same kind of model.
        embeds: What an image encoder sees in the pictures.
        mask: Where the pictures are told; unwired, everywhere.
        strength: How loudly they are told; 0 not at all.
        start: From which part of the way from noise to picture they are told; 0 from the beginning.
        end: Up to which part of the way they are told; 1 to the end.
        take: What is taken from them: everything, or only style or composition, where it is known which
            layers carry those.
    """
    from studio.diffusion.pictures.image_prompts import applied

    return Both(*applied(positive, negative, ip_adapter.recipe, embeds, mask, strength, (start, end), take))


@node(
    "apply_style_model",
    category="Conditioning",
    device=True,
    synonyms=("StyleModelApply", "Apply Style Model", "Redux", "image variations"),
)
def apply_style_model(
    ctx: Context,
    conditioning: Conditioning,
    style_model: StyleModel,
    embeds: ImageEmbeds,
    *,
    strength: Annotated[float, Range(0, 5, step=0.05)] = 1.0,
) -> Conditioning:
    """Tell Flux pictures as tokens behind those of the words.

    Args:
        conditioning: The prompt; an empty one for variations of the picture.
        style_model: Flux Redux.
        embeds: What SigLIP sees in the pictures.
        strength: Factor of their tokens.
    """
    from studio.diffusion.pictures.redux import applied

    return applied(ctx, conditioning, style_model, embeds, strength)


@node(
    "unclip_conditioning",
    category="Conditioning",
    title="unCLIP conditioning",
    device=True,
    synonyms=("unCLIPConditioning", "image variations", "Stable unCLIP"),
)
def unclip_conditioning(
    ctx: Context,
    model: Model,
    conditioning: Conditioning,
    embeds: ImageEmbeds,
    *,
    strength: Annotated[float, Range(0, 10, step=0.05)] = 1.0,
    noise_level: Annotated[int, Range(0, 999)] = 0,
    seed: Seed = 0,
) -> Conditioning:
    """Let Stable Diffusion 2.1 unCLIP make variations of a picture.

    Args:
        model: The unCLIP model.
        conditioning: The positive prompt; it may be empty.
        embeds: What its image encoder sees in the picture; of several, their mean is told.
        strength: Factor of what is told of the picture.
        noise_level: How much noise is mixed into what is told; more gives freer variations.
        seed: Number from which that noise is drawn.
    """
    from studio.diffusion.pictures.unclip import applied

    return applied(ctx, model, conditioning, embeds, strength, noise_level, seed)
