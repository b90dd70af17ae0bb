"""From a loose file or folder to the recipe of the one network in it; torch is not needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import FileError, NodeError
from studio.files_named import resolve
from studio.models.convert import as_safetensors
from studio.models.header import read_header
from studio.models.identity import combined
from studio.types import Recipe

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Family

Shapes = dict[str, tuple[int, ...]]


def recipe_of(
    ctx: Context,
    path: str,
    family: Family,
    name: str,
    what: str,
    kin: Callable[[Path], str] | None = None,
) -> Recipe:
    """Recipe of the network at a place.

    Args:
        ctx: The call's context.
        path: File, pickled ones too, or folder with ``config.json`` and weights.
        family: Knows such networks.
        name: Under which the family is registered.
        what: What should lie there, with its article; for sentences.
        kin: Says what else a file is that is much like it, but cannot be used; empty if nothing of that.

    Raises:
        NodeError: There is nothing there, or something else.
        FileError: The file is cut short, or is no model file.
    """
    place = resolve(path, None) if path else Path()
    if not path or not place.exists():
        raise NodeError(f"There is no model at {place}.", f"Choose {what}.", socket="path")
    weights = as_safetensors(place, ctx.check) if place.is_file() else place
    parts = family.recognise(weights)
    if parts is None:
        if place.is_file():
            read_header(weights)
        found = kin(weights) if kin is not None else ""
        if found:
            raise NodeError(
                f"{place.name} is {found}, which cannot be used here.", f"Choose {what}.", socket="path"
            )
        raise NodeError(f"{place.name} is not {what}.", "Choose another file or folder.", socket="path")
    part, names = next(iter(parts.items()))
    return Recipe(str(weights), combined(weights, names), part, name)


def weights_at(path: Path) -> list[Path]:
    """The files that hold the weights of a network at a place: the file itself, or those of its folder.

    Where a folder holds the same weights whole and in half precision, the whole ones; none if there are none.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".safetensors" else []
    found = sorted(path.glob("*.safetensors"))
    plain = [file for file in found if "." not in file.stem]
    return plain or found[:1]


def shapes_at(path: Path) -> Shapes:
    """Name → shape of all tensors there; empty where there is no readable safetensors file."""
    found: Shapes = {}
    for file in weights_at(path):
        try:
            header = read_header(file)
        except FileError:
            return {}
        found |= {name: place.shape for name, place in header.tensors.items()}
    return found
