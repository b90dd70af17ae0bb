"""Nodes that read pictures with networks of the user's: depth, pose, what is where."""

from __future__ import annotations

import json
from typing import Annotated, NamedTuple

import numpy as np

from studio.api import Context, Extension, File, Image, Json, Knob, Mask, NodeError, Range, node

Folder = Annotated[str, File(content="model", folder=True)]
WHOLE: list[Json] = [[0.0, 0.0, 1.0, 1.0]]

annotator = Extension(
    "family",
    "annotator",
    "studio.diffusion.families.annotator:FAMILY",
    "Networks of transformers that read pictures: DPT, Depth Anything, ViTPose, Segformer, UperNet.",
)


class Pose(NamedTuple):
    """People as sticks.

    Attributes:
        image: The sticks on black, in OpenPose's colours.
        text: Their joints as JSON, to be changed by hand in a Pose skeleton node.
    """

    image: Image
    text: str


class Segments(NamedTuple):
    """What is where in a picture.

    Attributes:
        image: A colour for each kind of thing.
        mask: 1 where one of the chosen things is.
        text: What was found, and how much of the picture it takes.
    """

    image: Image
    mask: Mask
    text: str


@node(
    "depth_map",
    category="Preprocessors",
    device=True,
    shows=True,
    synonyms=("MiDaS-DepthMapPreprocessor", "DepthAnythingPreprocessor", "depth", "DPT", "MiDaS"),
)
def depth_map(ctx: Context, image: Image, *, folder: Folder = "", inverted: bool = False) -> Image:
    """Tell how near things are: white is nearest. Needs a depth model for the library transformers.

    Args:
        image: Picture to read.
        folder: Folder of the model: DPT or Depth Anything.
        inverted: Turn near and far round, for models that give distances in metres.
    """
    from studio.diffusion.families.annotator import recipe_of
    from studio.diffusion.pictures.annotators import nearness

    return nearness(ctx, recipe_of(folder, "depth"), image, inverted=inverted)


@node(
    "detect_pose",
    category="Preprocessors",
    device=True,
    shows=True,
    synonyms=("OpenposePreprocessor", "DWPreprocessor", "OpenPose", "ViTPose", "skeleton"),
)
def detect_pose(
    ctx: Context,
    image: Image,
    *,
    folder: Folder = "",
    boxes: Annotated[list[Json], Knob("json")] = WHOLE,
    certainty: Annotated[float, Range(0, 1, step=0.05)] = 0.3,
    thickness: Annotated[float, Range(1, 64, step=0.5)] = 4.0,
) -> Pose:
    """Find the joints of people and draw them as sticks. Needs ViTPose for the library transformers.

    Args:
        image: Picture to read; of a batch, the first.
        folder: Folder of the model.
        boxes: Where people are: [left, top, width, height] of each in parts of the picture.
        certainty: Joints the model is less sure of are left out.
        thickness: Of half a limb in pixels.
    """
    from studio.diffusion.families.annotator import recipe_of
    from studio.diffusion.pictures.annotators import joints
    from studio.raster.skeleton import drawn, from_coco

    found = joints(ctx, recipe_of(folder, "pose"), image[0, ..., :3], _boxes(boxes))
    people = [from_coco(places, scores, certainty) for places, scores in found]
    text = json.dumps(
        [{joint: [round(x, 4), round(y, 4)] for joint, (x, y) in one.items()} for one in people]
    )
    return Pose(drawn(people, image.shape[2], image.shape[1], thickness), text)


def _boxes(value: list[Json]) -> list[tuple[float, float, float, float]]:
    found: list[tuple[float, float, float, float]] = []
    for item in value:
        match item:
            case [int() | float(), int() | float(), int() | float(), int() | float()]:
                left, top, width, height = (float(part) for part in item if isinstance(part, int | float))
                if -8 < left < 8 and -8 < top < 8 and 0 < width < 16 and 0 < height < 16:
                    found.append((left, top, width, height))
                    continue
            case _:
                pass
        raise NodeError(
            f"{item!r:.60} is no box.", "Write [[0, 0, 1, 1]] for the whole picture.", socket="boxes"
        )
    if not found:
        raise NodeError("There is no box.", "Write [[0, 0, 1, 1]] for the whole picture.", socket="boxes")
    return found


@node(
    "segment_image",
    category="Preprocessors",
    device=True,
    shows=True,
    synonyms=(
        "OneFormer-ADE20K-SemSegPreprocessor",
        "UniFormer",
        "segmentation",
        "seg",
        "Segformer",
        "UperNet",
    ),
)
def segment_image(ctx: Context, image: Image, *, folder: Folder = "", things: str = "") -> Segments:
    """Tell what is where, in a colour for each kind of thing. Needs a segmentation model for transformers.

    Args:
        image: Picture to read.
        folder: Folder of the model: Segformer or UperNet.
        things: What the mask marks, with commas between, such as: sky, tree.
    """
    from studio.diffusion.families.annotator import recipe_of
    from studio.diffusion.pictures.annotators import numbers_at
    from studio.raster.palette import palette
    from studio.raster.segments import chosen, found_in

    numbers, labels = numbers_at(ctx, recipe_of(folder, "segmentation"), image)
    wanted = chosen(things, labels)
    mask = np.isin(numbers, wanted).astype(np.float32)
    return Segments(palette(max(labels) + 1)[numbers], mask, found_in(numbers, labels))
