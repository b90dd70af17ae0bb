from __future__ import annotations

import numpy as np
import pytest

from nodes.pose import STANDING
from studio.errors import NodeError
from studio.raster.skeleton import JOINTS, colours, drawn, from_coco, people_of


def test_colours_are_those_the_networks_know() -> None:
    known = colours()
    assert known[:5] == [(255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0)]
    assert known[-3:] == [(255, 0, 255), (255, 0, 170), (255, 0, 85)]


def test_joints_are_drawn_where_they_are_and_in_their_colours() -> None:
    picture = drawn(people_of(STANDING), 256, 512, 4)
    assert picture.shape == (1, 512, 256, 3)
    for joint, colour in zip(JOINTS, colours(), strict=True):
        x, y = STANDING[0][joint]  # type: ignore[index, call-overload]
        assert picture[0, int(y * 512), int(x * 256)] == pytest.approx(np.array(colour) / 255, abs=0.01)


def test_limbs_are_darker_than_joints_and_need_both_ends() -> None:
    arm = [{"left_elbow": [0.25, 0.5], "left_wrist": [0.75, 0.5]}]
    middle = drawn(people_of(arm), 128, 128, 4)[0, 64, 64]
    assert middle == pytest.approx(np.array([int(85 * 0.6), int(255 * 0.6), 0]) / 255, abs=0.01)
    alone = drawn(people_of([{"left_elbow": [0.25, 0.5], "left_wrist": None}]), 128, 128, 4)
    assert np.count_nonzero(alone[0].max(-1)) < 100


def test_nobody_is_black() -> None:
    assert drawn([], 8, 16, 4).max() == 0


def test_places_beside_the_picture_are_no_trouble() -> None:
    far = [{"nose": [1e30, -1e30], "neck": [-3.0, 0.5]}]
    assert drawn(people_of(far), 64, 64, 4).shape == (1, 64, 64, 3)


def test_files_of_openpose_are_read() -> None:
    flat = [0.0] * 54
    flat[0:3] = [128.0, 64.0, 0.9]
    flat[3:6] = [100.0, 50.0, 0.0]
    found = people_of({"canvas_width": 256, "canvas_height": 256, "people": [{"pose_keypoints_2d": flat}]})
    assert found == [{"nose": (0.5, 0.25)}]
    parts = [number / 256 if index % 3 < 2 else number for index, number in enumerate(flat)]
    again = people_of({"canvas_width": 256, "canvas_height": 256, "people": [{"pose_keypoints_2d": parts}]})
    assert again == found


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("x", "a list of up to"),
        ([3], "an object for each person"),
        ([{"tail": [0, 0]}], "“tail” is no joint"),
        ([{"nose": [0]}], "two numbers for “nose”"),
        ([{"nose": [0, "a"]}], "should have numbers"),
        ([{"nose": [0, float("nan")]}], "should have numbers"),
        ([{"pose_keypoints_2d": [1, 2, 3]}], "54 numbers"),
        ([{}] * 201, "up to 200 people"),
    ],
)
def test_what_is_no_skeleton_is_told(value: object, sentence: str) -> None:
    with pytest.raises(NodeError, match=sentence) as caught:
        people_of(value)  # type: ignore[arg-type]
    assert caught.value.socket == "people"


def test_points_of_coco_become_a_skeleton_with_a_neck() -> None:
    places = np.stack([np.arange(17) / 20, np.arange(17) / 40], 1)
    scores = np.ones(17)
    scores[3] = 0.1
    person = from_coco(places, scores, 0.3)
    assert set(person) == set(JOINTS) - {"left_ear"}
    assert person["left_shoulder"] == pytest.approx((0.25, 0.125))
    assert person["right_ankle"] == pytest.approx((0.8, 0.4))
    assert person["neck"] == pytest.approx((0.275, 0.1375))
