"""What travels on a wire: the one place where shapes, ranges and dtypes are defined.

A wire type is a `WireType`. A plain Python type becomes one through ``Annotated[T, WireType(...)]``,
a frozen dataclass through the decorator `wire`. Values on wires are never written to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
C = TypeVar("C")
ANY = "any"


@dataclass(frozen=True, slots=True)
class WireType:
    """A kind of value that wires carry.

    Attributes:
        name: What files and messages call it; a plug-in prefixes its package (``acme/depth``).
        colour: ``#rrggbb`` of its sockets and wires.
        shape: Shape, dtype, range and units, as told in tooltips.
        by_value: A wired value enters the key of its consumer by value, not by origin.
    """

    name: str
    colour: str
    shape: str
    by_value: bool = False


INT = WireType("int", "#7fb069", "whole number", by_value=True)
FLOAT = WireType("float", "#a1c181", "number", by_value=True)
BOOL = WireType("bool", "#c6d8af", "yes or no", by_value=True)
TEXT = WireType("text", "#e9c46a", "text, Unicode", by_value=True)
IMAGE = WireType("image", "#5aa9e6", "float32 [N, H, W, C], 0–1, sRGB-encoded, C = 3 or 4, alpha kept")
MASK = WireType("mask", "#d8d8d8", "float32 [N, H, W], 0–1, 1 = repaint")

Image = Annotated[NDArray[np.float32], IMAGE]
Mask = Annotated[NDArray[np.float32], MASK]


def wire(name: str, colour: str, shape: str) -> Callable[[type[C]], type[C]]:
    """Make a frozen dataclass a wire type; its fields must be what `studio.cache.codec` can store."""

    def mark(cls: type[C]) -> type[C]:
        setattr(cls, "__wire__", WireType(name, colour, shape))  # noqa: B010 - unknown to the type
        return cls

    return mark


@wire("latent", "#ff8fab", "torch CPU float32 [N, C, (T,) H, W]; picture size is H, W × downscale")
@dataclass(frozen=True, eq=False)
class Latent:
    """Latents in the denoiser's scale: what the VAE gives, times its family's scaling factor.

    Attributes:
        samples: float32 ``[N, C, (T,) H, W]`` on the CPU.
        downscale: Picture pixels per latent pixel along a side.
        noise_mask: float32 ``[N or 1, H, W]`` on the CPU, 1 = repaint; None = everything.
        blank: True while nothing was encoded or sampled into it: its channel count is provisional,
            and whoever denoises it takes the model's own.
        first: Place of its first picture in the batch that it was cut from: noise is drawn for the whole.
        of: How many pictures that batch has; 0 = it is the whole batch.
    """

    samples: torch.Tensor
    downscale: int
    noise_mask: torch.Tensor | None = None
    blank: bool = False
    first: int = 0
    of: int = 0

    @property
    def channels(self) -> int:
        """Channels of the latent, whatever its family."""
        return int(self.samples.shape[1])


@dataclass(frozen=True, slots=True)
class Patch:
    """A registered change to weights or sampling: data, never a callable.

    Attributes:
        name: Registered name of the patch.
        version: Its version; part of every key that sees it.
        params: Its parameters, JSON.
        tensors: Name → digest of tensors it needs, held in the cache.
        span: Range of the trajectory (0–1) in which it acts.
        path: File it reads, wherever that lies now; enters no key.
        identity: Digest of that file, which does.
    """

    name: str
    version: int = 1
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    tensors: Mapping[str, str] = field(default_factory=dict[str, str])
    span: tuple[float, float] = (0.0, 1.0)
    path: str = ""
    identity: str = ""

    @property
    def key_part(self) -> Json:
        """What enters keys: everything but where its file lies."""
        tensors: dict[str, Json] = dict(self.tensors)
        return [self.name, self.version, dict(self.params), tensors, list(self.span), self.identity]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to come by weights: the identity of a file, and ordered patches.

    Attributes:
        path: Absolute folder or file the weights lie in when the recipe was made.
        identity: Digest of header, size and samples of every tensor; what enters keys.
        part: Which network of the checkpoint is meant (``unet``, ``text_encoder``, ``vae``).
        family: Registered model family.
        patches: Applied in order.
        members: Networks it is composed of, where it is more than one (the text encoders of SDXL).
    """

    path: str
    identity: str
    part: str
    family: str
    patches: tuple[Patch, ...] = ()
    members: tuple[Recipe, ...] = ()

    @property
    def key_part(self) -> Json:
        """What enters keys: everything but where the file lies."""
        patches: list[Json] = [patch.key_part for patch in self.patches]
        members: list[Json] = [member.key_part for member in self.members]
        return [self.identity, self.part, self.family, patches, members]


