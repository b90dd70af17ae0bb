"""Calling functions, and what they may return."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from studio.api import Context, Image, Json, Mask, NodeError, RunFacts, node
from studio.errors import Cancelled, StudioError
from studio.invoke import failure, lazily, outputs, question, start
from tests.studio import toys

SPECS = toys.CATALOGUE.specs


class Two(NamedTuple):
    image: Image
    masks: list[Mask]


@node("two", category="Toys")
def two() -> Two:
    """Give two."""
    raise NotImplementedError


@node("real", category="Toys")
def real(*, value: float = 0.0) -> float:
    """Give a number."""
    return value


@node("collect", category="Toys")
def collect(
    ctx: Context,
    left: toys.Grain,
    right: toys.Grain | None = None,
    *,
    words: list[Json] = [],  # noqa: B006 - data
) -> int:
    """Say what was given."""
    words.append(ctx.node)
    return len(words) * 100 + left.value * 10 + (right.value if right else 0)


def context() -> Context:
    facts = RunFacts("run", datetime.now().astimezone(), Path())
    return Context("n", facts, threading.Event(), lambda *_: None, lambda _: None)


def image(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def test_wires_go_by_order_knobs_by_name_and_unwired_inputs_are_none() -> None:
    words: list[Json] = ["x"]
    assert start(collect, context(), {"left": toys.Grain(4)}, {"words": words}) == 240
    assert start(collect, context(), {"right": toys.Grain(3), "left": toys.Grain(4)}, {"words": words}) == 243
    assert words == ["x"], "the function had a copy"


def test_outputs_are_taken_apart_by_name_and_sealed() -> None:
    picture, mask = image(1, 2, 2, 3), image(1, 2, 2)
    assert outputs(two.spec, Two(picture, [mask])) == {"image": picture, "masks": [mask]}
    assert not picture.flags.writeable
    assert not mask.flags.writeable
    assert outputs(SPECS["toy/keep"], None) == {}
    assert outputs(real.spec, 3) == {"float": 3}


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (image(1, 2, 2, 3), "It gave 1 outputs and promises 2."),
        (Two(None, []), "It gave nothing at “image”."),  # pyright: ignore[reportArgumentType]
        (Two(image(2, 2, 3), []), "“image” should be float32 with 4 dimensions and is float32 [2, 2, 3]."),
        (
            Two(image(1, 2, 2, 3).astype(np.float64), []),
            "“image” should be float32 with 4 dimensions and is float64 [1, 2, 2, 3].",
        ),
        (Two([[0.0]], []), "“image” should be float32 with 4 dimensions and is list."),  # pyright: ignore[reportArgumentType]
        (Two(image(1, 2, 2, 3), image(1, 2, 2)), "“masks” should be a list and is float32 [1, 2, 2]."),
        (Two(image(1, 2, 2, 3), [5]), "“masks” should be float32 with 3 dimensions and is int."),  # pyright: ignore[reportArgumentType]
    ],
)
def test_broken_promises_are_told(result: object, told: str) -> None:
    with pytest.raises(NodeError) as error:
        outputs(two.spec, result)
    assert error.value.title == told
    assert error.value.remedy.startswith("Tell its author")


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (True, "is bool"),
        (1.0, "is float"),
        ("1", "is str"),
        (1 << 64, "more than 64 bits"),
        (None, "nothing"),
    ],
)
def test_numbers_are_numbers(result: object, told: str) -> None:
    with pytest.raises(NodeError, match=told):
        outputs(SPECS["toy/number"], result)


def test_whatever_stops_a_node_becomes_a_sentence() -> None:
    mine = NodeError("Mine.", "Do.")
    assert failure(mine) is mine
    assert failure(ValueError("x")).title == "It stopped with ValueError: x."
    assert "memory" in failure(MemoryError()).title
    assert "nobody had cancelled" in failure(Cancelled()).title
    assert isinstance(failure(KeyboardInterrupt()), StudioError)


def test_a_lazy_node_asks_for_its_inputs_once_each() -> None:
    spec = SPECS["toy/first_heavy"]
    assert question(spec, "a", ()) == "a"
    with pytest.raises(NodeError, match="“a” a second time"):
        question(spec, "a", ("a",))
    for odd in ("limit", "c", 5, None, ["a"]):
        with pytest.raises(NodeError, match="none of its inputs"):
            question(spec, odd, ())
    with pytest.raises(NodeError, match="did not ask"):
        lazily(5)
