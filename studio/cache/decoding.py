"""Trees and buffers back to values, trusting nothing that was read."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from studio.cache import classes
from studio.cache.classes import DTYPE_BYTES, NUMPY, Buffer, Raw
from studio.types import Json

MAX_DEPTH = 64
MAX_DIMENSIONS = 32


class UnknownNameError(ValueError):
    """A stored value is of a class that no installed package registered; the bytes may be sound."""


def decode(header: Json, buffers: Sequence[Buffer]) -> object:
    """Return the value of a tree and its buffers; arrays are read-only views of the buffers.

    Raises:
        UnknownNameError: A class in it is not registered here.
        ValueError: The tree is none of ours, or does not fit the buffers.
    """
    return _Decoder(buffers).value(header)


class _Decoder:
    """Reads one tree. Every buffer is used once at most, so nothing outgrows what was stored."""

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self._buffers: list[Buffer | None] = list(buffers)

    def value(self, tree: Json, depth: int = 0) -> object:
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        if isinstance(tree, dict):
            raise ValueError("an object where a value was expected")
        if not isinstance(tree, list):
            return tree
        match tree:
            case ["l", *items]:
                return [self.value(item, depth + 1) for item in items]
            case ["t", *items]:
                return tuple(self.value(item, depth + 1) for item in items)
            case ["d", *items]:
                return self._dict(items, depth)
            case ["@", str(name), *items]:
                return self._record(name, items, depth)
            case ["b", index]:
                return bytes(self._take(index))
            case ["a" | "n" as kind, str(name), shape, index]:
                return self._array(kind, name, _shape(shape), index)
            case ["r", str(tag), str(dtype), shape, index]:
                return self._raw(tag, dtype, _shape(shape), index)
            case [str(kind), str(digits)]:
                return _spelled(kind, digits)
            case _:
                raise ValueError("no value of this kind is known")

    def _take(self, index: Json) -> Buffer:
        if type(index) is not int or not 0 <= index < len(self._buffers):
            raise ValueError("a buffer is missing")
        buffer = self._buffers[index]
        if buffer is None:
            raise ValueError("a buffer is used twice")
        self._buffers[index] = None
        return buffer

    def _dict(self, items: list[Json], depth: int) -> dict[object, object]:
        if len(items) % 2:
            raise ValueError("a key without a value")
        result: dict[object, object] = {}
        for key, item in zip(items[::2], items[1::2], strict=True):
            name = self.value(key, depth + 1)
            if not isinstance(name, (str, int, bytes)) or name in result:
                raise ValueError("a key that cannot be one")
            result[name] = self.value(item, depth + 1)
        return result

    def _record(self, name: str, items: list[Json], depth: int) -> object:
        record = classes.records.get(name)
        if record is None:
            raise UnknownNameError(f"no installed package knows “{name}”")
        fields = self._dict(items, depth)
        if tuple(fields) != record.fields:
            raise ValueError(f"“{name}” had other fields when this was stored")
        try:
            return record.cls(**{str(field): value for field, value in fields.items()})
        except Exception as error:
            # A plug-in's own checks met fields from a file; whatever they raise, it is a miss.
            raise ValueError(f"“{name}” refused its fields") from error

    def _array(self, kind: str, name: str, shape: tuple[int, ...], index: Json) -> object:
        if name not in NUMPY or (kind == "n" and shape):
            raise ValueError("an array of unknown kind")
        buffer = self._take(index)
        _check_size(buffer, shape, name)
        array = np.frombuffer(buffer, dtype=NUMPY[name]).reshape(shape)
        array.flags.writeable = False
        return array if kind == "a" else array[()]

    def _raw(self, tag: str, dtype: str, shape: tuple[int, ...], index: Json) -> object:
        buffer = self._take(index)
        _check_size(buffer, shape, dtype)
        raw = Raw(tag, dtype, shape, buffer)
        converter = classes.converter_for(tag)
        if converter is None:
            return raw
        try:
            return converter.from_parts(raw)
        except Exception as error:
            # As above: a converter met bytes from a file.
            raise ValueError(f"“{tag}” refused its bytes") from error


def _spelled(kind: str, digits: str) -> object:
    """Return a scalar that JSON has no form for, from its hex digits."""
    match kind:
        case "i":
            return int(digits, 16)
        case "f" if len(digits) == 16:
            return float(struct.unpack(">d", bytes.fromhex(digits))[0])
        case "s":
            return bytes.fromhex(digits).decode("utf-8", "surrogatepass")
        case "h":
            return bytes.fromhex(digits)
        case _:
            raise ValueError("no value of this kind is known")


def _shape(shape: Json) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise ValueError("a shape that cannot be one")
    sizes = tuple(size for size in shape if type(size) is int and 0 <= size < 2**48)
    # An empty array holds no bytes, whatever its other sides; they too must stay within what numpy counts.
    if len(sizes) != len(shape) or math.prod(size or 1 for size in sizes) >= 2**58:
        raise ValueError("a shape that cannot be one")
    return sizes


def _check_size(buffer: Buffer, shape: tuple[int, ...], dtype: str) -> None:
    if dtype not in DTYPE_BYTES or math.prod(shape) * DTYPE_BYTES[dtype] != len(buffer):
        raise ValueError("a buffer of another size than its shape and dtype say")
