"""Messages as bytes: builtins and the frozen dataclasses of protocol and events, and nothing else.

A message is a length, a JSON head, and the raw bytes that the head refers to. Reading one makes values and
calls nothing but the constructors of those dataclasses.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, cast

from studio import events
from studio.errors import StudioError
from studio.worker import protocol

MAX_BYTES = 512 * 1024 * 1024
MAX_DEPTH = 200
_HEAD = struct.Struct("<I")
_BYTES, _TUPLE, _DICT, _CLASS = "$b", "$t", "$d", "$c"

REQUESTS: tuple[type[Any], ...] = (
    protocol.RunRequest,
    protocol.PlanRequest,
    protocol.CancelRun,
    protocol.FetchPicture,
    protocol.UpgradeRequest,
    protocol.SetDevice,
    protocol.CacheRequest,
    protocol.Quit,
)
REPLIES: tuple[type[Any], ...] = (
    protocol.Hello,
    protocol.Package,
    protocol.EngineReady,
    protocol.Memory,
    protocol.PlanReply,
    protocol.PictureReply,
    protocol.UpgradeReply,
    protocol.CacheReply,
)
EVENTS: tuple[type[Any], ...] = (
    events.RunStarted,
    events.NodeChanged,
    events.Progress,
    events.NodeFailed,
    events.Result,
    events.Saved,
    events.RunFinished,
)


class MessageError(StudioError):
    """Bytes that are no message, or a value that cannot be sent."""


def encode(message: object) -> bytes:
    """Return `message` as bytes.

    Raises:
        MessageError: It is, or holds, something that is not for the wire, or it is too large.
    """
    if type(message) not in _MESSAGES:
        raise MessageError(f"A {type(message).__name__} is no message.")
    writer = _Writer()
    # Surrogates in file names survive as escapes, since the head is ASCII.
    head = json.dumps(writer.plain(message, 0), separators=(",", ":")).encode("ascii")
    size = _HEAD.size + len(head) + writer.size
    if size > MAX_BYTES:
        raise MessageError(f"A message of {size:,} bytes is over the limit of {MAX_BYTES:,}.")
    return b"".join((_HEAD.pack(len(head)), head, *writer.buffers))


def decode(data: bytes) -> object:
    """Return the message that `data` holds: one of `REQUESTS`, `REPLIES` or `EVENTS`.

    Raises:
        MessageError: The bytes are no message of ours; nothing was executed.
    """
    if not _HEAD.size <= len(data) <= MAX_BYTES:
        raise MessageError(f"{len(data):,} bytes are no message.")
    (length,) = _HEAD.unpack_from(data)
    body = _HEAD.size + length
    if body > len(data):
        raise MessageError("A message is cut short.")
    try:
        head = json.loads(data[_HEAD.size : body])
    except (ValueError, RecursionError) as error:
        raise MessageError(f"A message cannot be read: {error}.") from None
    message = _Reader(memoryview(data)[body:]).value(head, 0)
    if type(message) not in _MESSAGES:
        raise MessageError(f"A {type(message).__name__} came where a message was expected.")
    return message


class _Writer:
    """Turns values into what JSON holds, and sets bytes aside."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = []
        self.size = 0

    def plain(self, value: object, depth: int) -> object:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if depth > MAX_DEPTH:
            raise MessageError(f"A message is nested deeper than {MAX_DEPTH} levels.")
        if type(value) is bytes:
            self.buffers.append(value)
            self.size += len(value)
            return {_BYTES: [self.size - len(value), len(value)]}
        if type(value) is list:
            return [self.plain(item, depth + 1) for item in cast("list[object]", value)]
        if isinstance(value, tuple):  # a NamedTuple arrives as the tuple that it is
            return {_TUPLE: [self.plain(item, depth + 1) for item in cast("tuple[object, ...]", value)]}
        if type(value) is dict:
            return self._dict(cast("dict[object, object]", value), depth + 1)
        if type(value) in _FIELDS:
            fields = [self.plain(getattr(value, name), depth + 1) for name in _FIELDS[type(value)]]
            return {_CLASS: type(value).__name__, "f": fields}
        raise MessageError(f"A {type(value).__name__} cannot be sent.")

    def _dict(self, value: dict[object, object], depth: int) -> object:
        for key in value:
            if type(key) is not str:
                raise MessageError(f"A key of type {type(key).__name__} cannot be sent.")
        plain = {key: self.plain(item, depth) for key, item in value.items()}
        if any(cast(str, key).startswith("$") for key in value):
            return {_DICT: plain}
        return plain


