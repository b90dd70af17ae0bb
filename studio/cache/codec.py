"""Values to and from a JSON tree and raw buffers; what the cache stores and digests.

Stored are None, bool, int, float, str, bytes, lists, tuples, dicts, numpy arrays and scalars of plain
numbers, registered dataclasses and named tuples (field by field), and whatever has a converter to `Raw`.
Decoding trusts nothing: it looks names up, calls constructors of registered classes, and raises
`ValueError` for everything else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from studio import types
from studio.types import Json

Buffer = bytes | memoryview
T = TypeVar("T")

MAX_DEPTH = 64
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMPY_NAMES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
)
_NUMPY = {name: np.dtype(name).newbyteorder("<") for name in _NUMPY_NAMES.split()}
DTYPE_BYTES: dict[str, int] = {
    **{name: dtype.itemsize for name, dtype in _NUMPY.items()},
    "bfloat16": 2,
    "complex32": 4,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1,
}
"""Bytes of one element, by dtype tag; the tags are torch's and numpy's names."""


class UnknownNameError(ValueError):
    """A stored value is of a class that no installed package registered; the bytes may be sound."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An array as its bytes: what a converter gives and takes, and what is decoded where it is missing.

    Attributes:
        tag: Which converter it belongs to (``tensor``).
        dtype: A key of `DTYPE_BYTES`.
        shape: Sizes, outermost first.
        data: The elements, C order, little-endian.
    """

    tag: str
    dtype: str
    shape: tuple[int, ...]
    data: Buffer


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as a tree of JSON and the buffers that the tree refers to by index, each once."""

    header: Json
    buffers: list[Buffer]


@dataclass(frozen=True, slots=True)
class _Converter:
    tag: str
    cls: type[Any]
    to_parts: Callable[[Any], Raw]
    from_parts: Callable[[Raw], object]


@dataclass(frozen=True, slots=True)
class _Record:
    """A class stored field by field."""

    name: str
    cls: type[Any]
    fields: tuple[str, ...]


_converters: dict[str, _Converter] = {}
_records: dict[str, _Record] = {}
_record_of: dict[type[Any], _Record] = {}


def register(tag: str, cls: type[T], to_parts: Callable[[T], Raw], from_parts: Callable[[Raw], T]) -> None:
    """Store `cls` and its subclasses as `Raw` under `tag`; a second registration replaces the first."""
    _converters[tag] = _Converter(tag, cls, to_parts, from_parts)


def register_dataclass(cls: type[Any]) -> None:
    """Store a dataclass or named tuple field by field, under its wire's name, else its module and name.

    Raises:
        TypeError: `cls` is neither.
    """
    if dataclasses.is_dataclass(cls):
        fields = tuple(field.name for field in dataclasses.fields(cls) if field.init)
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        fields = tuple(cast("Iterable[str]", getattr(cls, "_fields")))  # noqa: B009 - unknown to the type
    else:
        raise TypeError(
            f"{cls.__qualname__} is neither a dataclass nor a named tuple, so it cannot be stored."
        )
    marked = cls.__dict__.get("__wire__")
    name = marked.name if isinstance(marked, types.WireType) else f"{cls.__module__}.{cls.__qualname__}"
    _records[name] = _record_of[cls] = _Record(name, cls, fields)


def _converter_of(cls: type[Any]) -> _Converter | None:
    for converter in _converters.values():
        if issubclass(cls, converter.cls):
            return converter
    return None


def _refusal(value: object) -> TypeError:
    cls = type(value)
    hint = " Register it with studio.cache.codec.register_dataclass." if dataclasses.is_dataclass(cls) else ""
    return TypeError(
        f"A value of type {cls.__module__}.{cls.__qualname__} cannot be stored in the cache.{hint}"
    )


def _check_array(value: NDArray[Any]) -> None:
    if value.dtype.name not in _NUMPY:
        raise TypeError(
            f"An array of dtype {value.dtype} cannot be stored in the cache; only plain numbers can."
        )


def _flat(array: NDArray[Any]) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8))


