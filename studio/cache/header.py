"""What is known of a cached call without loading its values."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from studio.cache import codec
from studio.types import Json


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""Where an output is no scalar; None would be one."""


@dataclass(frozen=True, slots=True)
class OutputHeader:
    """One output, as far as keys need it.

    Attributes:
        value: The output itself if it is a bool, int, float or str; else `ABSENT`.
        elements: If the output is a list, the content digest of each element; else None.
    """

    value: bool | int | float | str | Literal[Absent.ABSENT] = ABSENT
    elements: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """A cached call.

    Attributes:
        outputs: By name.
        seconds: What the call took.
        nbytes: Memory its values take, about.
    """

    outputs: dict[str, OutputHeader]
    seconds: float
    nbytes: int


def of(outputs: Mapping[str, object], seconds: float) -> Header:
    """Return the header of values just computed.

    Raises:
        TypeError: A value cannot be stored; the message is a sentence.
    """
    nbytes = codec.nbytes(dict(outputs))
    return Header({name: _output(value) for name, value in outputs.items()}, seconds, nbytes)


def _output(value: object) -> OutputHeader:
    if type(value) in (bool, int, float, str):
        return OutputHeader(value=cast("bool | int | float | str", value))
    if type(value) is list:
        return OutputHeader(elements=tuple(codec.digest(item) for item in cast("list[object]", value)))
    return OutputHeader()


def to_json(header: Header) -> Json:
    """Return `header` as JSON."""
    outputs: dict[str, Json] = {}
    for name, output in header.outputs.items():
        known: dict[str, Json] = {}
        if output.value is not ABSENT:
            known["value"] = codec.encode(output.value).header
        if output.elements is not None:
            known["elements"] = list(output.elements)
        outputs[name] = known
    return {"outputs": outputs, "seconds": header.seconds, "nbytes": header.nbytes}


def from_json(data: Json) -> Header:
    """Return the header that `to_json` wrote.

    Raises:
        ValueError: It did not write this.
    """
    match data:
        case {"outputs": dict(outputs), "seconds": int() | float() as seconds, "nbytes": int(nbytes)} if (
            seconds >= 0 and math.isfinite(seconds) and nbytes >= 0
        ):
            return Header(
                {name: _from_json(known) for name, known in outputs.items()}, float(seconds), nbytes
            )
        case _:
            raise ValueError("no header of a cached call")


def _from_json(known: Json) -> OutputHeader:
    if not isinstance(known, dict):
        raise ValueError("no header of an output")
    match known:
        case {"elements": list(elements)}:
            return OutputHeader(elements=tuple(str(item) for item in elements))
        case {"value": _}:
            pass
        case _:
            return OutputHeader()
    value = codec.decode(known["value"], ())
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError("a header holds no such value")
    return OutputHeader(value=value)
