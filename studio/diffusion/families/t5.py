"""T5's encoder, which Stable Diffusion 3 and Flux share: from a file of its own or out of a checkpoint."""

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

PART = "t5"


class T5Family:
    """See `studio.diffusion.api.Family`; its one part is ``t5``."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read header or index; see `studio.diffusion.api.Family`."""
        kind = kind_at(path)
        if kind is None or PART not in kind.parts:
            return None
        return {PART: files_of_part(path, kind, PART)}

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build the encoder; see `studio.diffusion.api.Family`.

        Raises:
            NodeError: It is not there, or its vocabulary is missing.
        """
        from studio.diffusion.files import loading
        from studio.diffusion.files.stored import Stored
        from studio.diffusion.text import t5, tokenizer_t5

        path = Path(recipe.path)
        kind = kind_at(path)
        if kind is None or PART not in kind.parts:
            raise NodeError(f"There is no T5 in {path}.", "Choose another file or folder.")
        start = kind.parts[PART]
        folder = path / start if path.is_dir() else None
        vocabulary = tokenizer_t5.find(folder or path)
        try:
            if folder is None:
                return t5.build(Stored([path], start, t5.pieces), None, vocabulary, loader)
            settings = loading.config(folder / "config.json")
            stored = Stored(loading.files_of(folder), "", t5.pieces)
            return t5.build(stored, settings, vocabulary, loader)
        except (TypeError, KeyError, AttributeError, IndexError, ValueError, ZeroDivisionError) as error:
            raise unusable("T5", path, error) from error


FAMILY = T5Family()
