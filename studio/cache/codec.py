"""Values to and from a JSON tree and raw buffers; what the cache stores and digests.

Stored are None, bool, int, float, str, bytes, lists, tuples, dicts (keys: str, int, bool, bytes), numpy
arrays and scalars of plain numbers, registered dataclasses and named tuples (field by field), and whatever
has a converter to `Raw`. Exact types only: a subclass of int or list may mean more than its value.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from studio.cache import classes
from studio.cache.classes import DTYPE_BYTES, NUMPY, Buffer, Raw, register, register_dataclass, register_late
from studio.cache.decoding import MAX_DEPTH, UnknownNameError, decode
from studio.types import Json

__all__ = [
    "DTYPE_BYTES",
    "Buffer",
    "Encoded",
    "Raw",
    "UnknownNameError",
    "decode",
    "digest",
    "encode",
    "freeze",
    "is_raw",
    "nbytes",
    "register",
    "register_dataclass",
    "register_late",
]

VALUE_BYTES = 64
"""What a value takes beside its content, about."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_LEAVES = (bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as a tree of JSON and the buffers that the tree refers to by index, each once."""

    header: Json
    buffers: list[Buffer]


def encode(value: object) -> Encoded:
    """Return `value` as tree and buffers; contiguous arrays on the CPU are not copied.

    Raises:
        TypeError: It holds something that cannot be stored; the message is a sentence.
    """
    encoder = _Encoder(canonical=False)
    return Encoded(encoder.tree(value), encoder.buffers)


def digest(value: object) -> str:
    """Return 32 hex digits that are equal for equal content, whatever its layout in memory.

    ``1``, ``1.0``, ``True`` and ``"1"`` differ, as do a list and a tuple, and arrays of unlike dtype.

    Raises:
        TypeError: As `encode`.
    """
    encoder = _Encoder(canonical=True)
    tree = json.dumps(encoder.tree(value), separators=(",", ":")).encode()
    hasher = hashlib.blake2b(struct.pack("<Q", len(tree)), digest_size=16)
    hasher.update(tree)
    for buffer in encoder.buffers:
        hasher.update(struct.pack("<Q", len(buffer)))
        hasher.update(buffer)
    return hasher.hexdigest()


def nbytes(value: object) -> int:
    """Return about how many bytes of memory `value` takes; cheap, copies nothing.

    Raises:
        TypeError: It holds something of a class that cannot be stored.
    """
    return sum(VALUE_BYTES + _content_bytes(item) for item in _walk(value))


def freeze(value: object) -> None:
    """Make every numpy array in `value` read-only, as those that `decode` returns are."""
    for item in _walk(value):
        if isinstance(item, np.ndarray):
            item.flags.writeable = False


def is_raw(value: object) -> bool:
    """Whether something in `value` was decoded without its converter."""
    return any(isinstance(item, Raw) for item in _walk(value))


class _Encoder:
    """Builds one tree; with `canonical`, equal dicts give equal trees whatever their order."""

    def __init__(self, *, canonical: bool) -> None:
        self.buffers: list[Buffer] = []
        self._canonical = canonical

    def tree(self, value: object, depth: int = 0) -> Json:
        if depth > MAX_DEPTH:
            raise _too_deep()
        cls = type(value)
        if value is None or cls in (bool, int, float, str):
            return _scalar(cast("bool | int | float | str | None", value))
        if cls is bytes:
            return ["b", self._add(cast("bytes", value))]
        if cls in (list, tuple):
            items = cast("Sequence[object]", value)
            return ["l" if cls is list else "t", *(self.tree(item, depth + 1) for item in items)]
        if cls is dict:
            return self._dict(cast("dict[object, object]", value), depth)
        if cls in classes.record_of:
            return self._record(classes.record_of[cls], value, depth)
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(cast("NDArray[Any] | np.generic", value))
        if isinstance(value, Raw):
            return self._raw(value)
        converter = classes.converter_of(cls)
        if converter is None:
            raise classes.refusal(value)
        return self._raw(converter.to_parts(value))

    def _add(self, data: Buffer) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _dict(self, value: dict[object, object], depth: int) -> Json:
        items = [(_key(key), item) for key, item in value.items()]
        if self._canonical:
            items.sort(key=lambda item: json.dumps(item[0]))
        return ["d", *(part for key, item in items for part in (key, self.tree(item, depth + 1)))]

    def _record(self, record: classes.Record, value: object, depth: int) -> Json:
        tree: list[Json] = ["@", record.name]
        if self._canonical:
            part = cast("Json", getattr(value, "key_part", None))
            if part is not None:
                # A recipe is the same wherever its file lies.
                return [*tree, self.tree(part, depth + 1)]
        for name in record.fields:
            tree += [name, self.tree(getattr(value, name), depth + 1)]
        return tree

    def _array(self, value: NDArray[Any] | np.generic) -> Json:
        _check_array(value)
        name = value.dtype.name
        flat = np.ascontiguousarray(value, dtype=NUMPY[name]).reshape(-1).view(np.uint8)
        kind = "n" if isinstance(value, np.generic) else "a"
        return [kind, name, list(value.shape), self._add(flat.data)]

    def _raw(self, raw: Raw) -> Json:
        return ["r", raw.tag, raw.dtype, list(raw.shape), self._add(raw.data)]


def _scalar(value: bool | int | float | str | None) -> Json:
    if isinstance(value, str):
        # Two lone surrogates in a row would come back from JSON as the one character they spell.
        return ["s", value.encode("utf-8", "surrogatepass").hex()] if _SURROGATE.search(value) else value
    if isinstance(value, float) and not math.isfinite(value):
        return ["f", struct.pack(">d", value).hex()]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return ["i", format(value, "x")]
    return value


def _key(key: object) -> Json:
    if type(key) is bytes:
        return ["h", key.hex()]
    if type(key) in (str, int, bool):
        return _scalar(cast("str | int | bool", key))
    raise TypeError(f"A dict with a key of type {type(key).__qualname__} cannot be stored in the cache.")


def _check_array(value: NDArray[Any] | np.generic) -> None:
    # Subclasses mean more than their bytes: a masked array would lose its mask.
    if isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
        raise classes.refusal(value)
    if value.dtype.name not in NUMPY:
        raise TypeError(
            f"An array of dtype {value.dtype} cannot be stored in the cache; only plain numbers can."
        )


def _too_deep() -> TypeError:
    return TypeError(f"A value nested more than {MAX_DEPTH} deep cannot be stored in the cache.")


def _walk(value: object, depth: int = 0) -> Iterator[object]:
    """Yield `value` and everything in it, refusing what cannot be stored."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    yield value
    cls = type(value)
    inner: Sequence[object] = ()
    if value is None or cls in _LEAVES:
        return
    if cls in (list, tuple):
        inner = cast("Sequence[object]", value)
    elif cls is dict:
        for key in cast("dict[object, object]", value):
            _key(key)
        inner = list(cast("dict[object, object]", value).values())
    elif cls in classes.record_of:
        inner = [getattr(value, name) for name in classes.record_of[cls].fields]
    elif isinstance(value, (np.ndarray, np.generic)):
        _check_array(cast("NDArray[Any] | np.generic", value))
    elif cls is not Raw and classes.converter_of(cls) is None:
        raise classes.refusal(value)
    for item in inner:
        yield from _walk(item, depth + 1)


def _content_bytes(value: object) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Raw):
        return len(value.data)
    return int(getattr(value, "nbytes", 0))
