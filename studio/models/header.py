"""The header of a safetensors file, read as what a stranger may have written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import cast

from studio.errors import FileError

_LIMIT_BYTES = 100 * 2**20
_LENGTH_BYTES = 8
_NAME = 100
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor lies in its file: `begin` and `end` count from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file says of itself.

    Attributes:
        tensors: Name → place, in file order.
        raw: The header's bytes as written.
        size: Of the whole file, in bytes.
        metadata: What the file's author wrote beside the tensors.
    """

    tensors: dict[str, TensorPlace]
    raw: bytes
    size: int
    metadata: dict[str, str] = field(default_factory=dict[str, str])


def read_header(path: Path) -> Header:
    """Read a safetensors header; the tensors themselves are not touched.

    Raises:
        FileError: It is missing, cut short, too big, damaged, or no such file at all.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if size < _LENGTH_BYTES + 2 or not 2 <= length <= _LIMIT_BYTES:
                raise _alien(path)
            raw = file.read(length) if length <= size - _LENGTH_BYTES else b""
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    if not raw:
        raise FileError(
            f"{path.name} is cut short: its header alone takes {_megabytes(length)}, "
            f"the file has {_megabytes(size)}.",
            "Copy or download it again.",
        )
    entries = _entries(path, raw)
    tensors = _places(path, entries, _LENGTH_BYTES + length)
    claimed = max((place.end for place in tensors.values()), default=_LENGTH_BYTES + length)
    if claimed > size:
        raise cut_short(path, claimed, size)
    if claimed < size:
        raise _damaged(path, f"{size - claimed:,} bytes follow its last tensor")
    return Header(tensors, raw, size, _metadata(entries))


def _entries(path: Path, raw: bytes) -> dict[str, object]:
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _alien(path) from error
    if not isinstance(entries, dict):
        raise _alien(path)
    return cast("dict[str, object]", entries)


def _metadata(entries: Mapping[str, object]) -> dict[str, str]:
    found = entries.get("__metadata__")
    if not isinstance(found, dict):
        return {}
    pairs = cast("dict[str, object]", found).items()
    return {name: value for name, value in pairs if isinstance(value, str)}


def _places(path: Path, entries: Mapping[str, object], start: int) -> dict[str, TensorPlace]:
    places: dict[str, TensorPlace] = {}
    for name, entry in entries.items():
        if name != "__metadata__":
            places[name] = _place(path, entry, start)
    places = dict(sorted(places.items(), key=lambda item: (item[1].begin, item[1].end)))
    end = start
    for name, place in places.items():
        if place.dtype not in _BITS:
            raise _damaged(path, f"tensor {_named(name)} is of the unknown type {_named(place.dtype)}")
        if prod(place.shape) * _BITS[place.dtype] != (place.end - place.begin) * 8:
            raise _damaged(path, f"tensor {_named(name)} has another size than its shape says")
        if place.begin != end:
            fault = "begins inside the one before it" if place.begin < end else "has a gap before it"
            raise _damaged(path, f"tensor {_named(name)} {fault}")
        end = place.end
    return places


def _place(path: Path, entry: object, start: int) -> TensorPlace:
    match entry:
        case {"dtype": str(dtype), "shape": list(), "data_offsets": [int(begin), int(end)]}:
            shape = cast("dict[str, list[object]]", entry)["shape"]
            if 0 <= begin <= end and all(type(side) is int and side >= 0 for side in shape):
                return TensorPlace(dtype, tuple(cast("list[int]", shape)), start + begin, start + end)
        case _:
            pass
    raise _alien(path)


def cut_short(path: Path, claimed: int, size: int) -> FileError:
    """What to raise of a file whose header claims more bytes than it has."""
    said, there = _megabytes(claimed), _megabytes(size)
    if said == there:
        said, there = f"{claimed:,} bytes", f"{size:,}"
    return FileError(
        f"{path.name} is cut short: its header says {said}, the file has {there}.",
        "Copy or download it again.",
    )


def _named(text: str) -> str:
    return text if len(text) <= _NAME else f"{text[:_NAME]}…"


def _damaged(path: Path, fault: str) -> FileError:
    return FileError(f"{path.name} is damaged: {fault}.", "Copy or download it again.")


def _alien(path: Path) -> FileError:
    return FileError(f"{path.name} is not a safetensors file.", "Choose a .safetensors model file.")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"
