from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import FileError
from studio.files import strict_json
from tests.studio.contents import json_values


def read(data: bytes) -> tuple[object, list[str]]:
    notices: list[str] = []
    return strict_json.read(data, notices.append), notices


@settings(max_examples=60, deadline=None)
@given(json_values)
def test_ordinary_json_is_read_as_it_is(value: object) -> None:
    assert read(json.dumps(value).encode()) == (value, [])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b"\x00" * 30, "no JSON"),
        (b'{"a": 1', "ends in the middle"),
        (b'{"a": "b', "ends in the middle"),
        (b'{"a": "b\n", "c"', "no JSON: line 1"),
        (b'{"a" 1}', "column 6"),
        (b"{} {}", "no JSON"),
        (b"{'a': 1}", "no JSON"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
    ],
)
def test_what_is_no_json_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(FileError, match=sentence):
        read(data)


def test_brackets_in_texts_are_no_nesting() -> None:
    value = {"text": '[{"' * 5000, "other": "\\" * 99 + '"['}
    assert read(json.dumps(value).encode())[0] == value


def test_escaped_quotes_without_an_end_take_no_quadratic_time() -> None:
    with pytest.raises(FileError):
        read(b'{"a": "' + b'\\"' * 400_000)


def test_more_bytes_than_the_limit_are_refused() -> None:
    with pytest.raises(FileError, match="too large"):
        strict_json.read(b"[1, 2, 3]", print, max_bytes=8)


def test_a_byte_order_mark_is_no_part_of_the_value() -> None:
    assert read(b"\xef\xbb\xbf{}") == ({}, [])


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "1e999"),
        (b"[" + b"9" * 5000 + b"]", "9" * 5000),
    ],
)
def test_numbers_that_no_knob_can_hold_are_kept_as_text_and_told(data: bytes, kept: str) -> None:
    value, notices = read(data)
    assert value == [kept]
    assert len(notices) == 1


def test_a_number_as_large_as_a_seed_is_exact() -> None:
    assert read(b"[18446744073709551615]") == ([2**64 - 1], [])


def test_a_name_written_twice_is_told_and_the_last_counts() -> None:
    value, notices = read(b'{"a": 1, "b": 2, "a": 3}')
    assert value == {"a": 3, "b": 2}
    assert len(notices) == 1
    assert "“a”" in notices[0]


def test_half_characters_are_replaced_and_told() -> None:
    value, notices = read(b'{"a\\ud800": ["\\udc00x"], "smile": "\\ud83d\\ude00"}')
    assert value == {"a\ufffd": ["\ufffdx"], "smile": "😀"}
    assert len(notices) == 2


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40) | st.text('[]{}",:\\0129aeNulI -u', max_size=40).map(str.encode))
def test_random_bytes_raise_nothing_but_file_errors(data: bytes) -> None:
    try:
        value = read(data)[0]
    except FileError:
        return
    json.dumps(value, allow_nan=False).encode()
