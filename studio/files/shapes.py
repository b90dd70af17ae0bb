"""What values of a workflow file must look like; each check returns the value or says what it should be."""

from __future__ import annotations

import math
from typing import cast

from studio.graph import MODES, ExposedKnob, Port
from studio.types import Json


class WrongShapeError(Exception):
    """A value that is not what its name promises; the message says what it should be."""


def shown(value: Json) -> str:
    """Return a value as a sentence may quote it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def object_(value: Json) -> dict[str, Json]:
    """An object."""
    if not isinstance(value, dict):
        raise WrongShapeError("an object")
    return value


def list_(value: Json) -> list[Json]:
    """A list."""
    if not isinstance(value, list):
        raise WrongShapeError("a list")
    return value


def text(value: Json) -> str:
    """Text."""
    if not isinstance(value, str):
        raise WrongShapeError("text")
    return value


def name(value: Json) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise WrongShapeError("a name")
    return value


def type_name(value: Json) -> str:
    """The name of a type of node."""
    # "?" is no package: it marks what this reader could not read.
    if not isinstance(value, str) or not value or value.startswith("?/"):
        raise WrongShapeError("the name of a type")
    return value


def version(value: Json) -> int:
    """A whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WrongShapeError("a whole number from 1")
    return value


def flag(value: Json) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise WrongShapeError("yes or no")
    return value


def mode(value: Json) -> str:
    """One of the modes of a node."""
    if value not in MODES:
        raise WrongShapeError("on, bypass or mute")
    return value


def names(value: Json) -> tuple[str, ...]:
    """A list of texts, as a tuple."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise WrongShapeError("a list of names")
    return tuple(cast("list[str]", value))


def _finite(value: Json, count: int) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise WrongShapeError(f"{count} numbers")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int | float) or not math.isfinite(item):
            raise WrongShapeError(f"{count} numbers")
    return tuple(float(item) for item in cast("list[float]", value))


def point(value: Json) -> tuple[float, ...]:
    """Two finite numbers."""
    return _finite(value, 2)


def rect(value: Json) -> tuple[float, ...]:
    """Four finite numbers."""
    return _finite(value, 4)


def port(raw: Json) -> Port | None:
    """Return a socket of a definition, or None for anything else."""
    if not isinstance(raw, dict):
        return None
    name, kind = raw.get("name"), raw.get("type")
    many, optional = raw.get("many", False), raw.get("optional", False)
    if not isinstance(name, str) or not name or not isinstance(kind, str):
        return None
    if not isinstance(many, bool) or not isinstance(optional, bool):
        return None
    known = ("name", "type", "many", "optional")
    extra = {key: value for key, value in raw.items() if key not in known}
    return Port(name, kind, many, optional, extra)


def exposed_knob(raw: Json) -> ExposedKnob | None:
    """Return a knob that a definition shows, or None for anything else."""
    if not isinstance(raw, dict):
        return None
    name, node, knob = raw.get("name"), raw.get("node"), raw.get("knob")
    if not isinstance(name, str) or not name or not isinstance(node, str) or not isinstance(knob, str):
        return None
    extra = {key: value for key, value in raw.items() if key not in ("name", "node", "knob")}
    return ExposedKnob(name, node, knob, extra)