class _Reader:
    """Turns what JSON held back into values."""

    def __init__(self, buffers: memoryview) -> None:
        self._buffers = buffers

    def value(self, plain: object, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise MessageError(f"A message is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(plain, list):
            return [self.value(item, depth + 1) for item in cast("list[object]", plain)]
        if not isinstance(plain, dict):
            return plain
        items = cast("dict[str, object]", plain)
        mark = next(iter(items), "")
        if not mark.startswith("$"):
            return {key: self.value(item, depth + 1) for key, item in items.items()}
        return self._marked(mark, items, depth + 1)

    def _marked(self, mark: str, items: dict[str, object], depth: int) -> object:
        content = items[mark]
        if mark == _DICT and isinstance(content, dict) and len(items) == 1:
            inner = cast("dict[str, object]", content)
            return {key: self.value(item, depth) for key, item in inner.items()}
        if mark == _TUPLE and isinstance(content, list) and len(items) == 1:
            return tuple(self.value(item, depth) for item in cast("list[object]", content))
        if mark == _BYTES and isinstance(content, list) and len(items) == 1:
            return self._bytes(cast("list[object]", content))
        if mark == _CLASS and isinstance(content, str) and set(items) == {_CLASS, "f"}:
            return self._instance(content, items["f"], depth)
        raise MessageError("A message holds something that is no value of ours.")

    def _bytes(self, span: list[object]) -> bytes:
        if len(span) == 2:
            start, length = span
            if type(start) is int and type(length) is int and start >= 0 and length >= 0:
                found = bytes(self._buffers[start : start + length])
                if len(found) == length:
                    return found
        raise MessageError("A message refers to bytes that it does not hold.")

    def _instance(self, name: str, plain: object, depth: int) -> object:
        cls = _CLASSES.get(name)
        if cls is None:
            raise MessageError(f"A message holds a “{name[:60]}”, which is not for the wire.")
        fields = _FIELDS[cls]
        if not isinstance(plain, list) or len(cast("list[object]", plain)) != len(fields):
            raise MessageError(f"A {name} has other fields than ours.")
        values: dict[str, object] = {}
        for (field, fits), item in zip(fields.items(), cast("list[object]", plain), strict=True):
            values[field] = self.value(item, depth)
            if not fits(values[field]):
                raise MessageError(f"“{field}” of a {name} is a {type(values[field]).__name__}.")
        return cls(**values)


def _fits(hint: Any) -> Callable[[object], bool]:
    """A check of a value against the annotation of its field, as deep as the annotation goes."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in arguments
    if origin is tuple:
        inside = _fits(arguments[0])
        return lambda value: type(value) is tuple and all(map(inside, cast("tuple[object, ...]", value)))
    if origin is dict:
        held = _fits(arguments[1])
        return lambda value: type(value) is dict and all(map(held, cast("dict[str, object]", value).values()))
    if origin is types.UnionType:
        either = [_fits(argument) for argument in arguments]
        return lambda value: any(fits(value) for fits in either)
    if hint is float:
        return lambda value: type(value) in (int, float)
    if isinstance(hint, type):
        return lambda value: type(value) is hint
    return lambda _value: True  # Json: whatever the reader makes of it


def _fields(cls: type[Any]) -> dict[str, Callable[[object], bool]]:
    hints = typing.get_type_hints(cls)
    return {field.name: _fits(hints[field.name]) for field in dataclasses.fields(cls)}


_MESSAGES: frozenset[type[Any]] = frozenset((*REQUESTS, *REPLIES, *EVENTS))
_CLASSES: dict[str, type[Any]] = {cls.__name__: cls for cls in (*_MESSAGES, events.Picture)}
_FIELDS: dict[type[Any], dict[str, Callable[[object], bool]]] = {
    cls: _fields(cls) for cls in _CLASSES.values()
}
