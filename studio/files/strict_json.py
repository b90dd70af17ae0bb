"""JSON from strangers: bytes to values within limits, with a sentence for everything that is odd.

Nothing here raises anything but `FileError`, whatever the bytes are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import cast

from studio.errors import FileError
from studio.types import Json

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
_MAX_DIGITS = 300  # longer whole numbers overflow a float, and Python refuses to read very long ones
# Possessive, and with the closing quote optional, so that hostile text is passed over in linear time.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read(data: bytes, notice: Callable[[str], None], *, max_bytes: int = MAX_BYTES) -> Json:
    """Return the JSON value in `data`; oddities that were put right go to `notice` as sentences.

    Numbers that no workflow can hold (NaN, infinities, more than 300 digits) are kept as the text that
    was written; of a name written twice in one object the last one counts.

    Raises:
        FileError: Too large, empty, cut, nested too deeply, or no JSON.
    """
    if len(data) > max_bytes:
        raise FileError(f"It is larger than {max_bytes // 2**20} MB, too large for a workflow.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"It is not text in UTF-8 (byte {error.start}).", "Is it a workflow at all, and is it whole?"
        ) from None
    if not text.strip():
        raise FileError("It is empty.", "An older version may lie beside it, with ~1 at the end of its name.")
    _check_depth(text)
    value = _parse(text, notice)
    if _SURROGATE_ESCAPE.search(text):
        value = _without_surrogates(value, notice)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise FileError(f"It is nested more than {MAX_DEPTH} levels deep; no workflow is.")


def _parse(text: str, notice: Callable[[str], None]) -> Json:
    def constant(name: str) -> Json:
        notice(f"{name} stands where a number belongs; it is kept as text.")
        return name

    def whole(digits: str) -> Json:
        if len(digits) <= _MAX_DIGITS:
            return int(digits)
        notice(f"A number has {len(digits)} digits; it is kept as text.")
        return digits

    def real(digits: str) -> Json:
        number = float(digits)
        if abs(number) != float("inf"):
            return number
        notice(f"{digits[:40]} is larger than any number a knob takes; it is kept as text.")
        return digits

    def pairs(items: list[tuple[str, Json]]) -> Json:
        found = dict(items)
        if len(found) < len(items):
            seen: set[str] = set()
            for name, _ in items:
                if name in seen:
                    notice(f"“{name[:60]}” is written twice in the same place; the last one counts.")
                seen.add(name)
        return found

    decoder = json.JSONDecoder(
        parse_constant=constant, parse_int=whole, parse_float=real, object_pairs_hook=pairs
    )
    try:
        return cast("Json", decoder.decode(text))
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise FileError(
                f"It ends in the middle (line {error.lineno}); the rest is missing.",
                "An older version may lie beside it, with ~1 at the end of its name.",
            ) from None
        raise FileError(
            f"It is no JSON: line {error.lineno}, column {error.colno} cannot be read.",
            "An older version may lie beside it, with ~1 at the end of its name.",
        ) from None


def _without_surrogates(value: Json, notice: Callable[[str], None]) -> Json:
    """Half characters cannot be written as UTF-8, shown or hashed; the depth is bounded by now."""
    if isinstance(value, str):
        if not _SURROGATE.search(value):
            return value
        notice("A text holds half a character; it is shown as “\ufffd”.")
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item, notice) for item in value]
    if isinstance(value, dict):
        return {
            cast("str", _without_surrogates(name, notice)): _without_surrogates(item, notice)
            for name, item in value.items()
        }
    return value