@wire("model", "#b388eb", "denoiser: a recipe (file identity + patches), not weights")
@dataclass(frozen=True, slots=True)
class Model:
    """A denoiser with its sampling (prediction type, noise schedule) as patches of the recipe."""

    recipe: Recipe


@wire("text_encoder", "#f4a261", "text encoder: a recipe (file identity + patches), not weights")
@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Tokenizer and text encoder(s) of one family."""

    recipe: Recipe


@wire("vae", "#e76f51", "image ↔ latent: a recipe (file identity + patches), not weights")
@dataclass(frozen=True, slots=True)
class Vae:
    """An image autoencoder."""

    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Control:
    """A picture that a control network follows.

    Attributes:
        recipe: The control network.
        hint: float32 ``[N, 3, H, W]``, 0–1, on the CPU, at any size.
        digest: Content digest of everything here but the span.
        strength: Factor of what the network adds.
        span: Range of the trajectory (0–1) in which it acts.
        mask: float32 ``[N or 1, H, W]`` on the CPU, 1 = acts; None = everywhere.
        kind: What the hint shows, for networks that take several kinds.
        vae: Encodes the hint, for networks that take latents.
    """

    recipe: Recipe
    hint: torch.Tensor
    digest: str
    strength: float = 1.0
    span: tuple[float, float] = (0.0, 1.0)
    mask: torch.Tensor | None = None
    kind: str = ""
    vae: Recipe | None = None


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """A picture that is told beside the words, through an IP-Adapter.

    Attributes:
        recipe: The adapter.
        embeds: float32 ``[N, tokens, width]`` on the CPU, as the image encoder gives them.
        digest: Content digest of everything here but the span.
        strength: Factor of what the adapter adds.
        span: Range of the trajectory (0–1) in which it acts.
        mask: float32 ``[N or 1, H, W]`` on the CPU, 1 = acts; None = everywhere.
    """

    recipe: Recipe
    embeds: torch.Tensor
    digest: str
    strength: float = 1.0
    span: tuple[float, float] = (0.0, 1.0)
    mask: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class ConditioningEntry:
    """One thing the denoiser is told. Change it with `studio.diffusion.conditioning.changed` only.

    Attributes:
        embeddings: float32 ``[1, tokens, width]`` on the CPU.
        digest: Content digest of all that is here but span, controls and images.
        pooled: float32 ``[1, width]`` or None.
        span: Range of the trajectory (0 = pure noise, 1 = finished) in which it acts.
        strength: Weight among the entries active at a step.
        extra: Whatever a family adds (size and crop for SDXL); JSON.
        mask: float32 ``[N or 1, H, W]`` on the CPU, 1 = acts there; fitted to the latent's size.
        area: Top, left, height and width of the box it is told for, in parts of the picture; None = all.
        hints: Name → tensor of what a family adds: ``concat`` (latents beside x), ``reference`` …
        controls: Control networks that act with it.
        images: Pictures told beside the words.
    """

    embeddings: torch.Tensor
    digest: str
    pooled: torch.Tensor | None = None
    span: tuple[float, float] = (0.0, 1.0)
    strength: float = 1.0
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    mask: torch.Tensor | None = None
    area: tuple[float, float, float, float] | None = None
    hints: Mapping[str, torch.Tensor] = field(default_factory=dict[str, "torch.Tensor"])
    controls: tuple[Control, ...] = ()
    images: tuple[ImagePrompt, ...] = ()


@wire("conditioning", "#ffd166", "entries: embeddings [1, tokens, width] with strength and range of steps")
@dataclass(frozen=True, eq=False)
class Conditioning:
    """What guides the denoiser: a list of entries."""

    entries: tuple[ConditioningEntry, ...]


CORE_WIRES: tuple[WireType, ...] = (INT, FLOAT, BOOL, TEXT, IMAGE, MASK)


@wire("upscale_model", "#9bd8c9", "network that enlarges pictures: a recipe (file identity), not weights")
@dataclass(frozen=True, slots=True)
class UpscaleModel:
    """A network that enlarges pictures."""

    recipe: Recipe


@wire("noise", "#8d99ae", "what a trajectory begins with: noise of a seed, or none")
@dataclass(frozen=True, slots=True)
class Noise:
    """Noise to begin with, and the seed of what a solver draws.

    Attributes:
        seed: Unsigned 64-bit.
        added: False = none is added, because the latent holds some already.
    """

    seed: int = 0
    added: bool = True


@wire("guider", "#d45d9c", "model, conditionings and how their estimates become one: data")
@dataclass(frozen=True, eq=False)
class Guider:
    """How the picture is estimated at every step.

    Attributes:
        model: Is asked; patches of its recipe may change guidance.
        told: Role → conditioning: ``positive``, perhaps ``negative``, perhaps ``middle`` between them.
        params: ``guidance`` from the negative (or the middle) to the positive, ``guidance_2`` from the
            negative to the middle.
        kind: Registered name of what puts positive and negative together.
    """

    model: Model
    told: Mapping[str, Conditioning]
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    kind: str = "classifier_free"


@wire("control_net", "#6dd3ce", "network that follows a picture: a recipe (file identity), not weights")
@dataclass(frozen=True, slots=True)
class ControlNet:
    """A ControlNet of any family, or a T2I-Adapter."""

    recipe: Recipe


@wire("clip_vision", "#a8dadc", "network that looks at pictures: a recipe (file identity), not weights")
@dataclass(frozen=True, slots=True)
class ClipVision:
    """An image encoder: CLIP vision, or SigLIP."""

    recipe: Recipe


@wire("ip_adapter", "#cdb4db", "lets pictures prompt a model: a recipe (file identity), not weights")
@dataclass(frozen=True, slots=True)
class IpAdapter:
    """An IP-Adapter."""

    recipe: Recipe


@wire(
    "style_model", "#ffc8dd", "turns a picture into words of its own: a recipe (file identity), not weights"
)
@dataclass(frozen=True, slots=True)
class StyleModel:
    """A network that makes tokens of a picture (Flux Redux)."""

    recipe: Recipe


@wire("image_embeds", "#bde0fe", "what an image encoder sees: one row a picture, float32")
@dataclass(frozen=True, eq=False)
class ImageEmbeds:
    """What an image encoder sees in pictures.

    Attributes:
        pooled: float32 ``[N, width]`` on the CPU: pictures as wholes, projected where the encoder does so.
        hidden: float32 ``[N, tokens, width]``: its last layer but one; of SigLIP the last, normalised.
        blank: As `hidden`, of a picture whose normalised pixels are all 0: ``[1, tokens, width]``.
    """

    pooled: torch.Tensor
    hidden: torch.Tensor
    blank: torch.Tensor


@wire("sigmas", "#bc6c25", "noise levels of a trajectory, falling; the last may be above 0")
@dataclass(frozen=True, slots=True)
class Sigmas:
    """Noise levels.

    Attributes:
        values: Falling, one more than steps.
        flow: They mix noise and picture, where others add noise to it.
    """

    values: tuple[float, ...]
    flow: bool = False


@wire("solver", "#f2cc8f", "name of a solver, and options of it")
@dataclass(frozen=True, eq=False)
class SolverChoice:
    """How steps are taken.

    Attributes:
        name: Registered name.
        options: ``eta``, ``s_noise``, ``order``, …: acts where the solver has it.
    """

    name: str
    options: Mapping[str, float] = field(default_factory=dict[str, float])
