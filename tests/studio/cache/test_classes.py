from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import NamedTuple

import pytest

from studio.api import wire
from studio.cache import classes, codec
from studio.registry import Registry


@dataclass(frozen=True)
class Layer:
    metres: float


class Ends(NamedTuple):
    near: float
    far: float


@wire("acme/depths", "#123456", "layers")
@dataclass(frozen=True)
class Depths:
    layers: tuple[Layer, ...]
    ends: Ends


@dataclass(frozen=True)
class Guest:
    """Of another module: merely imported."""


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    records, record_of = dict(classes.records), dict(classes.record_of)
    yield
    for table, kept in ((classes.records, records), (classes.record_of, record_of)):
        table.clear()
        table.update(kept)  # type: ignore[arg-type]


def test_a_package_s_wires_and_the_records_in_them_can_be_stored_once_registered() -> None:
    value = Depths((Layer(1.0), Layer(2.0)), Ends(0.5, 9.0))
    with pytest.raises(TypeError, match="Register it with"):
        codec.encode(value)
    with pytest.raises(TypeError, match="Register it with"):
        codec.encode(Ends(1.0, 2.0))
    module = ModuleType(__name__)
    vars(module).update(Depths=Depths, Layer=Layer, Ends=Ends, Guest=Guest, tuple=tuple, Number=float)
    Guest.__module__ = "elsewhere"
    Registry().add("acme", module)
    encoded = codec.encode(value)
    assert codec.decode(encoded.header, encoded.buffers) == value
    with pytest.raises(TypeError, match="Guest"):
        codec.encode(Guest())


def test_fields_that_a_class_computes_itself_are_not_stored() -> None:
    @dataclass(frozen=True)
    class Area:
        side: int
        pixels: int = field(init=False, default=0)

        def __post_init__(self) -> None:
            object.__setattr__(self, "pixels", self.side**2)

    codec.register_dataclass(Area)
    encoded = codec.encode(Area(3))
    assert codec.decode(encoded.header, encoded.buffers) == Area(3)
    assert "pixels" not in str(encoded.header)
