"""Networks that enlarge pictures: ESRGAN, Real-ESRGAN and the compact ones; others by the library spandrel.

Recognising needs no torch; it is imported where networks are built.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import FileError, NodeError
from studio.files_named import resolve
from studio.models.convert import as_safetensors
from studio.models.header import read_header
from studio.models.identity import combined
from studio.models.upscalers import UpscalerPlan, plan_of
from studio.types import Recipe

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Loader
    from studio.diffusion.upscaling.upscaler import Upscaler

PART = FAMILY_NAME = "upscaler"
_FILES = ("",)  # the file itself


class UpscalerFamily:
    """The family, as registered."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read the header of a single file; see `studio.diffusion.api.Family`."""
        plan = plan_at(path)
        if plan is None or missing_library(plan):
            return None
        return {PART: _FILES}

    def load(self, recipe: Recipe, loader: Loader) -> Upscaler:
        """Build the network; see `studio.diffusion.api.Family`."""
        from studio.diffusion.upscaling.upscaler import Upscaler

        path = Path(recipe.path)
        plan = plan_at(path)
        if plan is None:
            raise NodeError(f"{path} is no upscale model any more.", "Choose where the model is now.")
        return Upscaler(path, plan, loader)


FAMILY = UpscalerFamily()


def plan_at(path: Path) -> UpscalerPlan | None:
    """What the file there says it is; None where it is no readable upscale model."""
    try:
        return plan_of(read_header(path)) if path.is_file() else None
    except FileError:
        return None


def missing_library(plan: UpscalerPlan) -> bool:
    """Whether the network is one that only spandrel can build, and spandrel or what it needs is not here."""
    return plan.kind == "other" and not (find_spec("spandrel") and find_spec("torchvision"))


def recipe_of(path: str, ctx: Context) -> Recipe:
    """Recipe of the upscale model in a file.

    Raises:
        NodeError: There is none, or it is of a kind that nothing installed can build.
        FileError: The file is cut short, or holds something else than weights.
    """
    place = resolve(path, None)
    if not path or not place.is_file():
        raise NodeError(f"There is no upscale model at {place}.", "Choose a model file.", socket="path")
    weights = as_safetensors(place, ctx.check)
    plan = plan_of(read_header(weights))
    if plan is None:
        raise NodeError(
            f"{place.name} is no upscale model that is known here.",
            "Choose an ESRGAN, Real-ESRGAN or compact model.",
            socket="path",
        )
    if missing_library(plan):
        raise NodeError(
            f"{place.name} is a {plan.title} network, which needs the library spandrel; that is not here.",
            "Install spandrel and torchvision beside the application, or choose an ESRGAN model.",
            socket="path",
        )
    return Recipe(str(weights), combined(weights, _FILES), PART, FAMILY_NAME)
