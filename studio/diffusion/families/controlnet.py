"""Networks that follow a picture: ControlNets of every family, union types, T2I-Adapters.

Recognising needs no torch; it is imported where networks are built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio.errors import NodeError
from studio.models import loose
from studio.models.control_header import plan_of, unsupported
from studio.models.control_plan import ControlPlan

if TYPE_CHECKING:
    from studio.diffusion.api import Loader

NAME = "controlnet"


class ControlNetFamily:
    """The family, as registered."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read the header of a file, or of a folder's weights; see `studio.diffusion.api.Family`."""
        plan = plan_at(path)
        return None if plan is None else {plan.kind: ("",)}

    def load(self, recipe: Any, loader: Loader) -> Any:
        """Build the network; see `studio.diffusion.api.Family`."""
        from studio.diffusion.control import networks as control_networks
        from studio.diffusion.control import transformers as control_transformers

        place = Path(recipe.path)
        plan = plan_at(place)
        if plan is None:
            raise NodeError(f"{place} is no ControlNet any more.", "Choose where it is now.")
        classes = {
            "controlnet": control_networks.ControlNetwork,
            "union": control_networks.UnionNetwork,
            "t2i": control_networks.Adapter,
            "sd3": control_transformers.Sd3ControlNetwork,
            "flux": control_transformers.FluxControlNetwork,
        }
        return classes[plan.kind](loose.weights_at(place), plan, loader)


FAMILY = ControlNetFamily()


def plan_at(path: Path) -> ControlPlan | None:
    """What the file or folder says it is; None where it is no readable control network.

    A folder's ``config.json`` goes before what the shapes of its weights tell.
    """
    plan = plan_of(loose.shapes_at(path))
    if plan is None or not path.is_dir():
        return plan
    try:
        told = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return plan
    if not isinstance(told, dict):
        return plan
    return replace(plan, config={**plan.config, **cast("dict[str, Any]", told)})


def name_of_alien(path: Path) -> str:
    """What a file is that looks like a control network but cannot be built here; empty if nothing of it."""
    return unsupported(loose.shapes_at(path))
