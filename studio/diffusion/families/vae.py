"""Image autoencoders from files of their own, tiny ones too.

A file does not say in which scale its latents are: SD 1 and SDXL have the same networks, and so have SD 3 and
Flux. So the part of a recipe names the family it is meant for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.diffusion.families.latent_unet import files_of_part, unusable
from studio.errors import NodeError
from studio.models.identity import combined
from studio.models.recognise import kind_at

if TYPE_CHECKING:
    from studio.diffusion.api import Loader
    from studio.types import Recipe

SCALES: Mapping[str, tuple[int, float, float]] = {
    "stable_diffusion": (4, 0.18215, 0.0),
    "sdxl": (4, 0.13025, 0.0),
    "x4_upscaler": (4, 0.08333, 0.0),
    "stable_diffusion_3": (16, 1.5305, 0.0609),
    "flux": (16, 0.3611, 0.1159),
}
"""Family → channels of its latents, and factor and shift that bring them to the denoiser's scale."""


class VaeFamily:
    """See `studio.diffusion.api.Family`; its parts are families whose scale the latents are brought to.

    A recipe's one member, if any, is the encoder of a tiny autoencoder whose halves are files apart.
    """

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read header or configuration; see `studio.diffusion.api.Family`."""
        kind = kind_at(path)
        if kind is None or "vae" not in kind.parts:
            return None
        files = files_of_part(path, kind, "vae")
        if kind.family:
            return dict.fromkeys(SCALES, files)
        channels = int(kind.variant.partition(" ")[0])
        return {name: files for name, (held, _, _) in SCALES.items() if held == channels}

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build the autoencoder; see `studio.diffusion.api.Family`."""
        path = Path(recipe.path)
        kind = kind_at(path)
        if kind is None or "vae" not in kind.parts:
            raise NodeError(f"There is no VAE in {path}.", "Choose another file or folder.")
        from studio.diffusion.files import pieces

        try:
            if kind.type == "tiny_vae":
                encoder = _unchanged(recipe.members[0]) if recipe.members else None
                return pieces.tiny_at(path, kind, loader, encoder)
            _, factor, shift = SCALES[recipe.part]
            return pieces.vae_at(path, kind, loader, (factor, shift))
        except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
            raise unusable("VAE", path, error) from error


def _unchanged(member: Recipe) -> Path:
    path = Path(member.path)
    if combined(path, (".",)) != member.identity:
        raise NodeError(f"{path} has changed since this run began.", "Run again.")
    return path


FAMILY = VaeFamily()
