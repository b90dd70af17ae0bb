"""From a checkpoint's place to the recipes of its networks; torch is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import NodeError
from studio.files_named import resolve
from studio.models import convert, recognise
from studio.models.identity import combined
from studio.models.lora_header import FAMILIES
from studio.paths import assets_dir
from studio.types import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.context import Context
    from studio.diffusion.api import Family
    from studio.models.kinds import Kind

TEXTS: Mapping[str, str] = {"clip_l": "clip", "clip_g": "clip", "clip_h": "clip", "t5": "t5"}
"""Text encoders → the family that loads them, for all who use them."""
DENOISERS = ("unet", "transformer")
_NAMES: Mapping[str, str] = {
    "checkpoint": "a checkpoint",
    "denoiser": "a diffusion model",
    "text_encoder": "a text encoder",
    "vae": "a VAE",
    "tiny_vae": "a tiny VAE",
    "clip_vision": "an image encoder",
    "controlnet": "a ControlNet",
    "t2i_adapter": "a T2I-Adapter",
    "lora": "a LoRA",
    "embedding": "an embedding",
    "ip_adapter": "an IP-Adapter",
    "style": "a style model",
    "upscaler": "an upscale model",
}


def recipes(path: str, ctx: Context) -> dict[str, Recipe]:
    """Recipe of each network of a checkpoint, by part; its text encoders are one, with members.

    Args:
        path: File or folder of the checkpoint; empty, the starter model.
        ctx: The call's context, which knows the registered families.

    Raises:
        NodeError: There is nothing there, or no installed family recognises it.
        FileError: A file of it is cut short or cannot be read.
    """
    place = place_of(path, ctx) if path else _starter()
    for declared in ctx.extensions.values():
        if declared.kind != "family":
            continue
        family: Family = declared.load()
        parts = family.recognise(place)
        if parts is not None and not parts.keys().isdisjoint(DENOISERS):
            return _composed(
                {part: _recipe(place, names, part, declared.name) for part, names in parts.items()},
                declared.name,
            )
    kind = recognise.kind_at(place)
    raise NodeError(
        f"{place.name} is {recognise.stranger(place) if kind is None else told(kind)}.",
        "Choose a model file, or the folder of a diffusers pipeline: the one with model_index.json in it.",
        socket="path",
    )


def place_of(path: str, ctx: Context) -> Path:
    """Where a model lies; of a pickled one, where it lies as safetensors.

    Raises:
        NodeError: There is nothing there.
        FileError: It is pickled and cannot be read.
        Cancelled: While a pickled one is converted.
    """
    place = resolve(path, None)
    if not place.exists():
        raise NodeError(f"There is no model at {place}.", "Choose another file or folder.", socket="path")
    if place.suffix.lower() in convert.PICKLED and place.is_file():
        return convert.as_safetensors(place, ctx.check)
    return place


def told(kind: Kind) -> str:
    """What a file is, with its article and, where it tells, the family it is made for."""
    family = FAMILIES.get(kind.family)
    return f"{_NAMES[kind.type]} ({family})" if family else _NAMES[kind.type]


def text_encoder(members: Mapping[str, Recipe], family: str) -> Recipe:
    """The recipe of a family's text encoder, of the recipes of the networks it is put together of."""
    return Recipe("", "", "text_encoder", family, members=tuple(members.values()))


def _recipe(place: Path, names: tuple[str, ...], part: str, family: str) -> Recipe:
    return Recipe(str(place), combined(place, names), part, TEXTS.get(part, family))


def _composed(parts: Mapping[str, Recipe], family: str) -> dict[str, Recipe]:
    texts = {part: recipe for part, recipe in parts.items() if part in TEXTS}
    found = {part: recipe for part, recipe in parts.items() if part not in TEXTS}
    if texts:
        found["text_encoder"] = text_encoder(texts, family)
    return found


def starter_files() -> list[str]:
    """Files of the model that ships with the application, as `studio.files_named.resolve` finds them."""
    files = (file for file in _starter().rglob("*") if file.is_file())
    return sorted(file.relative_to(assets_dir().parent).as_posix() for file in files)


def _starter() -> Path:
    return assets_dir() / "starter"
