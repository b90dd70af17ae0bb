"""The header of a GGUF file, read as what a stranger may have written. Free of torch."""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import cast

from studio.errors import FileError
from studio.models.header import Header, TensorPlace, cut_short

FORMATS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    30: ("BF16", 1, 2),
}
"""Number in a file → name, numbers in a block, bytes of a block."""
_OTHERS = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAGIC = int.from_bytes(b"GGUF", "little")
_COUNT = 100_000
_ITEMS = 1_000_000
_LIMIT_BYTES = 100 * 2**20
_SIDES = 4
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
# T5 as llama.cpp names it → as everyone else does.
_T5 = (
    (r"^enc\.", "encoder."),
    (r"\.blk\.", ".block."),
    (r"^token_embd\.", "shared."),
    (r"\.output_norm\.", ".final_layer_norm."),
    (r"\.attn_(q|k|v|o)\.", r".layer.0.SelfAttention.\1."),
    (r"\.attn_rel_b\.", ".layer.0.SelfAttention.relative_attention_bias."),
    (r"\.attn_norm\.", ".layer.0.layer_norm."),
    (r"\.ffn_gate\.", ".layer.1.DenseReluDense.wi_0."),
    (r"\.ffn_up\.", ".layer.1.DenseReluDense.wi_1."),
    (r"\.ffn_down\.", ".layer.1.DenseReluDense.wo."),
    (r"\.ffn_norm\.", ".layer.1.layer_norm."),
)


@dataclass(frozen=True, slots=True)
class Gguf:
    """What a GGUF file says of itself.

    Attributes:
        header: As that of a safetensors file; formats by name (``Q4_K``), shapes as torch counts them, names
            of T5 as transformers has them.
        values: Everything else it tells, by name: numbers, texts and lists of these.
    """

    header: Header
    values: dict[str, object]


def is_gguf(path: Path) -> bool:
    """Whether a file begins as a GGUF file does."""
    try:
        with path.open("rb") as file:
            return int.from_bytes(file.read(4), "little") == _MAGIC
    except OSError:
        return False


def read_gguf(path: Path) -> Gguf:
    """Read a GGUF header; the tensors themselves are not touched.

    Raises:
        FileError: It is missing, cut short, no such file at all, or packed in a way that is not read here.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).read()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    except (struct.error, ValueError, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise FileError(
            f"{path.name} is no GGUF file, or is cut short in its header.", "Copy or download it again."
        ) from error


class _Reader:
    """Goes through a mapped file once, from its beginning; whatever runs over its end raises."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at = path, data, 0

    def read(self) -> Gguf:
        magic, version, tensors, values = self._take("<IIQQ")
        if magic != _MAGIC or version not in (2, 3) or tensors > _COUNT or values > _COUNT:
            raise ValueError
        said: dict[str, object] = {}
        for _ in range(values):
            name = self._text()
            said[name] = self._value(self._number("<I"), 0)
        entries = [self._entry() for _ in range(tensors)]
        align = said.get("general.alignment", 32)
        if not isinstance(align, int) or not 1 <= align <= 2**20:
            raise ValueError
        start = -(-self._at // align) * align
        raw = bytes(self._data[: self._at])
        is_t5 = said.get("general.architecture") in ("t5", "t5encoder")
        places: dict[str, TensorPlace] = {}
        for name, shape, kind, offset in entries:
            shape = self._shape(name, shape, said)
            places[_t5_name(name) if is_t5 else name] = self._place(name, shape, kind, start + offset)
        texts = {name: value for name, value in said.items() if isinstance(value, str)}
        ordered = dict(sorted(places.items(), key=lambda item: item[1].begin))
        return Gguf(Header(ordered, raw, len(self._data), texts), said)

    def _entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text()
        sides = self._number("<I")
        if sides > _SIDES:
            raise ValueError
        shape = self._take(f"<{sides}Q")[::-1]  # the file names the fastest side first
        kind, offset = self._take("<IQ")
        return name, shape, kind, offset

    def _shape(self, name: str, shape: tuple[int, ...], said: dict[str, object]) -> tuple[int, ...]:
        """The shape a tensor had before it was folded into rows that fill blocks."""
        told = said.get(_ORIGINAL_SHAPE + name)
        if not isinstance(told, tuple):
            return shape
        original = tuple(int(side) for side in cast("tuple[int, ...]", told))
        if min(original, default=0) <= 0 or prod(original) != prod(shape):
            raise ValueError
        return original

    def _place(self, name: str, shape: tuple[int, ...], kind: int, begin: int) -> TensorPlace:
        if kind not in FORMATS:
            packed = _OTHERS.get(kind, f"number {kind}")
            raise FileError(
                f"{self._path.name} is packed in the format {packed}, which is not read here ({name}).",
                "Get it as Q8_0, Q6_K, Q5_K, Q4_K or another of the K formats.",
            )
        format_name, block, size = FORMATS[kind]
        if prod(shape) % block:
            raise ValueError
        end = begin + prod(shape) // block * size
        if end > len(self._data):
            raise cut_short(self._path, end, len(self._data))
        return TensorPlace(format_name, shape, begin, end)

    def _value(self, kind: int, depth: int) -> object:
        if kind == _STRING:
            return self._text()
        if kind in _SCALARS:
            return self._take("<" + _SCALARS[kind])[0]
        if kind != _ARRAY or depth:
            raise ValueError
        inner, count = self._take("<IQ")
        if count > _ITEMS:
            raise ValueError
        if inner in _SCALARS:
            return self._take(f"<{count}{_SCALARS[inner]}")
        return tuple(self._value(inner, depth + 1) for _ in range(count))

    def _number(self, form: str) -> int:
        return int(self._take(form)[0])

    def _text(self) -> str:
        length = self._number("<Q")
        end = self._at + length
        if end > min(len(self._data), _LIMIT_BYTES):
            raise ValueError
        text = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end
        return text

    def _take(self, form: str) -> tuple[int, ...]:
        if self._at > _LIMIT_BYTES:
            raise ValueError
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found


def _t5_name(name: str) -> str:
    for pattern, replacement in _T5:
        name = re.sub(pattern, replacement, name)
    return name
