"""A loaded network that reads pictures, and what is asked of it: nearness, joints, what is where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from studio.diffusion.families.annotator import MODELS, configuration
from studio.diffusion.files import loading
from studio.diffusion.tensors import borrow
from studio.errors import NodeError
from studio.files.resample import resize
from studio.models.header import read_header
from studio.raster.heatmaps import Box, crop_for, joints_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from studio.context import Context
    from studio.diffusion.api import Check, Loader
    from studio.types import Image, Recipe

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_USUAL_PX = {"dpt": (384, 384), "depth_anything": (518, 518), "vitpose": (256, 192)}
_MOST_PX = 4096
_ROOM = 1.2


class Annotator:
    """See `studio.diffusion.api.Network`. It computes in float32: a picture is read once.

    Attributes:
        size_px: Height and width of the pictures it was trained on.
        labels: Number → what it stands for, of a network that tells what is where.
    """

    def __init__(self, path: Path, kind: str, loader: Loader) -> None:
        self.check: Check = loader.check
        library = loading.imported(f"transformers.models.{kind}.modeling_{kind}", loader.check)
        network = _built(getattr(library, MODELS[kind][1]), path)
        self.modules = {"annotator": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"annotator": dict(network.state_dict())}
        network.to(loader.place.device).requires_grad_(False).eval()
        self.nbytes = loading.nbytes(network)
        blocks = {type(item).__name__ for item in network.modules() if type(item).__name__.endswith("Layer")}
        loading.stop_inside(network, tuple(blocks), lambda: self.check())
        config: Any = network.config
        self.labels: dict[int, str] = {int(key): str(name) for key, name in config.id2label.items()}
        self._settings = configuration(path / "preprocessor_config.json")
        self.size_px = _size(self._settings, _USUAL_PX.get(kind, (512, 512)))
        self._keep = bool(self._settings.get("keep_aspect_ratio", kind == "depth_anything"))
        self._multiple = int(self._settings.get("ensure_multiple_of", 14 if kind == "depth_anything" else 1))
        backbone: Any = getattr(config, "backbone_config", None)
        self._experts = int(getattr(backbone, "num_experts", 1) or 1)

    def read(self, picture: NDArray[np.float32]) -> torch.Tensor:
        """Read one picture ``[H, W, 3]``, resized as the network wants it: ``[1, …, h, w]`` on the CPU."""
        height, width = self._fitted(*picture.shape[:2])
        method = _RESAMPLING.get(int(self._settings.get("resample", 2)), "bilinear")
        return self._run(resize(picture[None], width, height, "stretch", method))

    def heatmaps(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where joints may be in crops ``[N, H, W, 3]`` of `size_px`: ``[N, joints, h, w]``."""
        return cast("NDArray[np.float32]", self._run(crops).numpy())

    def _run(self, pictures: NDArray[np.float32]) -> torch.Tensor:
        mean = np.array(self._settings.get("image_mean") or _MEAN, np.float32)
        deviation = np.array(self._settings.get("image_std") or _DEVIATION, np.float32)
        network = self.modules["annotator"]
        planes = borrow((pictures - mean) / deviation).permute(0, 3, 1, 2)
        more: dict[str, Any] = {}
        device = next(network.parameters()).device
        if self._experts > 1:
            more["dataset_index"] = torch.zeros(len(planes), dtype=torch.long, device=device)
        given: Any = network(pixel_values=planes.contiguous().to(device), **more)
        # Each kind of network has one of these, and nothing else that could be meant.
        for name in ("predicted_depth", "heatmaps", "logits"):
            if name in given:
                return given[name].float().cpu()
        raise NodeError("The model gave nothing that is understood here.", "Choose another model.")

    def _fitted(self, height: int, width: int) -> tuple[int, int]:
        """Size a picture is brought to: as trained on, or with its proportions and changed least."""
        rows, columns = self.size_px
        if self._keep:
            scales = (rows / height, columns / width)
            scale = min(scales, key=lambda item: abs(1 - item))
            rows, columns = round(height * scale), round(width * scale)
        step = max(1, self._multiple)
        rows, columns = (max(step, min(_MOST_PX, round(side / step) * step)) for side in (rows, columns))
        return rows, columns


