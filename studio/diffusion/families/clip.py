"""CLIP text encoders, which families share: from a file of their own or out of a whole checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.diffusion.families.latent_unet import files_of_part, unusable
from studio.errors import NodeError
from studio.models.recognise import kind_at

if TYPE_CHECKING:
    from studio.diffusion.api import Loader
    from studio.types import Recipe

_PARTS = ("clip_l", "clip_g", "clip_h")


class ClipFamily:
    """See `studio.diffusion.api.Family`; its parts are ``clip_l``, ``clip_g`` and ``clip_h``."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read header or index; see `studio.diffusion.api.Family`."""
        kind = kind_at(path)
        if kind is None:
            return None
        found = {part: files_of_part(path, kind, part) for part in kind.parts if part in _PARTS}
        return found or None

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build one text encoder; see `studio.diffusion.api.Family`."""
        path = Path(recipe.path)
        kind = kind_at(path)
        if kind is None or recipe.part not in kind.parts:
            raise NodeError(f"There is no {recipe.part} in {path}.", "Choose another file or folder.")
        from studio.diffusion.files import pieces

        try:
            return pieces.clip_at(path, kind, recipe.part, loader)
        except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
            raise unusable(recipe.part, path, error) from error


FAMILY = ClipFamily()
