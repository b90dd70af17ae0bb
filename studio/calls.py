"""Calls of nodes, and what they are given: references to values by key, never the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from studio.cache import codec
from studio.cache.header import ABSENT
from studio.errors import NodeError
from studio.flatten import FlatNode
from studio.keys import canonical, digest
from studio.types import Json


@dataclass(slots=True, eq=False)
class Ref:
    """A value that a call gives, or will give. Not written to; frozen would cost a third of planning.

    Attributes:
        id: What enters the keys of those that take it.
        call: Key of the call it comes out of; empty where `value` is held here.
        output: Name of that call's output.
        index: Element of that output, where it is a list.
        kind: ``value``; ``scalar``, which enters keys by value once the call is done; ``list``, whose
            elements are known once the call is done.
        value: The value itself, if planning knows it.
    """

    id: str
    call: str = ""
    output: str = ""
    index: int | None = None
    kind: Literal["value", "scalar", "list"] = "value"
    value: object = ABSENT


Bound: TypeAlias = "Ref | tuple[Ref, ...]"
"""What a socket is bound to: one value, or a list of them."""


@dataclass(slots=True)
class Call:
    """One call of a node's function.

    Attributes:
        key: Under which its outputs are kept; of a sink, only a name for the call.
        flat: The node.
        knobs: Values its function gets; files as absolute paths.
        inputs: Wires it is given.
        files: Knob or file name → digest.
        numerics: Of a node that uses weights.
        asked: Of a lazy node: the inputs it is known to ask for, in order.
    """

    key: str
    flat: FlatNode
    knobs: dict[str, Json]
    inputs: dict[str, Bound]
    files: dict[str, str]
    numerics: str
    asked: tuple[str, ...] = ()

    def refs(self) -> Iterator[Ref]:
        """Every value it takes."""
        for bound in self.inputs.values():
            if isinstance(bound, Ref):
                yield bound
            else:
                yield from bound

    def ingredients(self) -> dict[str, Json]:
        """What its key was made of, for telling later why it ran."""
        inputs: dict[str, Json] = {}
        for name, bound in self.inputs.items():
            source = self.flat.wires.get(name)
            inputs[name] = [digest(canonical(ids(bound))), source.address if source else ""]
        return {
            "type": self.flat.spec.type,
            "version": self.flat.spec.version,
            "knobs": self.knobs,
            "inputs": inputs,
            "files": dict(self.files),
            "numerics": self.numerics,
        }


def fan_out(
    node: str, many: Mapping[str, bool], inputs: Mapping[str, Bound]
) -> list[dict[str, Bound]] | None:
    """One set of inputs per call: lists given to plain inputs are taken element by element.

    Equal lengths go side by side, a list of one is given to every call, an empty list makes no call.

    Args:
        node: For the sentence.
        many: Input → it takes a whole list.
        inputs: What is wired.

    Returns:
        The inputs of each call; None where nothing fans out, so that there is one plain call.

    Raises:
        NodeError: Lists of different lengths meet.
    """
    lengths: dict[str, int] = {}
    for name, bound in inputs.items():
        if isinstance(bound, tuple) and not many.get(name, False):
            lengths[name] = len(bound)
    if not lengths:
        return None
    counts = set(lengths.values()) - {1}
    if len(counts) > 1:
        told = ", ".join(f"“{name}” has {length}" for name, length in lengths.items() if length != 1)
        raise NodeError(
            f"The lists that meet at “{node}” are of different lengths: {told}.",
            "Make them equally long, or one of them a single value.",
        )
    count = counts.pop() if counts else 1
    return [
        {
            name: (bound[index if len(bound) > 1 else 0] if name in lengths else bound)  # type: ignore[index]
            for name, bound in inputs.items()
        }
        for index in range(count)
    ]


def ids(bound: Bound) -> str | tuple[str, ...]:
    """What a bound input adds to a key."""
    return bound.id if isinstance(bound, Ref) else tuple(ref.id for ref in bound)


def known(value: object, fallback_id: str) -> Ref:
    """A reference to a value that planning holds; recipes and scalars are known by what they say."""
    if isinstance(value, bool | int | float | str):
        return Ref(f"={digest(canonical(value))}", value=value)
    if hasattr(value, "key_part") or hasattr(getattr(value, "recipe", None), "key_part"):
        with suppress(TypeError):  # of a class that the cache does not know: known by origin
            return Ref(f"={codec.digest(value)}", value=value)
    return Ref(fallback_id, value=value)
