"""What the families of transformers have in common: their parts, from a file or a folder.

Recognising needs no torch; it is imported where networks are built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.diffusion.families.latent_unet import files_of_part, preview_at, unusable
from studio.errors import NodeError
from studio.models.recognise import kind_at

if TYPE_CHECKING:
    from studio.diffusion.api import Check, Loader
    from studio.diffusion.files.stored import Stored
    from studio.models.kinds import Kind, Shapes
    from studio.models.transformer_keys import Piece
    from studio.types import Json, Recipe

_BAD = (TypeError, KeyError, AttributeError, IndexError, ValueError, ZeroDivisionError)
PART = "transformer"


@dataclass(frozen=True)
class LatentTransformer:
    """A family of transformers; see `studio.diffusion.api.Family`.

    Attributes:
        name: Registered name.
        network: Module and class of the network.
        denoiser: Module and class of ours that calls it.
        pieces: Finds its weights in a file of the original layout.
        config: Reads its settings from the shapes of its weights.
        shift: Of its time, by the variant and the settings of a folder's scheduler.
        defaults: What suits a variant, which the name of the file or folder may tell more of.
        scale: Factor and shift of the latents of its autoencoder, where no configuration tells them.
        preview: Latent → RGB 0–1, offsets last.
        join: Puts its text encoders together, from members by part; told which of them lie in folders.
    """

    name: str
    network: tuple[str, str]
    denoiser: tuple[str, str]
    pieces: Callable[[Shapes], Mapping[str, Piece]]
    config: Callable[[Shapes], dict[str, Any]]
    shift: Callable[[str, Mapping[str, Any]], float | Callable[[int], float]]
    defaults: Callable[[str, str], Mapping[str, Json]]
    scale: tuple[float, float]
    preview: Sequence[Sequence[float]]
    join: Callable[[Mapping[str, Any], frozenset[str]], Any]

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read header or index; see `studio.diffusion.api.Family`."""
        kind = kind_at(path)
        if kind is None or kind.family != self.name or kind.type not in ("checkpoint", "denoiser"):
            return None
        return {part: _files(path, kind, part) for part in kind.parts}

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build one part; see `studio.diffusion.api.Family`."""
        if recipe.part == "text_encoder":
            members = {member.part: loader.get(member) for member in recipe.members}
            folders = (member.part for member in recipe.members if Path(member.path).is_dir())
            return self.join(members, frozenset(folders))
        path = Path(recipe.path)
        kind = kind_at(path)
        if kind is None or recipe.part not in kind.parts:
            raise NodeError(f"There is no {recipe.part} in {path}.", "Choose another file or folder.")
        from studio.diffusion.files import pieces

        try:
            if recipe.part == PART:
                return self._transformer(path, kind, loader)
            return pieces.vae_at(path, kind, loader, self.scale)
        except _BAD as error:
            raise unusable(recipe.part, path, error) from error

    def _transformer(self, path: Path, kind: Kind, loader: Loader) -> Any:
        import torch

        from studio.diffusion.denoisers.transformer import Facts
        from studio.diffusion.files import loading, pieces
        from studio.diffusion.files.stored import Stored, fill

        settings: dict[str, Any] | None = None
        start = kind.parts[PART]
        of = self.pieces if kind.layout == "original" else None
        if path.is_dir():
            stored: Stored = Stored(loading.files_of(path / start), "", of)
            settings = dict(loading.config(path / start / "config.json"))
        else:
            stored = Stored([path], start, of)
        library = loading.imported(self.network[0], loader.check)
        with torch.device("meta"):
            network: Any = getattr(library, self.network[1]).from_config(
                self.config(stored.shapes) if settings is None else settings
            )
        source = fill(network, stored, loader.place, loader.check)
        scheduler = pieces.scheduler_at(path) or {}
        facts = Facts(
            pieces.downscale_at(path, kind, 8),
            preview_at(path, self.preview),
            self.defaults(kind.variant, path.name.lower()),
            self.shift(kind.variant, scheduler),
        )
        return self._denoiser(network, source, facts, loader.check)

    def _denoiser(self, network: Any, source: Any, facts: Any, check: Check) -> Any:
        from importlib import import_module

        made: Any = getattr(import_module(self.denoiser[0]), self.denoiser[1])
        return made(network, source, facts, check)


def _files(path: Path, kind: Kind, part: str) -> tuple[str, ...]:
    """What makes the identity of a part; in a folder, the scheduler and the VAE tell of the denoiser, too."""
    folder = kind.parts[part]
    if part == PART and path.is_dir() and folder != ".":
        return (folder, "scheduler", "vae/config.json", "vae/preview.json")
    return files_of_part(path, kind, part)
