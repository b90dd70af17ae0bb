"""Calling a node's function, and taking what it returns apart into outputs that keep their promise."""

from __future__ import annotations

import copy
from collections.abc import Collection, Generator, Mapping
from typing import Any, cast

import numpy as np

from studio.context import Context
from studio.declare import NodeFunction
from studio.errors import Cancelled, NodeError, StudioError
from studio.spec import MAX_WHOLE, MIN_WHOLE, NodeSpec, OutputSpec
from studio.types import BOOL, FLOAT, IMAGE, INT, MASK, TEXT, Json

_SCALARS: dict[str, tuple[type, ...]] = {
    INT.name: (int,),
    FLOAT.name: (float, int),
    BOOL.name: (bool,),
    TEXT.name: (str,),
}
_ARRAYS = {IMAGE.name: 4, MASK.name: 3}


def start(
    function: NodeFunction[..., Any], context: Context, wires: Mapping[str, object], knobs: Mapping[str, Json]
) -> object:
    """Call the function; what it returns is its result, or, of a lazy node, a generator not yet begun."""
    arguments: list[object] = [context] if function.wants_context else []
    arguments.extend(wires.get(item.name) for item in function.spec.inputs)
    # Lists and objects are the document's own: the function gets copies, which it may write to.
    given = {
        name: copy.deepcopy(value) if isinstance(value, list | dict) else value
        for name, value in knobs.items()
    }
    return function.function(*arguments, **given)


def question(spec: NodeSpec, asked: object, before: Collection[str]) -> str:
    """What a lazy node yielded, if it is the name of an input that it did not ask for yet.

    Raises:
        NodeError: It is anything else, which might never end.
    """
    if not isinstance(asked, str) or spec.input(asked) is None:
        raise NodeError(f"It asks for {asked!r:.60}, which is none of its inputs.", "Tell its author.")
    if asked in before:
        raise NodeError(f"It asks for “{asked}” a second time.", "Tell its author.")
    return asked


def failure(error: BaseException) -> StudioError:
    """What stopped a node's code, as a sentence."""
    if isinstance(error, StudioError):
        return error
    if isinstance(error, MemoryError) or _says_out_of_memory(error):
        return NodeError("There is not enough memory for this.", "Make the picture or batch smaller.")
    if isinstance(error, Cancelled):
        return NodeError("It stopped as if cancelled, and nobody had cancelled it.", "Tell its author.")
    name = type(error).__name__
    return NodeError(f"It stopped with {name}: {error}.", "The engine's log has the details.")


def _says_out_of_memory(error: BaseException) -> bool:
    """True for torch's own errors, which are no MemoryError: on a card one class, on a CPU only words."""
    told = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in told or "can't allocate memory" in told)


def lazily(result: object) -> Generator[str, object, object]:
    """The generator of a lazy node.

    Raises:
        NodeError: It returned something else.
    """
    if not isinstance(result, Generator):
        raise NodeError("This node is declared lazy and did not ask for its inputs.", "Tell its author.")
    return cast("Generator[str, object, object]", result)


def outputs(spec: NodeSpec, result: object) -> dict[str, object]:
    """What a function returned, by output; arrays are sealed against writing.

    Raises:
        NodeError: An output is missing or is not what its type promises.
    """
    if not spec.outputs:
        return {}
    several = hasattr(result, "_fields")
    values = cast("tuple[object, ...]", result) if several else (result,)
    if len(values) != len(spec.outputs):
        raise NodeError(
            f"It gave {len(values)} outputs and promises {len(spec.outputs)}.", "Tell its author."
        )
    named = dict(zip((output.name for output in spec.outputs), values, strict=True))
    for output in spec.outputs:
        _check(output, named[output.name])
    return named


def _check(output: OutputSpec, value: object) -> None:
    if value is None:
        raise NodeError(
            f"It gave nothing at “{output.name}”.", "Tell its author; every output needs a value."
        )
    if output.many:
        if not isinstance(value, list):
            raise NodeError(f"“{output.name}” should be a list and is {_kind(value)}.", "Tell its author.")
        for item in cast("list[object]", value):
            _check_one(output, item)
    else:
        _check_one(output, value)


def _check_one(output: OutputSpec, value: object) -> None:
    kinds = _SCALARS.get(output.type)
    if kinds is not None:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise NodeError(
                f"“{output.name}” should be {output.type} and is {_kind(value)}.", "Tell its author."
            )
        if isinstance(value, int) and not MIN_WHOLE <= value <= MAX_WHOLE:
            raise NodeError(f"“{output.name}” is a whole number of more than 64 bits.", "Make it smaller.")
        return
    dimensions = _ARRAYS.get(output.type)
    if dimensions is not None:
        kind = _kind(value)
        array = cast("np.ndarray[Any, Any] | None", value if isinstance(value, np.ndarray) else None)
        if array is None or array.ndim != dimensions or array.dtype != np.float32:
            raise NodeError(
                f"“{output.name}” should be float32 with {dimensions} dimensions and is {kind}.",
                "Tell its author.",
            )
        array.setflags(write=False)


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, Any]", value)
        return f"{array.dtype} {list(array.shape)}"
    return type(value).__name__
