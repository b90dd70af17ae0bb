"""A model family small enough to be read: its models see grey everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.api import ConditioningEntry, Json, Recipe

if TYPE_CHECKING:
    import torch

    from studio.diffusion.api import Loader, Perturb


class Grey:
    """A denoiser that takes every noisy picture for plain grey of a level."""

    def __init__(self, level: float, device: torch.device, check: Callable[[], None]) -> None:
        import torch

        from studio.diffusion.api import Sampling

        self.sampling = Sampling(tuple(0.03 * 1.05**index for index in range(128)), "epsilon")
        self.channels, self.downscale, self.nbytes = 4, 8, 0
        self.preview = torch.zeros(5, 3)
        self.device, self.check = device, check
        self.networks: Mapping[str, Any] = {}
        self.defaults: Mapping[str, Json] = {"steps": 4}
        self.level = level

    def __call__(
        self,
        x: torch.Tensor,
        sigma: float,
        entries: Sequence[ConditioningEntry],
        perturb: Perturb | None = None,
    ) -> list[torch.Tensor]:
        """The same grey under every entry."""
        self.check()
        return [x.new_full(x.shape, self.level) for _ in entries]


class GreyFamily:
    """Its models come from a node of this package and lie in no file."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """No file is one of these."""
        return None

    def load(self, recipe: Recipe, loader: Loader) -> Grey:
        """Take the grey from the recipe."""
        return Grey(float(recipe.identity), loader.place.device, loader.check)


GREY = GreyFamily()
