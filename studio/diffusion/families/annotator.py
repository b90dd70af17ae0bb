"""Networks of transformers that read pictures: depth, pose, what is where. From a folder the user has.

Recognising needs no torch; it is imported where networks are built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from studio.errors import NodeError
from studio.files_named import resolve
from studio.models.identity import combined
from studio.types import Recipe

if TYPE_CHECKING:
    from studio.diffusion.api import Loader
    from studio.diffusion.pictures.annotators import Annotator

Task = Literal["depth", "pose", "segmentation"]
FAMILY_NAME = "annotator"
MODELS: Mapping[str, tuple[Task, str]] = {
    "dpt": ("depth", "DPTForDepthEstimation"),
    "depth_anything": ("depth", "DepthAnythingForDepthEstimation"),
    "vitpose": ("pose", "VitPoseForPoseEstimation"),
    "segformer": ("segmentation", "SegformerForSemanticSegmentation"),
    "upernet": ("segmentation", "UperNetForSemanticSegmentation"),
}
"""Type in the configuration → what it does, and its class in transformers."""
_WANTED: Mapping[Task, str] = {
    "depth": "a depth model (DPT, Depth Anything)",
    "pose": "a pose model (ViTPose)",
    "segmentation": "a segmentation model (Segformer, UperNet)",
}
_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


class AnnotatorFamily:
    """The family, as registered."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read config.json; see `studio.diffusion.api.Family`."""
        kind = kind_at(path)
        return None if kind is None else {MODELS[kind][0]: _FILES}

    def load(self, recipe: Recipe, loader: Loader) -> Annotator:
        """Build the network; see `studio.diffusion.api.Family`."""
        from studio.diffusion.pictures.annotators import Annotator

        path = Path(recipe.path)
        kind = kind_at(path)
        if kind is None:
            raise NodeError(f"{path} is no such model any more.", "Choose where the model is now.")
        return Annotator(path, kind, loader)


FAMILY = AnnotatorFamily()


def kind_at(path: Path) -> str | None:
    """Type of the model in a folder, of those known here; None for anything else."""
    found = configuration(path / "config.json")
    kind, classes = found.get("model_type"), found.get("architectures")
    if not isinstance(kind, str) or kind not in MODELS or not isinstance(classes, list):
        return None
    return kind if MODELS[kind][1] in classes else None


def configuration(path: Path) -> dict[str, Any]:
    """An object from a JSON file; empty where there is none."""
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def recipe_of(folder: str, task: Task) -> Recipe:
    """Recipe of the model in a folder, for a task.

    Raises:
        NodeError: There is no such model, or it has no weights in safetensors.
        FileError: A file of it is cut short.
    """
    place = resolve(folder, None)
    kind = kind_at(place) if folder else None
    if kind is None or MODELS[kind][0] != task:
        raise NodeError(
            f"There is no {_WANTED[task].removeprefix('a ')} in {place}."
            if folder
            else "No model is chosen.",
            f"Choose the folder of {_WANTED[task]} for the library transformers: config.json is in it.",
            socket="folder",
        )
    if not (place / "model.safetensors").is_file():
        raise NodeError(
            f"There is no model.safetensors in {place}.",
            "Download the model's safetensors file into the same folder.",
            socket="folder",
        )
    return Recipe(str(place), combined(place, _FILES), task, FAMILY_NAME)