def _built(made: Any, path: Path) -> torch.nn.Module:
    """Build a network of transformers from its folder, after its sizes were compared with its file's."""
    from transformers.utils import logging

    places = read_header(path / "model.safetensors").tensors.values()
    there = sum(int(np.prod(place.shape, dtype=np.int64)) for place in places)
    logging.disable_progress_bar()
    try:
        config = made.config_class.from_pretrained(path, local_files_only=True)
        with torch.device("meta"):
            wanted = sum(item.numel() for item in made(config).parameters())
        if wanted > there * _ROOM:
            raise ValueError(f"its configuration wants {wanted:,} numbers, the file has {there:,}")
        network, told = made.from_pretrained(
            path,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        raise NodeError(
            f"The model in {path} cannot be built: {error}.".replace("..", "."),
            "Download it again, or choose another.",
        ) from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise NodeError(
            f"{path.name} is not whole: {len(missing)} tensors are missing, {missing[0]} first.",
            "Download the model again, or choose another.",
        )
    return network


def _size(settings: Mapping[str, Any], usual: tuple[int, int]) -> tuple[int, int]:
    """Height and width from a preprocessor's configuration."""
    size: Any = settings.get("size", usual)
    match size:
        case int():
            sides = (size, size)
        case {"height": int(height), "width": int(width)}:
            sides = (height, width)
        case {"shortest_edge": int(side)}:
            sides = (side, side)
        case _:
            sides = usual
    return max(1, min(_MOST_PX, sides[0])), max(1, min(_MOST_PX, sides[1]))


def nearness(ctx: Context, recipe: Recipe, image: Image, *, inverted: bool) -> Image:
    """How near things are, of each picture by itself from 0 (farthest) to 1 (nearest).

    Args:
        ctx: The call's context; looked at between blocks.
        recipe: Of a depth model.
        image: ``[N, H, W, 3 or 4]``.
        inverted: The model gives distances instead of nearness.
    """
    pictures: list[NDArray[np.float32]] = []
    with ctx.weights.use(ctx, recipe) as network, torch.inference_mode():
        for index, picture in enumerate(image[..., :3]):
            ctx.progress(index, len(image))
            found = network.read(picture)[:, None]
            plane = interpolate(found, picture.shape[:2], mode="bicubic", align_corners=False)[0, 0]
            low, high = torch.aminmax(plane)
            part = (plane - low) / (high - low).clamp(min=1e-9)
            pictures.append((1 - part if inverted else part).clamp(0, 1).numpy())
    return np.repeat(np.stack(pictures)[..., None], 3, axis=3)


def joints(
    ctx: Context, recipe: Recipe, picture: NDArray[np.float32], boxes: Sequence[Box]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Where the 17 joints of COCO are, of the person in each box.

    Args:
        ctx: The call's context; looked at between blocks.
        recipe: Of a pose model.
        picture: ``[H, W, 3]``.
        boxes: Left, top, width and height in parts of the sides.

    Returns:
        For each box: places ``[17, 2]`` in parts of the sides, and how sure they are ``[17]``.
    """
    with ctx.weights.use(ctx, recipe) as network, torch.inference_mode():
        crops = [crop_for(picture, box, network.size_px) for box in boxes]
        maps = network.heatmaps(np.stack([crop for crop, _ in crops]))
    height, width = picture.shape[:2]
    return [joints_of(planes, area, (width, height)) for planes, (_, area) in zip(maps, crops, strict=True)]


def numbers_at(ctx: Context, recipe: Recipe, image: Image) -> tuple[NDArray[np.int64], dict[int, str]]:
    """What each pixel shows, by number ``[N, H, W]``, and what the numbers stand for."""
    found: list[NDArray[np.int64]] = []
    with ctx.weights.use(ctx, recipe) as network, torch.inference_mode():
        for index, picture in enumerate(image[..., :3]):
            ctx.progress(index, len(image))
            scores = interpolate(
                network.read(picture), picture.shape[:2], mode="bilinear", align_corners=False
            )
            found.append(scores[0].argmax(0).numpy())
        labels = dict(network.labels)
    return np.stack(found), labels
