"""Nodes that draw people as sticks, for control networks that follow a pose."""

from __future__ import annotations

from typing import Annotated

from studio.api import Image, Json, Knob, Range, node

STANDING: list[Json] = [
    {
        "nose": [0.5, 0.16],
        "neck": [0.5, 0.26],
        "right_shoulder": [0.42, 0.27],
        "right_elbow": [0.38, 0.4],
        "right_wrist": [0.36, 0.52],
        "left_shoulder": [0.58, 0.27],
        "left_elbow": [0.62, 0.4],
        "left_wrist": [0.64, 0.52],
        "right_hip": [0.45, 0.52],
        "right_knee": [0.44, 0.7],
        "right_ankle": [0.44, 0.88],
        "left_hip": [0.55, 0.52],
        "left_knee": [0.56, 0.7],
        "left_ankle": [0.56, 0.88],
        "right_eye": [0.485, 0.145],
        "left_eye": [0.515, 0.145],
        "right_ear": [0.465, 0.155],
        "left_ear": [0.535, 0.155],
    }
]
"""A person seen from the front, filling a picture."""


@node(
    "pose_skeleton",
    category="Preprocessors",
    shows=True,
    synonyms=("OpenPose", "stick figure", "pose editor"),
)
def pose_skeleton(
    *,
    width: Annotated[int, Range(16, 16384, step=8)] = 512,
    height: Annotated[int, Range(16, 16384, step=8)] = 512,
    people: Annotated[list[Json], Knob("json")] = STANDING,
    thickness: Annotated[float, Range(1, 64, step=0.5)] = 4.0,
) -> Image:
    """Draw people as sticks, from places written by hand or by another tool, in OpenPose's colours.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        people: One object for each person: joint to [x, y] in parts of the picture; or an OpenPose file.
        thickness: Of half a limb in pixels.
    """
    from studio.raster.skeleton import drawn, people_of

    return drawn(people_of(people), width, height, thickness)
