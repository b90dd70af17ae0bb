"""Networks that look at pictures, told from the header of their file: image encoders, IP-Adapters, Redux."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from studio.types import Json

Shapes = Mapping[str, tuple[int, ...]]
_PATCHES = "embeddings.patch_embedding.weight"
_OPEN_CLIP = ("visual.", "embedder.model.visual.")  # alone, and within an unCLIP checkpoint
_SIDES = (224, 256, 384, 512)
_QUICK_WIDTH = 1024
_HEAD = 64


@dataclass(frozen=True, slots=True)
class VisionPlan:
    """An image encoder as its file describes it.

    Attributes:
        kind: ``clip`` (with projection) or ``siglip``.
        prefix: What the names of its weights begin with in the file.
        config: Arguments of its configuration in transformers.
        open_clip: Its weights bear OpenCLIP's names.
    """

    kind: Literal["clip", "siglip"]
    prefix: str
    config: Mapping[str, Json]
    open_clip: bool = False


@dataclass(frozen=True, slots=True)
class AdapterPlan:
    """An IP-Adapter as its file describes it.

    Attributes:
        kind: How a picture becomes tokens: ``plain`` (of the picture as a whole), ``plus`` (of its details,
            by a resampler), ``full`` (each detail a token).
        width: Of the tokens of the model it is made for.
        embeds: Width of what its image encoder gives.
        tokens: For each picture; 0 where it depends on the encoder.
        layers: Output widths of its key projections, in the order of layers.
    """

    kind: Literal["plain", "plus", "full"]
    width: int
    embeds: int
    tokens: int
    layers: tuple[int, ...]


def vision_of(shapes: Shapes) -> VisionPlan | None:
    """Read which image encoder a file holds; None if it holds none.

    The names are transformers', bare or of a whole CLIP, or OpenCLIP's.
    """
    try:
        for prefix in _OPEN_CLIP:
            if f"{prefix}transformer.resblocks.0.attn.in_proj_weight" in shapes:
                return _open_clip(shapes, prefix)
        for prefix in ("vision_model.", ""):
            if f"{prefix}{_PATCHES}" in shapes:
                siglip = f"{prefix}embeddings.class_embedding" not in shapes
                return _siglip(shapes, prefix) if siglip else _clip(shapes, prefix)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        pass
    return None


def adapter_of(shapes: Shapes) -> AdapterPlan | None:
    """Read which IP-Adapter a file holds; None if it holds none, or one of those that `is_face_id` tells."""
    layers = _layers(shapes)
    if not layers:
        return None
    width = shapes["ip_adapter.1.to_k_ip.weight"][1]
    given = {name.removeprefix("image_proj."): shape for name, shape in shapes.items()}
    try:
        if "proj.weight" in given:
            out, taken = given["proj.weight"]
            return AdapterPlan("plain", width, taken, out // width, layers)
        if "proj.3.weight" in given:
            return AdapterPlan("full", width, given["proj.0.weight"][1], 0, layers)
        if "latents" in given and "proj_in.weight" in given:
            return AdapterPlan("plus", width, given["proj_in.weight"][1], given["latents"][1], layers)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        pass
    return None


def is_face_id(shapes: Shapes) -> bool:
    """Whether it is an IP-Adapter that takes a face as the numbers of a recogniser of faces."""
    return bool(_layers(shapes)) and (
        {"image_proj.norm.weight", "image_proj.proj.0.weight"} <= shapes.keys()
        or "image_proj.perceiver_resampler.proj_in.weight" in shapes
    )


def is_redux(shapes: Shapes) -> bool:
    """Whether it is a network that makes tokens for Flux of what SigLIP sees."""
    return len(shapes.get("redux_up.weight", ())) == 2 and len(shapes.get("redux_down.weight", ())) == 2


def _layers(shapes: Shapes) -> tuple[int, ...]:
    """Output widths of the key projections ``ip_adapter.1``, ``.3``, ``.5`` …; empty where one is odd."""
    numbers = sorted(
        int(match[1])
        for name in shapes
        if (match := re.fullmatch(r"ip_adapter\.(\d{1,4})\.to_k_ip\.weight", name))
    )
    if numbers != list(range(1, 2 * len(numbers), 2)):
        return ()
    found: list[int] = []
    for number in numbers:
        key, value = (shapes.get(f"ip_adapter.{number}.to_{part}_ip.weight", ()) for part in "kv")
        if len(key) != 2 or key != value:
            return ()
        found.append(key[0])
    return tuple(found)


def _clip(shapes: Shapes, prefix: str) -> VisionPlan | None:
    width, _, patch = shapes[f"{prefix}{_PATCHES}"][:3]
    projection = shapes.get("visual_projection.weight")
    if projection is None:
        return None
    places = shapes[f"{prefix}embeddings.position_embedding.weight"][0]
    config = _common(shapes, prefix, width) | {
        "patch_size": patch,
        "image_size": math.isqrt(places - 1) * patch,
        "projection_dim": projection[0],
        # OpenAI's own large one; all others were trained with the exact function.
        "hidden_act": "quick_gelu" if width == _QUICK_WIDTH else "gelu",
    }
    return VisionPlan("clip", prefix, config)


def _siglip(shapes: Shapes, prefix: str) -> VisionPlan:
    width, _, patch = shapes[f"{prefix}{_PATCHES}"][:3]
    places = shapes[f"{prefix}embeddings.position_embedding.weight"][0]
    config = _common(shapes, prefix, width) | {
        "patch_size": patch,
        "image_size": _side(math.isqrt(places), patch),
        "vision_use_head": f"{prefix}head.probe" in shapes,
    }
    return VisionPlan("siglip", prefix, config)


def _side(patches: int, patch: int) -> int:
    """Side of the pictures it was trained on; patches need not fill it: 27 of 14 px are those of 384 px."""
    return next((side for side in _SIDES if side // patch == patches), patches * patch)


def _common(shapes: Shapes, prefix: str, width: int) -> dict[str, Json]:
    return {
        "hidden_size": width,
        "num_hidden_layers": _count(shapes, rf"{re.escape(prefix)}encoder\.layers\.(\d+)\."),
        "num_attention_heads": _heads(width),
        "intermediate_size": shapes[f"{prefix}encoder.layers.0.mlp.fc1.weight"][0],
    }


def _open_clip(shapes: Shapes, prefix: str) -> VisionPlan:
    width, _, patch = shapes[f"{prefix}conv1.weight"][:3]
    places = shapes[f"{prefix}positional_embedding"][0]
    config: dict[str, Json] = {
        "hidden_size": width,
        "num_hidden_layers": _count(shapes, rf"{re.escape(prefix)}transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": _heads(width),
        "intermediate_size": shapes[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"][0],
        "patch_size": patch,
        "image_size": math.isqrt(places - 1) * patch,
        "projection_dim": shapes[f"{prefix}proj"][1],
        "hidden_act": "gelu",
    }
    return VisionPlan("clip", prefix, config, open_clip=True)


def _heads(width: int) -> int:
    """Large ones all have sixteen, however wide."""
    return 16 if width >= _QUICK_WIDTH else max(1, width // _HEAD)


def _count(names: Iterable[str], pattern: str) -> int:
    numbers = {int(match[1]) for name in names if (match := re.match(pattern, name)) and len(match[1]) < 4}
    return max(numbers, default=-1) + 1
