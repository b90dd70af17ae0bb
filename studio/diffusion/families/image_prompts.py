"""Networks that look at pictures: image encoders, IP-Adapters, Redux.

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
from studio.models.image_header import VisionPlan, adapter_of, is_face_id, is_redux, vision_of

if TYPE_CHECKING:
    from studio.diffusion.api import Loader
    from studio.types import Recipe

CLIP_VISION, IP_ADAPTER, STYLE_MODEL = "clip_vision", "ip_adapter", "style_model"
Parts = Mapping[str, tuple[str, ...]]


class ClipVisionFamily:
    """Image encoders, as registered."""

    def recognise(self, path: Path) -> Parts | None:
        """Read the header of a file, or of a folder's weights; see `studio.diffusion.api.Family`."""
        plan = vision_at(path)
        return None if plan is None else {plan.kind: ("",)}

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build the network; see `studio.diffusion.api.Family`."""
        from studio.diffusion.pictures.clip_vision import Vision

        plan = vision_at(Path(recipe.path))
        if plan is None:
            raise _gone(recipe)
        return Vision(loose.weights_at(Path(recipe.path)), plan, loader)


class IpAdapterFamily:
    """IP-Adapters, as registered; the parts ``style`` … are the same network, acting in some layers only."""

    def recognise(self, path: Path) -> Parts | None:
        """Read the header of a file; see `studio.diffusion.api.Family`."""
        plan = adapter_of(loose.shapes_at(path))
        return None if plan is None else {plan.kind: ("",)}

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build the network; see `studio.diffusion.api.Family`."""
        from studio.diffusion.pictures.ip_adapter import Adapter, Partial

        if recipe.members:
            return Partial(loader.get(recipe.members[0]), recipe.part)
        path = Path(recipe.path)
        plan = adapter_of(loose.shapes_at(path))
        if plan is None:
            raise _gone(recipe)
        return Adapter(loose.weights_at(path), plan, loader)


class StyleModelFamily:
    """Flux Redux, as registered."""

    def recognise(self, path: Path) -> Parts | None:
        """Read the header of a file, or of a folder's weights; see `studio.diffusion.api.Family`."""
        return {"redux": ("",)} if is_redux(loose.shapes_at(path)) else None

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build the network; see `studio.diffusion.api.Family`."""
        from studio.diffusion.pictures.redux import Redux

        path = Path(recipe.path)
        shapes = loose.shapes_at(path)
        if not is_redux(shapes):
            raise _gone(recipe)
        return Redux(loose.weights_at(path), shapes["redux_up.weight"], loader)


CLIP_VISION_FAMILY = ClipVisionFamily()
IP_ADAPTER_FAMILY = IpAdapterFamily()
STYLE_MODEL_FAMILY = StyleModelFamily()


def vision_at(path: Path) -> VisionPlan | None:
    """What the file or folder says it is; a folder's ``config.json`` goes before what shapes tell."""
    plan = vision_of(loose.shapes_at(path))
    if plan is None or not path.is_dir():
        return plan
    try:
        told = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return plan
    if not isinstance(told, dict):
        return plan
    whole = cast("dict[str, Any]", told)
    # Of a whole CLIP or SigLIP, the part that looks is one of two.
    told_of_vision = whole.get("vision_config", whole)
    return (
        replace(plan, config={**plan.config, **told_of_vision}) if isinstance(told_of_vision, dict) else plan
    )


def name_of_alien(path: Path) -> str:
    """What a file is that is much like an IP-Adapter, but cannot be built here; empty if nothing of it."""
    if not is_face_id(loose.shapes_at(path)):
        return ""
    return "an IP-Adapter FaceID (it needs a recogniser of faces)"


def _gone(recipe: Recipe) -> NodeError:
    return NodeError(f"{recipe.path} is no longer what it was.", "Choose where the model is now.")
