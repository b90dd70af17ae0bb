from __future__ import annotations

import contextlib
import enum
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import types
from studio.cache import classes, codec
from studio.cache.codec import Raw


class Pair(NamedTuple):
    first: object
    second: object


@dataclass(frozen=True)
class Depth:
    metres: object
    near: float = 1.0

    def __post_init__(self) -> None:
        assert self.near > 0


@dataclass(frozen=True)
class Stranger:
    value: int = 0


class Foreign:
    """Stands for a tensor: a class of another library, known to the codec by its converter only."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.nbytes = len(data)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(classes.records), dict(classes.record_of), dict(classes.converters)
    codec.register_dataclass(Pair)
    codec.register_dataclass(Depth)
    yield
    for table, kept in zip((classes.records, classes.record_of, classes.converters), before, strict=True):
        table.clear()
        table.update(kept)  # type: ignore[arg-type]


def there_and_back(value: object) -> Any:
    encoded = codec.encode(value)
    header = json.loads(json.dumps(encoded.header, allow_nan=False))
    return codec.decode(header, [bytes(buffer) for buffer in encoded.buffers])


def same(left: object, right: object) -> bool:
    """Equal with equal types all the way down; floats and arrays by their bits."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (np.ndarray, np.generic)):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True)
        return len(left) == len(right) and all(same(one, other) for one, other in pairs)
    return left == right


FLOATS = st.floats() | st.sampled_from([-0.0, math.nan, math.inf, -math.inf, 5e-324])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | FLOATS
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
)
DTYPES = st.sampled_from([*classes.NUMPY.values(), np.dtype(">f4"), np.dtype(">i8")])
KEYS = st.text(max_size=3) | st.binary(max_size=3) | st.integers()


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = draw(DTYPES)
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    data = draw(
        st.binary(min_size=math.prod(shape) * dtype.itemsize, max_size=math.prod(shape) * dtype.itemsize)
    )
    data = bytes(value & 1 for value in data) if dtype.kind == "b" else data
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


VALUES = st.recursive(
    SCALARS | arrays(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.builds(Pair, inner, inner)
        | st.builds(Depth, inner)
    ),
    max_leaves=8,
)


def native(value: object) -> object:
    """What comes back of a value: big-endian numbers turn little-endian, all else is itself."""
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder("<"))
    if isinstance(value, Pair):
        return Pair(*map(native, value))
    if isinstance(value, Depth):
        return Depth(native(value.metres))
    if isinstance(value, (list, tuple)):
        return type(value)(map(native, value))
    if isinstance(value, dict):
        return {key: native(item) for key, item in value.items()}
    return value


