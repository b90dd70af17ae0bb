"""What a model file can be: the answer of `studio.models.recognise`, and the way its questions are put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.models.header import TensorPlace

Shapes = Mapping[str, tuple[int, ...]]
Layout = Literal["original", "diffusers"]
Type = Literal[
    "checkpoint",
    "denoiser",
    "text_encoder",
    "vae",
    "tiny_vae",
    "clip_vision",
    "controlnet",
    "t2i_adapter",
    "lora",
    "embedding",
    "ip_adapter",
    "style",
    "upscaler",
]
PRECISIONS: Mapping[str, str] = {
    "F64": "fp64",
    "F32": "fp32",
    "F16": "fp16",
    "BF16": "bf16",
    "F8_E4M3": "fp8",
    "F8_E5M2": "fp8",
}
"""Number formats of safetensors headers, as people call them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a model file holds.

    Attributes:
        type: Of the file as a whole.
        family: Registered model family it is made for; empty where the file does not tell.
        variant: Which of the family: ``inpainting``, ``refiner``, ``dev`` … or, of a part that several
            families share, which part (``clip_l``, ``t5``).
        precision: Number format of most of its bytes: ``fp32``, ``fp16``, ``bf16``, ``fp8``, another.
        layout: Whose names the tensors of the denoiser, else of the whole file, bear.
        parts: Network it holds (``unet``, ``transformer``, ``clip_l``, ``clip_g``, ``clip_h``, ``t5``,
            ``vae``, ``clip_vision``) → what its tensors’ names begin with, or its folder.
    """

    type: Type
    family: str
    variant: str = ""
    precision: str = ""
    layout: Layout = "original"
    parts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Denoiser:
    """A denoising network as its tensors tell it; fields as those of `Kind`."""

    family: str
    variant: str
    layout: Layout
    part: Literal["unet", "transformer"]


def precision(places: Iterable[TensorPlace]) -> str:
    """The number format that most bytes are in."""
    taken: Counter[str] = Counter()
    for place in places:
        taken[place.dtype] += place.end - place.begin
    most = taken.most_common(1)
    return PRECISIONS.get(most[0][0], most[0][0].lower()) if most else ""


def below(shapes: Shapes, prefix: str) -> dict[str, tuple[int, ...]]:
    """The tensors whose names begin so, without that beginning."""
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def count(names: Iterable[str], prefix: str) -> int:
    """How many numbered parts there are: ``prefix0…``, ``prefix1…`` and on, to the first missing one."""
    numbers = {name[len(prefix) :].partition(".")[0] for name in names if name.startswith(prefix)}
    found = 0
    while str(found) in numbers:
        found += 1
    return found
