"""From a checkpoint's place to the recipes of its networks; torch is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import NodeError
from studio.files_named import resolve
from studio.models.identity import combined
from studio.paths import assets_dir
from studio.types import Recipe

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Family


def recipes(path: str, ctx: Context) -> dict[str, Recipe]:
    """Recipe of each network of a checkpoint, by part.

    Args:
        path: Folder of the checkpoint; empty, the starter model.
        ctx: The call's context, which knows the registered families.

    Raises:
        NodeError: There is nothing there, or no installed family recognises it.
        FileError: A file of it is cut short or cannot be read.
    """
    place = resolve(path, None) if path else _starter()
    if not place.exists():
        raise NodeError(f"There is no model at {place}.", "Choose another file or folder.", socket="path")
    for declared in ctx.extensions.values():
        if declared.kind != "family":
            continue
        family: Family = declared.load()
        parts = family.recognise(place)
        if parts is not None:
            return {
                part: Recipe(str(place), combined(place, names), part, declared.name)
                for part, names in parts.items()
            }
    raise NodeError(
        f"{place} is no model that is understood here.",
        "Choose the folder of a diffusers pipeline: the one with model_index.json in it.",
        socket="path",
    )


def starter_files() -> list[str]:
    """Files of the model that ships with the application, as `studio.files_named.resolve` finds them."""
    files = (file for file in _starter().rglob("*") if file.is_file())
    return sorted(file.relative_to(assets_dir().parent).as_posix() for file in files)


def _starter() -> Path:
    return assets_dir() / "starter"