def unpacked(value: object) -> object:
    """Dataclasses as tuples, for `same`."""
    if isinstance(value, Depth):
        return ("Depth", unpacked(value.metres))
    if isinstance(value, Pair):
        return ("Pair", *map(unpacked, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(unpacked, value))
    if isinstance(value, dict):
        return {key: unpacked(item) for key, item in value.items()}
    return value


@given(VALUES)
def test_every_value_comes_back_as_it_was(value: object) -> None:
    assert same(unpacked(there_and_back(value)), unpacked(native(value)))


@given(VALUES)
def test_what_comes_back_has_the_digest_of_what_was_stored(value: object) -> None:
    assert codec.digest(there_and_back(value)) == codec.digest(value)


LOOKALIKES = [
    None, 0, 1, 2**64, 2**70, 0.0, -0.0, 1.0, math.nan, math.inf, False, True, "", "1", "0", "None", b"",
    b"1", [], (), {}, [1], (1,), [[1]], [1, 1], {"1": 1}, {1: 1}, {b"1": 1}, ["1"], Pair(1, 1), (1, 1),
    Depth(1), np.float32(1), np.float64(1), np.array(1.0), np.array([1.0]), np.array([[1.0]]),
    np.array([1.0], np.float32), np.array([1]), np.array([True]), np.zeros((0, 2)), np.zeros((2, 0)),
    ["l", 1], ["b", 0], ["f", "00"], "\ud83d", "\ud83d\ude00", "😀",
]  # fmt: skip


def test_values_that_look_alike_have_digests_of_their_own() -> None:
    digests = [codec.digest(value) for value in LOOKALIKES]
    assert len(set(digests)) == len(LOOKALIKES)
    assert all(len(digest) == 32 for digest in digests)


def test_values_that_look_alike_come_back_apart() -> None:
    for value in LOOKALIKES:
        assert same(there_and_back(value), value), value


def test_a_digest_does_not_see_how_content_lies_in_memory() -> None:
    plain = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    wide = np.zeros((2, 3, 8), np.float32)
    wide[..., ::2] = plain
    for other in (np.asfortranarray(plain), wide[..., ::2], plain.astype(">f4"), plain[::-1][::-1]):
        assert codec.digest(other) == codec.digest(plain)


def test_a_digest_does_not_see_the_order_of_a_dict() -> None:
    assert codec.digest({"a": b"1", "b": b"2"}) == codec.digest({"b": b"2", "a": b"1"})
    assert codec.digest({"a": b"1", "b": b"2"}) != codec.digest({"a": b"2", "b": b"1"})


def test_a_recipe_has_the_digest_of_its_weights_wherever_its_file_lies() -> None:
    here, there = (types.Model(types.Recipe(path, "id", "unet", "sd1")) for path in ("/here", "/there"))
    other = types.Model(types.Recipe("/here", "other", "unet", "sd1"))
    assert codec.digest(here) == codec.digest(there) != codec.digest(other)
    assert there_and_back(there) == there


def test_decoded_arrays_are_read_only() -> None:
    array = there_and_back([np.zeros(3)])[0]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_freezing_reaches_every_array_in_a_value() -> None:
    value = {"a": [np.zeros(2), (np.zeros(2),)], "b": Depth(np.zeros(2))}
    codec.freeze(value)
    arrays = (value["a"][0], value["a"][1][0], value["b"].metres)  # type: ignore[index, union-attr]
    assert not any(array.flags.writeable for array in arrays)


def test_contiguous_arrays_are_not_copied() -> None:
    array = np.arange(100.0)
    (buffer,) = codec.encode([array]).buffers
    assert np.shares_memory(np.frombuffer(buffer, np.uint8), array)


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, bytearray(b"x"), Colour.RED, Stranger(), Stranger, print, 1j, range(3), {None: 1},
        {1.5: 1}, np.array([object()]), np.array(["a"]), np.array([1], np.longdouble),
        np.ma.array([1, 2], mask=[0, 1]),
        np.array([(1, 2)], "i4,i4"), np.datetime64("2020-01-01"), [[Stranger()]], {"a": {"b": Stranger()}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_with_a_sentence(value: object) -> None:
    for refuse in (codec.encode, codec.digest, codec.nbytes):
        with pytest.raises(TypeError, match=r"^An? .* cannot be stored in the cache.*\.$"):
            refuse(value)


def test_a_list_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    for refuse in (codec.encode, codec.nbytes):
        with pytest.raises(TypeError, match="nested more than 64 deep"):
            refuse(value)


def test_only_records_can_be_registered_as_such() -> None:
    with pytest.raises(TypeError, match="int is neither"):
        codec.register_dataclass(int)


def test_a_wire_is_stored_under_its_own_name() -> None:
    assert codec.encode(types.Vae(types.Recipe("p", "i", "vae", "sd1"))).header[1] == "vae"  # type: ignore[index]


def test_nbytes_counts_arrays_text_and_what_converters_tell() -> None:
    codec.register(
        "foreign", Foreign, lambda value: Raw("foreign", "uint8", (9,), value.data), lambda raw: raw
    )  # type: ignore[arg-type, return-value]
    assert 4000 <= codec.nbytes({"a": [np.zeros(500), "x" * 0]}) < 4500
    assert codec.nbytes("x" * 1000) >= 1000
    assert codec.nbytes(Foreign(bytes(3000))) >= 3000
    assert codec.nbytes(Raw("foreign", "uint8", (2000,), bytes(2000))) >= 2000


def test_without_its_converter_a_foreign_array_comes_back_raw_and_goes_out_the_same() -> None:
    raw = Raw("tensor", "bfloat16", (2, 3), bytes(range(12)))
    classes.converters.clear()
    encoded = codec.encode({"x": raw})
    back = codec.decode(encoded.header, encoded.buffers)
    assert back == {"x": raw}
    assert codec.encode(back).header == encoded.header
    codec.register(
        "tensor",
        Foreign,
        lambda value: Raw("tensor", "bfloat16", (2, 3), value.data),
        lambda raw: Foreign(raw.data),  # type: ignore[arg-type]
    )
    foreign = codec.decode(encoded.header, encoded.buffers)["x"]  # type: ignore[index]
    assert isinstance(foreign, Foreign)
    assert codec.digest(foreign) == codec.digest(raw)


def test_a_class_nobody_registered_is_told_from_damage() -> None:
    encoded = codec.encode(Depth(1))
    del classes.records[classes.record_of[Depth].name]
    with pytest.raises(codec.UnknownNameError, match="Depth"):
        codec.decode(encoded.header, encoded.buffers)


def nested(depth: int) -> object:
    tree: list[object] = ["l"]
    for _ in range(depth):
        tree = ["l", tree]
    return tree


@pytest.mark.parametrize(
    ("header", "buffers"),
    [
        ({}, []), ([], []), (["?"], []), ([1], []), (["l", {}], []), (["a"], []), (["i", "zz"], []),
        (["f", "00"], []), (["s", "ff"], []), (["h", "x"], []), (["d", "a"], []), (["d", None, 1], []),
        (["d", ["l"], 1], []), (["d", "a", 1, "a", 2], []), (["b", 0], []), (["b", -1], [b"x"]),
        (["b", True], [b"x"]), (["b", "0"], [b"x"]), (["l", ["b", 0], ["b", 0]], [b"x"]),
        (["a", "object", [1], 0], [bytes(8)]),
        (["a", "float32", [2], 0], [bytes(4)]), (["a", "float32", [0], 0], [bytes(4)]),
        (["a", "float32", [-1], 0], [bytes(4)]), (["a", "float32", [1.0], 0], [bytes(4)]),
        (["a", "float32", [True], 0], [bytes(4)]), (["a", "float32", "1", 0], [bytes(4)]),
        (["a", "float32", [1] * 33, 0], [bytes(4)]), (["a", "float32", [0, 2**47, 2**47], 0], [b""]),
        (["a", "float32", [2**62, 4], 0], [b""]), (["a", "bfloat16", [1], 0], [bytes(2)]),
        (["n", "float32", [1], 0], [bytes(4)]), (["r", "t", "float99", [1], 0], [bytes(4)]),
        (["r", "t", "float8_e5m2", [3], 0], [bytes(4)]), (["@", "os.system", "command", "true"], []),
        (["@", 1], []), (nested(100), []),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_hostile_trees_are_value_errors(header: Any, buffers: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codec.decode(header, buffers)


def test_records_with_other_fields_or_that_refuse_them_are_value_errors() -> None:
    name = classes.record_of[Depth].name
    for fields in (
        ["metres", 1],
        ["near", 1.0, "metres", 1],
        ["metres", 1, "near", 1.0, "x", 1],
        ["metres", 1, "near", -1.0],
    ):
        with pytest.raises(ValueError, match="Depth"):
            codec.decode(["@", name, *fields], [])


def test_a_converter_that_stumbles_over_hostile_bytes_is_a_value_error() -> None:
    def stumble(raw: Raw) -> Foreign:
        raise RuntimeError("no such tensor")

    codec.register("foreign", Foreign, lambda value: Raw("foreign", "uint8", (0,), b""), stumble)
    with pytest.raises(ValueError, match="foreign"):
        codec.decode(["r", "foreign", "uint8", [1], 0], [b"x"])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(list("ltd@banrifsh")),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@given(JSON, st.lists(st.binary(max_size=8), max_size=2))
def test_any_tree_decodes_or_is_a_value_error(header: Any, buffers: list[bytes]) -> None:
    with contextlib.suppress(ValueError):
        codec.decode(header, buffers)
