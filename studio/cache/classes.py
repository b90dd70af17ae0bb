"""Which classes the cache can store, beside the builtins and numpy's arrays: converters and records."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from studio import types

Buffer = bytes | memoryview
T = TypeVar("T")

_NUMPY_NAMES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
)
NUMPY = {name: np.dtype(name).newbyteorder("<") for name in _NUMPY_NAMES.split()}
"""Dtypes of numpy that are stored, by tag; always little-endian."""

DTYPE_BYTES: dict[str, int] = {
    **{name: dtype.itemsize for name, dtype in NUMPY.items()},
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
class Converter:
    """How a class (and its subclasses) becomes `Raw`, and comes back."""

    tag: str
    cls: type[Any]
    to_parts: Callable[[Any], Raw]
    from_parts: Callable[[Raw], object]


@dataclass(frozen=True, slots=True)
class Record:
    """A class stored field by field."""

    name: str
    cls: type[Any]
    fields: tuple[str, ...]


converters: dict[str, Converter] = {}
"""By tag."""
_late: dict[str, tuple[str, Callable[[], None]]] = {}
"""Tag → package and what loads its converter."""
records: dict[str, Record] = {}
"""By stored name."""
record_of: dict[type[Any], Record] = {}


def register(tag: str, cls: type[T], to_parts: Callable[[T], Raw], from_parts: Callable[[Raw], T]) -> None:
    """Store `cls` and its subclasses as `Raw` under `tag`; a second registration replaces the first.

    `to_parts` raises TypeError, with a sentence, for what it cannot turn into bytes; `from_parts` raises
    ValueError. Instances tell their size in bytes as ``nbytes``.
    """
    converters[tag] = Converter(tag, cls, to_parts, from_parts)


def register_late(tag: str, package: str, load: Callable[[], None]) -> None:
    """Call `load`, which registers the converter of `tag`, when that or a class of `package` is first met.

    So a process whose results need no such package never waits for its import.
    """
    _late[tag] = (package, load)


def converter_for(tag: str) -> Converter | None:
    """Return the converter registered under `tag`, if there is one."""
    if tag not in converters and tag in _late:
        _late[tag][1]()
    return converters.get(tag)


def register_dataclass(cls: type[Any]) -> None:
    """Store a dataclass or named tuple field by field, under its wire's name, else its module and name.

    Raises:
        TypeError: `cls` is neither.
    """
    if dataclasses.is_dataclass(cls):
        fields = tuple(field.name for field in dataclasses.fields(cls) if field.init)
    elif issubclass(cls, tuple) and "_fields" in cls.__dict__:
        fields = tuple(cast("Iterable[str]", cls.__dict__["_fields"]))
    else:
        raise TypeError(
            f"{cls.__qualname__} is neither a dataclass nor a named tuple, so it cannot be stored."
        )
    marked = cls.__dict__.get("__wire__")
    name = marked.name if isinstance(marked, types.WireType) else f"{cls.__module__}.{cls.__qualname__}"
    records[name] = record_of[cls] = Record(name, cast("type[Any]", cls), fields)


def converter_of(cls: type[Any]) -> Converter | None:
    """Return the converter that stores instances of `cls`, if there is one."""
    for tag, (package, _load) in _late.items():
        if cls.__module__.partition(".")[0] == package:
            converter_for(tag)
    for converter in converters.values():
        if issubclass(cls, converter.cls):
            return converter
    return None


def refusal(value: object) -> TypeError:
    """Return the error that says, in a sentence, that `value` cannot be stored."""
    cls = type(value)
    hint = ""
    if dataclasses.is_dataclass(cls) or (isinstance(value, tuple) and hasattr(cls, "_fields")):
        hint = " Register it with studio.cache.codec.register_dataclass."
    return TypeError(
        f"A value of type {cls.__module__}.{cls.__qualname__} cannot be stored in the cache.{hint}"
    )


for _cls in (
    types.Latent,
    types.Patch,
    types.Recipe,
    types.Model,
    types.TextEncoder,
    types.Vae,
    types.ConditioningEntry,
    types.Control,
    types.ImagePrompt,
    types.Conditioning,
):
    register_dataclass(_cls)
