"""Nodes that let a picture steer what is sampled: ControlNets and T2I-Adapters."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from studio.api import (
    Conditioning,
    Context,
    Extension,
    File,
    Image,
    Mask,
    Range,
    Vae,
    node,
)
from studio.types import ControlNet

controlnet = Extension(
    "family",
    "controlnet",
    "studio.diffusion.families.controlnet:FAMILY",
    "ControlNets of Stable Diffusion 1, 2, XL, 3 and Flux, union types, T2I-Adapters.",
)

Kind = Literal[
    "auto",
    "pose",
    "depth",
    "soft_edge",
    "line",
    "normal",
    "segments",
    "tile",
    "repaint",
    "blur",
    "grey",
    "low_quality",
]


class Both(NamedTuple):
    """What guides the sampler.

    Attributes:
        positive: What the picture should show.
        negative: What it should not show.
    """

    positive: Conditioning
    negative: Conditioning


@node(
    "load_controlnet",
    category="Loaders",
    title="Load ControlNet",
    instant=True,
    synonyms=(
        "ControlNetLoader",
        "Load ControlNet Model",
        "DiffControlNetLoader",
        "T2I-Adapter",
        "T2IAdapterLoader",
        "union",
    ),
)
def load_controlnet(
    ctx: Context,
    *,
    path: Annotated[str, File(content="model", folder=True, kinds=("controlnet", "t2i_adapter"))] = "",
) -> ControlNet:
    """Name a network that follows a picture; its weights are loaded when they are first needed.

    Args:
        path: ControlNet of any family, union type, or T2I-Adapter: a file, or a folder of diffusers.
    """
    from studio.diffusion.families.controlnet import FAMILY, NAME, name_of_alien
    from studio.models.loose import recipe_of

    what = "a ControlNet or T2I-Adapter"
    return ControlNet(recipe_of(ctx, path, FAMILY, NAME, what, name_of_alien))


@node(
    "apply_controlnet",
    category="Conditioning",
    title="Apply ControlNet",
    synonyms=(
        "ControlNetApplyAdvanced",
        "ControlNetApply",
        "Apply ControlNet",
        "SetUnionControlNetType",
        "ControlNetInpaintingAliMamaApply",
        "InpaintPreprocessor",
        "T2I-Adapter",
        "canny",
        "depth",
        "pose",
    ),
)
def apply_controlnet(
    positive: Conditioning,
    negative: Conditioning | None,
    control_net: ControlNet,
    image: Image,
    vae: Vae | None = None,
    mask: Mask | None = None,
    repaint: Mask | None = None,
    *,
    strength: Annotated[float, Range(0, 10, step=0.05)] = 1.0,
    start: Annotated[float, Range(0, 1, step=0.01)] = 0.0,
    end: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
    kind: Kind = "auto",
) -> Both:
    """Let a picture, such as edges, depth or a pose, steer what is sampled; several in a row add up.

    Args:
        positive: What the picture should show.
        negative: What it should not show; left out, so is what comes out beside it.
        control_net: Network that follows the picture; it must be made for the same kind of model.
        image: Picture as the network was trained on them: edges, depth, a pose … several for a batch.
        vae: Autoencoder of the model; SD3 and Flux need it, others ignore it.
        mask: Where the network acts; unwired, everywhere.
        repaint: For inpaint networks: what they shall make up. The rest of the image they see.
        strength: How much of what the network says is added; 0 none.
        start: From which part of the way from noise to picture it acts; 0 from the beginning.
        end: Up to which part of the way it acts; 1 to the end.
        kind: What the image shows, for union networks, which take several kinds.
    """
    from studio.diffusion.control.told import applied, control_of

    control = control_of(
        control_net.recipe,
        image,
        vae=vae and vae.recipe,
        mask=mask,
        repaint=repaint,
        strength=strength,
        span=(start, end),
        kind="" if kind == "auto" else kind,
    )
    return Both(applied(positive, control), applied(negative or Conditioning(()), control))