class _Encoder:
    """Builds one tree; with `canonical`, equal dicts give equal trees whatever their order."""

    def __init__(self, *, canonical: bool) -> None:
        self.buffers: list[Buffer] = []
        self._canonical = canonical

    def tree(self, value: object, depth: int = 0) -> Json:
        if depth > MAX_DEPTH:
            raise TypeError(f"A value nested more than {MAX_DEPTH} deep cannot be stored in the cache.")
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
        if cls in _record_of:
            return self._record(_record_of[cls], value, depth)
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(cast("NDArray[Any]", value))
        if isinstance(value, Raw):
            return self._raw(value)
        converter = _converter_of(cls)
        if converter is None:
            raise _refusal(value)
        return self._raw(converter.to_parts(value))

    def _add(self, data: Buffer) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _dict(self, value: dict[object, object], depth: int) -> Json:
        items = [(_key(key), item) for key, item in value.items()]
        if self._canonical:
            items.sort(key=lambda item: json.dumps(item[0]))
        return ["d", *(part for key, item in items for part in (key, self.tree(item, depth + 1)))]

    def _record(self, record: _Record, value: object, depth: int) -> Json:
        tree: list[Json] = ["@", record.name]
        for name in record.fields:
            tree += [name, self.tree(getattr(value, name), depth + 1)]
        return tree

    def _array(self, value: NDArray[Any]) -> Json:
        # Subclasses mean more than their bytes: a masked array would lose its mask.
        if isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
            raise _refusal(value)
        _check_array(value)
        name = value.dtype.name
        data = np.ascontiguousarray(value, dtype=_NUMPY[name])
        kind = "a" if isinstance(value, np.ndarray) else "n"
        return [kind, name, list(value.shape), self._add(_flat(data))]

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
    total, waiting, depth = 0, [value], 0
    while waiting:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise TypeError(f"A value nested more than {MAX_DEPTH} deep cannot be stored in the cache.")
        inner: list[object] = []
        for item in waiting:
            total += 64 + _own_bytes(item, inner)
        waiting = inner
    return total


def _own_bytes(value: object, inner: list[object]) -> int:
    """Return the bytes of `value` without its parts, which are added to `inner`."""
    cls = type(value)
    if value is None or cls in (bool, int, float):
        return 0
    if cls in (str, bytes):
        return len(cast("str | bytes", value))
    if cls in (list, tuple):
        inner.extend(cast("Sequence[object]", value))
        return 0
    if cls is dict:
        for key, item in cast("dict[object, object]", value).items():
            _key(key)
            inner.append(item)
        return 0
    if cls in _record_of:
        inner.extend(getattr(value, name) for name in _record_of[cls].fields)
        return 0
    if isinstance(value, (np.ndarray, np.generic)):
        _check_array(cast("NDArray[Any]", value))
        return value.nbytes
    if isinstance(value, Raw):
        return len(value.data)
    if _converter_of(cls) is None:
        raise _refusal(value)
    return int(getattr(value, "nbytes", 0))


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
        if not isinstance(tree, list):
            if isinstance(tree, dict):
                raise ValueError("an object where a value was expected")
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
            case ["i", str(digits)]:
                return int(digits, 16)
            case ["f", str(digits)] if len(digits) == 16:
                return float(struct.unpack(">d", bytes.fromhex(digits))[0])
            case ["s", str(digits)]:
                return bytes.fromhex(digits).decode("utf-8", "surrogatepass")
            case ["h", str(digits)]:
                return bytes.fromhex(digits)
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
        record = _records.get(name)
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
        if name not in _NUMPY or (kind == "n" and shape):
            raise ValueError("an array of unknown kind")
        buffer = self._take(index)
        _check_size(buffer, shape, name)
        array = np.frombuffer(buffer, dtype=_NUMPY[name]).reshape(shape)
        array.flags.writeable = False
        return array if kind == "a" else array[()]

    def _raw(self, tag: str, dtype: str, shape: tuple[int, ...], index: Json) -> object:
        buffer = self._take(index)
        _check_size(buffer, shape, dtype)
        raw = Raw(tag, dtype, shape, buffer)
        converter = _converters.get(tag)
        if converter is None:
            return raw
        try:
            return converter.from_parts(raw)
        except (RuntimeError, TypeError, OverflowError) as error:
            raise ValueError(f"“{tag}” refused its bytes") from error


def _shape(shape: Json) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > 32:
        raise ValueError("a shape that cannot be one")
    sizes = tuple(size for size in shape if type(size) is int and 0 <= size < 2**48)
    if len(sizes) != len(shape) or math.prod(size or 1 for size in sizes) >= 2**58:
        raise ValueError("a shape that cannot be one")
    return sizes


def _check_size(buffer: Buffer, shape: tuple[int, ...], dtype: str) -> None:
    if dtype not in DTYPE_BYTES or math.prod(shape) * DTYPE_BYTES[dtype] != len(buffer):
        raise ValueError("a buffer of another size than its shape and dtype say")


for _cls in (
    types.Latent,
    types.Patch,
    types.Recipe,
    types.Model,
    types.TextEncoder,
    types.Vae,
    types.ConditioningEntry,
    types.Conditioning,
):
    register_dataclass(_cls)
