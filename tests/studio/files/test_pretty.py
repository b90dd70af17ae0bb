from __future__ import annotations

import json

from hypothesis import given, settings

from studio.files import pretty
from studio.types import Json
from tests.studio.contents import json_values


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_what_is_written_is_json_of_the_same_value(value: Json) -> None:
    assert json.loads(pretty.dumps(value)) == value


def test_small_objects_stand_on_one_line_and_large_ones_on_many() -> None:
    small: Json = {"seed": 1, "pos": [0, 1]}
    large: Json = {f"knob_{number}": "some text" for number in range(9)}
    assert pretty.dumps(small) == b'{"seed": 1, "pos": [0, 1]}\n'
    assert pretty.dumps(large).count(b"\n") == 11


def test_one_changed_knob_is_one_changed_line() -> None:
    def node(seed: int) -> Json:
        return {"nodes": {"k_sampler": {"type": "core/k_sampler", "params": {"seed": seed}, "pos": [0, 0]}}}

    before, after = pretty.dumps(node(1)).splitlines(), pretty.dumps(node(2)).splitlines()
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_letters_of_every_script_stay_readable() -> None:
    assert pretty.dumps("写真 ✓") == '"写真 ✓"\n'.encode()


def test_half_a_character_and_no_number_still_give_json() -> None:
    assert json.loads(pretty.dumps(["\ud800", float("nan")])) == ["\ud800", "nan"]
