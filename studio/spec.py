"""What a node is, as data: sockets, knobs, limits, words. Made from functions by `studio.declare`.

Everything here is JSON-able and travels to the editor, which never sees the functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from studio.types import BOOL, FLOAT, INT, TEXT

if TYPE_CHECKING:
    from studio.types import Json

MAX_SEED = 2**64 - 1
MIN_WHOLE, MAX_WHOLE = -(2**63), MAX_SEED
"""What a whole number may be, in a knob or on a wire: 64 bits, signed or not."""
_KNOB_WIRES = {
    "int": INT,
    "seed": INT,
    "float": FLOAT,
    "bool": BOOL,
    "text": TEXT,
    "choice": TEXT,
    "file": TEXT,
}


class KnobError(ValueError):
    """A value that a knob does not take; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A wire a node takes.

    Attributes:
        name: The parameter's name.
        type: Wire type name; ``any`` binds to whatever is wired, the same for all of the node.
        many: It takes a whole list.
        optional: It may stay unwired.
        doc: One line: the tooltip.
    """

    name: str
    type: str
    many: bool = False
    optional: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """A wire a node gives."""

    name: str
    type: str
    many: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True)
class KnobSpec:
    """A value set on the node itself, or by a wire of its type.

    Attributes:
        name: The parameter's name.
        kind: ``int``, ``float``, ``bool``, ``text``, ``choice``, ``seed``, ``file``, or a plug-in's own kind,
            which editors that do not know it show as JSON.
        default: Value of a fresh node.
        options: By kind. int, float: ``min``, ``max``, ``step`` (one notch of the editor, no constraint).
            text: ``multiline``. choice: ``choices`` (list of text) or ``extension`` (``solver``,
            ``schedule``: the names registered for that kind). file: ``content`` (``image``,
            ``model``, ``text``), ``folder`` (a folder is accepted too), ``empty`` (may be left empty),
            ``kinds`` (list of the types of model meant).
        doc: One line: the tooltip.
    """

    name: str
    kind: str
    default: Json
    options: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    doc: str = ""

    @property
    def wire(self) -> str | None:
        """Type of wire that may drive the knob; None for kinds that no wire drives."""
        kind = _KNOB_WIRES.get(self.kind)
        return kind.name if kind else None


@dataclass(frozen=True)
class NodeSpec:
    """A type of node.

    Attributes:
        type: ``package/name``.
        version: Raised when its results or its knobs change.
        title: Shown on the node (“K sampler”).
        category: Where the palette lists it.
        doc: The docstring's first paragraph.
        inputs: In order.
        knobs: In order.
        outputs: In order.
        sink: It has an effect outside (saves a file); it always runs and has no key.
        passes: It gives on one of its inputs unread; its output takes that input's key.
        instant: Pure and immediate (a constant, arithmetic); evaluated while planning.
        lazy: It asks for its inputs one by one.
        device: It works with weights: runs on the compute thread, and the numerics enter its key.
        shows: Its first output is what a person asked to see; a run of everything aims at it.
        synonyms: Names other tools use for it, for the palette.
    """

    type: str
    version: int = 1
    title: str = ""
    category: str = ""
    doc: str = ""
    inputs: tuple[InputSpec, ...] = ()
    knobs: tuple[KnobSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    sink: bool = False
    passes: bool = False
    instant: bool = False
    lazy: bool = False
    device: bool = False
    shows: bool = False
    synonyms: tuple[str, ...] = ()

    def input(self, name: str) -> InputSpec | None:
        """The input of that name."""
        return self._by_name[0].get(name)

    def knob(self, name: str) -> KnobSpec | None:
        """The knob of that name."""
        return self._by_name[1].get(name)

    def output(self, name: str) -> OutputSpec | None:
        """The output of that name."""
        return self._by_name[2].get(name)

    @cached_property
    def _by_name(self) -> tuple[dict[str, InputSpec], dict[str, KnobSpec], dict[str, OutputSpec]]:
        return (
            {item.name: item for item in self.inputs},
            {item.name: item for item in self.knobs},
            {item.name: item for item in self.outputs},
        )

    @cached_property
    def many(self) -> dict[str, bool]:
        """Input → it takes a whole list."""
        return {item.name: item.many for item in self.inputs}

    @property
    def defaults(self) -> dict[str, Json]:
        """Knob values of a fresh node."""
        return {knob.name: knob.default for knob in self.knobs}


def coerce(knob: KnobSpec, value: object, choices: Mapping[str, tuple[str, ...]] | None = None) -> Json:
    """Return `value` as the knob holds it (a whole number given to a float knob becomes a float).

    Args:
        knob: The knob.
        value: What a file, a wire or an editor gives.
        choices: Extension kind → registered names, for knobs that choose among them.

    Raises:
        KnobError: It does not fit; nothing is clipped or guessed.
    """
    name = knob.name
    if knob.kind in ("int", "seed"):
        if isinstance(value, bool) or not isinstance(value, int):
            raise KnobError(f"“{name}” takes a whole number, not {_shown(value)}.")
        if not MIN_WHOLE <= value <= MAX_WHOLE:
            raise KnobError(f"“{name}” takes whole numbers of up to 64 bits; this one has more.")
        return _in_range(knob, value)
    if knob.kind == "float":
        number = _float(value)
        if number is None:
            raise KnobError(f"“{name}” takes a number, not {_shown(value)}.")
        return _in_range(knob, number)
    if knob.kind == "bool":
        if not isinstance(value, bool):
            raise KnobError(f"“{name}” takes yes or no, not {_shown(value)}.")
        return value
    if knob.kind in ("text", "choice", "file"):
        if not isinstance(value, str):
            raise KnobError(f"“{name}” takes text, not {_shown(value)}.")
        allowed = choices_of(knob, choices or {})
        if allowed is not None and value not in allowed:
            raise KnobError(f"“{name}” knows no {_shown(value)}; it takes {_listed(allowed)}.")
        return value
    return cast("Json", value)


def choices_of(knob: KnobSpec, choices: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The values a choice knob takes; None for knobs that are no choice."""
    if knob.kind != "choice":
        return None
    extension = knob.options.get("extension")
    if isinstance(extension, str):
        return choices.get(extension, ())
    return tuple(str(item) for item in cast("list[Json]", knob.options.get("choices", [])))


def _float(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _in_range(knob: KnobSpec, value: int | float) -> int | float:
    low, high = knob.options.get("min"), knob.options.get("max")
    too_low = isinstance(low, int | float) and value < low
    too_high = isinstance(high, int | float) and value > high
    if too_low or too_high:
        limits = (
            f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        )
        raise KnobError(f"“{knob.name}” takes {limits}, not {value}.")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown}, …" if len(names) > 12 else shown or "nothing that is installed"
