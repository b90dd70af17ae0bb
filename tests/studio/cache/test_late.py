from __future__ import annotations

from collections.abc import Iterator

import pytest

from studio.cache import classes, codec
from studio.cache.classes import Raw


class Heavy:
    """A class of a package that is slow to import."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.nbytes = len(data)


Heavy.__module__ = "heavy.inner"
loads: list[str] = []


def load() -> None:
    loads.append("heavy")
    codec.register(
        "heavy",
        Heavy,
        lambda thing: Raw("heavy", "uint8", (len(thing.data),), thing.data),
        lambda raw: Heavy(bytes(raw.data)),
    )


@pytest.fixture(autouse=True)
def heavy() -> Iterator[None]:
    loads.clear()
    codec.register_late("heavy", "heavy", load)
    yield
    classes.converters.pop("heavy", None)
    classes._late.pop("heavy")


def test_a_package_is_not_loaded_for_what_needs_none() -> None:
    encoded = codec.encode({"a": [1, "b", None]})
    assert codec.decode(encoded.header, encoded.buffers) == {"a": [1, "b", None]}
    assert loads == []


def test_it_is_loaded_once_when_one_of_its_values_is_stored() -> None:
    codec.encode(Heavy(b"abc"))
    codec.encode(Heavy(b"abc"))
    assert loads == ["heavy"]


def test_it_is_loaded_when_one_of_its_values_is_read() -> None:
    read = codec.decode(["r", "heavy", "uint8", [3], 0], [b"abc"])
    assert isinstance(read, Heavy)
    assert read.data == b"abc"
    assert loads == ["heavy"]
