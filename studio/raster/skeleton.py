"""People as sticks, in the colours that pose networks were trained on (OpenPose, Cao et al. 2017)."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.errors import NodeError
from studio.types import Image, Json

# fmt: off
JOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)
_COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)
# fmt: on
_LIMB_SHARE = 0.6
_MOST_PEOPLE = 200
_SHIFT = 4
_FAR = 16.0
Person = Mapping[str, tuple[float, float]]


def colours() -> list[tuple[int, int, int]]:
    """Of the joints, and of the limbs in their order: every 20 degrees of the colour wheel."""
    wheel = [colorsys.hsv_to_rgb(index / len(JOINTS), 1, 1) for index in range(len(JOINTS))]
    return [(round(red * 255), round(green * 255), round(blue * 255)) for red, green, blue in wheel]


def people_of(value: Json) -> list[Person]:
    """Read people from JSON: a list of objects joint → [x, y] in parts of the sides, or an OpenPose file.

    Raises:
        NodeError: It is neither.
    """
    if isinstance(value, dict) and "people" in value:
        width, height = _number(value.get("canvas_width", 1)), _number(value.get("canvas_height", 1))
        value = value["people"]
    else:
        width = height = 1.0
    if not isinstance(value, list) or len(value) > _MOST_PEOPLE:
        raise _misread(f"a list of up to {_MOST_PEOPLE} people")
    return [_person(item, width or 1, height or 1) for item in value]


def _person(item: Json, width: float, height: float) -> Person:
    if not isinstance(item, dict):
        raise _misread("an object for each person")
    if isinstance(flat := item.get("pose_keypoints_2d"), list):
        return _from_openpose(flat, width, height)
    person: dict[str, tuple[float, float]] = {}
    for joint, place in item.items():
        if joint not in JOINTS:
            raise NodeError(
                f"“{joint}” is no joint of the skeleton.", f"Known: {', '.join(JOINTS)}.", socket="people"
            )
        if place is None:
            continue
        if not isinstance(place, list) or len(place) != 2:
            raise _misread(f"two numbers for “{joint}”")
        person[joint] = (_number(place[0]), _number(place[1]))
    return person


def _from_openpose(flat: list[Json], width: float, height: float) -> Person:
    if len(flat) != 3 * len(JOINTS):
        raise _misread(f"{3 * len(JOINTS)} numbers for each person")
    numbers = [_number(item) for item in flat]
    # Files of OpenPose itself are in pixels; other tools write parts of the sides beside a canvas.
    scale = (1.0, 1.0) if max(numbers) <= 1 else (width, height)
    return {
        joint: (numbers[3 * index] / scale[0], numbers[3 * index + 1] / scale[1])
        for index, joint in enumerate(JOINTS)
        if numbers[3 * index + 2] > 0
    }


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _misread("numbers")
    return float(value)


def _misread(wanted: str) -> NodeError:
    return NodeError(
        f"The skeleton should have {wanted}.",
        'Write [{"nose": [0.5, 0.2], …}, …], places in parts of the picture.',
        socket="people",
    )


def drawn(people: Sequence[Person], width: int, height: int, thickness: float) -> Image:
    """Draw people on black.

    Args:
        people: Joint → place in parts of the sides; joints that are missing are left out, with their limbs.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        thickness: Of half a limb, and of a joint's radius, in pixels.

    Returns:
        ``[1, H, W, 3]``.
    """
    sheet = np.zeros((height, width, 3), np.uint8)
    palette = colours()
    placed = [
        {joint: (_near(x) * width, _near(y) * height) for joint, (x, y) in person.items()}
        for person in people
    ]
    for person in placed:
        for (first, second), colour in zip(_LIMBS, palette, strict=False):
            ends = person.get(JOINTS[first]), person.get(JOINTS[second])
            if ends[0] is not None and ends[1] is not None:
                dark = cast("tuple[int, int, int]", tuple(int(part * _LIMB_SHARE) for part in colour))
                _limb(sheet, ends[0], ends[1], thickness, dark)
    for person in placed:
        for joint, colour in zip(JOINTS, palette, strict=True):
            if joint in person:
                centre = _fixed(person[joint])
                cv2.circle(sheet, centre, round(thickness * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)
    return sheet[None].astype(np.float32) / np.float32(255)


def _limb(
    sheet: NDArray[np.uint8],
    first: tuple[float, float],
    second: tuple[float, float],
    thickness: float,
    colour: tuple[int, int, int],
) -> None:
    """A long ellipse between two joints."""
    middle = _fixed(((first[0] + second[0]) / 2, (first[1] + second[1]) / 2))
    length, angle = math.dist(first, second), math.atan2(second[1] - first[1], second[0] - first[0])
    axes = (max(1, round(length / 2 * 2**_SHIFT)), max(1, round(thickness * 2**_SHIFT)))
    cv2.ellipse(sheet, middle, axes, math.degrees(angle), 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)


def _near(part: float) -> float:
    """A place that may be far off, brought within what OpenCV can count."""
    return min(max(part, -_FAR), _FAR)


def _fixed(place: tuple[float, float]) -> tuple[int, int]:
    """Pixels as OpenCV's whole numbers with a fraction."""
    return round((place[0] - 0.5) * 2**_SHIFT), round((place[1] - 0.5) * 2**_SHIFT)


def from_coco(places: NDArray[np.floating], scores: NDArray[np.floating], least: float) -> Person:
    """A person from the 17 points of COCO; the neck is put between the shoulders.

    Args:
        places: ``[17, 2]``, x and y in parts of the sides.
        scores: ``[17]``; points below `least` are left out.
        least: See `scores`.
    """
    person = {
        joint: (float(x), float(y))
        for joint, (x, y), score in zip(_COCO, places, scores, strict=True)
        if score >= least
    }
    left, right = person.get("left_shoulder"), person.get("right_shoulder")
    if left and right:
        person["neck"] = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
    return person
