"""Recipes of networks in files of their own: denoisers, text encoders, autoencoders. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import NodeError
from studio.models import checkpoints, recognise
from studio.models.folders import settings
from studio.models.identity import combined
from studio.types import Recipe

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Family
    from studio.models.kinds import Kind

MEMBERS: Mapping[str, tuple[str, ...]] = {
    "stable_diffusion": ("clip_l",),
    "stable_diffusion_2": ("clip_h",),
    "x4_upscaler": ("clip_h",),
    "sdxl": ("clip_l", "clip_g"),
    "stable_diffusion_3": ("clip_l", "clip_g", "t5"),
    "flux": ("clip_l", "t5"),
}
"""Family → the text encoders it uses; the refiner of SDXL, and SD 3, do without some."""
_NEEDED: Mapping[str, tuple[str, ...]] = {"sdxl": ("clip_g",), "stable_diffusion_3": ()}
_BY_MEMBERS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"clip_l", "t5"}), "flux"),
    (frozenset({"clip_l"}), "stable_diffusion"),
    (frozenset({"clip_h"}), "stable_diffusion_2"),
    (frozenset({"clip_g"}), "sdxl"),
    (frozenset({"clip_l", "clip_g"}), "sdxl"),
)


def diffusion_model(path: str, ctx: Context) -> Recipe:
    """Recipe of the denoiser in a file or folder, whatever else lies there.

    Raises:
        NodeError: There is nothing there, or no denoiser that is known here.
        FileError: A file is cut short or cannot be read.
    """
    parts = checkpoints.recipes(path, ctx)
    return next(parts[name] for name in checkpoints.DENOISERS if name in parts)


def text_encoders(paths: Sequence[str], family: str, ctx: Context) -> Recipe:
    """Recipe of a family's text encoder, put together of the networks in files or folders.

    Args:
        paths: One to three; of a whole checkpoint, all its text encoders are taken.
        family: Registered name; empty to tell by what is there.
        ctx: The call's context, which knows the registered families.

    Raises:
        NodeError: There is nothing there, no text encoder, or not those of the family.
        FileError: A file is cut short or cannot be read.
    """
    found: dict[str, Recipe] = {}
    for path in paths:
        found.update(_texts(path, ctx))
    chosen = family or next(
        (name for held, name in _BY_MEMBERS if held == found.keys()), "stable_diffusion_3"
    )
    wanted = MEMBERS[chosen]
    missing = [part for part in _NEEDED.get(chosen, wanted) if part not in found]
    members = {part: found[part] for part in wanted if part in found}
    if missing or not members:
        raise NodeError(
            f"There is no {_spoken(missing or wanted)} among these files, which hold {_spoken(found)}.",
            f"Text encoders of this kind of model are {_spoken(wanted)}: choose a file of each.",
            socket="first",
        )
    return checkpoints.text_encoder(members, chosen)


def _texts(path: str, ctx: Context) -> dict[str, Recipe]:
    place = checkpoints.place_of(path, ctx)
    found: dict[str, Recipe] = {}
    for declared in ctx.extensions.values():
        if declared.kind != "family" or declared.name not in checkpoints.TEXTS.values():
            continue
        family: Family = declared.load()
        for part, files in (family.recognise(place) or {}).items():
            if part in checkpoints.TEXTS:
                found[part] = Recipe(str(place), combined(place, files), part, declared.name)
    if not found:
        raise NodeError(
            f"{place.name} is {_told(place)}, and holds no text encoder.",
            "Choose a CLIP or T5 text encoder.",
            socket="first",
        )
    return found


def vae(path: str, family: str, ctx: Context) -> Recipe:
    """Recipe of the autoencoder in a file or folder.

    Args:
        path: Its place; of a tiny autoencoder in two files, that of the decoder.
        family: In whose scale the latents are wanted; empty to tell by what is there, and its name.
        ctx: The call's context, which knows the registered families.

    Raises:
        NodeError: There is nothing there, no autoencoder, or one of other channels than the family's.
        FileError: A file is cut short or cannot be read.
    """
    place = checkpoints.place_of(path, ctx)
    known: Family = ctx.extension("family", "vae")
    parts = known.recognise(place)
    kind = recognise.kind_at(place)
    if parts is None or kind is None:
        raise NodeError(f"{place.name} is {_told(place)}, and holds no VAE.", "Choose a VAE.", socket="path")
    part = family or _scale(place, Path(path).name.lower(), kind, parts)
    if part not in parts:
        raise NodeError(
            f"{place.name} is a VAE of {kind.variant}, which is not one of this kind of model.",
            "Choose another VAE, or another kind.",
            socket="path",
        )
    halves: tuple[Recipe, ...] = ()
    if kind.type == "tiny_vae" and kind.layout == "original":
        place, halves = _halves(place, kind)
    return Recipe(str(place), combined(place, parts[part]), part, "vae", members=halves)


def _scale(place: Path, name: str, kind: Kind, parts: Mapping[str, object]) -> str:
    """The family whose scale an autoencoder's latents are most likely in; `name` as the user knows it."""
    family = "stable_diffusion" if kind.family == "stable_diffusion_2" else kind.family
    if family in parts:
        return family
    found = settings(place / kind.parts["vae"] / "config.json") if place.is_dir() else None
    factor = (found or {}).get("scaling_factor")
    told = {0.13025: "sdxl", 0.08333: "x4_upscaler", 1.5305: "stable_diffusion_3", 0.3611: "flux"}
    if isinstance(factor, float) and told.get(factor) in parts:
        return told[factor]
    if "stable_diffusion" in parts:
        return "sdxl" if "xl" in name else "x4_upscaler" if "x4" in name else "stable_diffusion"
    return "stable_diffusion_3" if "sd3" in name or "3.5" in name or "sd_3" in name else "flux"


def _halves(place: Path, kind: Kind) -> tuple[Path, tuple[Recipe, ...]]:
    """The decoder's file of a tiny autoencoder, and the recipe of its encoder where that lies beside it."""
    other = other_half(place)
    beside = recognise.kind_at(other) if other is not None and other.exists() else None
    if beside is None or beside.type != "tiny_vae" or other is None:
        if kind.variant.endswith("decoder"):
            return place, ()
        raise NodeError(
            f"{place.name} is the encoder of a tiny VAE, without the decoder beside it.",
            "Put the decoder into the same folder, under the same name but for that word.",
            socket="path",
        )
    decoder, encoder = (place, other) if kind.variant.endswith("decoder") else (other, place)
    return decoder, (Recipe(str(encoder), combined(encoder, (".",)), "encoder", "vae"),)


def other_half(path: Path) -> Path | None:
    """Where the other half of a tiny autoencoder would lie, by its name; None if that names no half."""
    for half, other in (("decoder", "encoder"), ("encoder", "decoder")):
        if half in path.name:
            return path.with_name(path.name.replace(half, other))
    return None


def _told(place: Path) -> str:
    kind = recognise.kind_at(place)
    return recognise.stranger(place) if kind is None else checkpoints.told(kind)


def _spoken(parts: Sequence[str] | Mapping[str, object]) -> str:
    return " and ".join(part.replace("_", "-").upper() for part in parts)
