"""One call of a node, made on a thread of its own: load what it takes, call, check, keep."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from studio.calls import Bound, Call, Ref
from studio.errors import Cancelled, NodeError, StudioError
from studio.ground import Gone, Ground
from studio.invoke import failure, lazily, outputs, question, start

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """The call gave its outputs, in `seconds`; they are in the store unless the node is a sink."""

    seconds: float
    outputs: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Asked:
    """A lazy node wants another input."""

    name: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A value that was kept is no longer there."""

    key: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run was cancelled while it worked."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not finish."""

    error: StudioError


Outcome = Done | Asked | Lost | Stopped | Failed


def carry_out(
    call: Call,
    ground: Ground,
    base_cost: float,
    keep_seconds: float,
) -> Outcome:
    """Make a call and keep what it gives.

    Args:
        call: What to call, with what.
        ground: Functions, store, context.
        base_cost: Seconds it would take a fresh process to have its inputs again.
        keep_seconds: What costs more than this is kept on disk; 0 keeps anything.
    """
    try:
        return _carry_out(call, ground, base_cost, keep_seconds)
    except Gone as gone:
        return Lost(gone.key)
    except BaseException as error:  # noqa: BLE001 - a node's code; its failure is that node's alone
        if isinstance(error, Cancelled) and ground.cancelled():
            return Stopped()
        if not isinstance(error, StudioError):
            _log.info("%s (%s) failed", call.flat.address, call.flat.spec.type, exc_info=True)
        return Failed(failure(error))


def _carry_out(
    call: Call,
    ground: Ground,
    base_cost: float,
    keep_seconds: float,
) -> Outcome:
    spec = call.flat.spec
    wires = {name: _loaded(bound, ground) for name, bound in call.inputs.items()}
    context = ground.context(call.flat.address, call.key)
    began = time.perf_counter()
    lazy_wires = {name: value for name, value in wires.items() if name not in call.asked}
    result = start(ground.functions[spec.type], context, lazy_wires, call.knobs)
    if spec.lazy:
        result = _answered(call, result, wires)
        if isinstance(result, Asked):
            return result
    given = outputs(spec, result)
    seconds = time.perf_counter() - began
    if not spec.sink:
        keep = spec.device or seconds + base_cost > keep_seconds
        try:
            ground.store.put(call.key, given, seconds=seconds, keep=keep)
        except TypeError as error:
            raise NodeError(f"What it gave cannot be kept: {error}", "Tell its author.") from error
    return Done(seconds, given)


def _answered(call: Call, result: object, wires: Mapping[str, object]) -> object:
    """Give a lazy node the inputs it asks for, as far as they are known."""
    asking = lazily(result)
    answers = list(call.asked)
    asked: list[str] = []
    answer: object = None
    try:
        while True:
            name = question(call.flat.spec, asking.send(answer), asked)
            if not answers:
                asking.close()
                return Asked(name)
            if name != answers.pop(0):
                raise NodeError("It asks for other inputs each time it is called.", "Tell its author.")
            asked.append(name)
            answer = wires[name]
    except StopIteration as stop:
        return cast("object", stop.value)


def _loaded(bound: Bound, ground: Ground) -> object:
    return ground.value(bound) if isinstance(bound, Ref) else [ground.value(ref) for ref in bound]
