"""Functions as nodes: what a signature becomes, and every way in which it can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from studio.api import Context, Extension, File, Image, Knob, Mask, Range, Seed, Solver, Text, WireType, node
from studio.declare import DeclarationError, NodeFunction, wire_of
from studio.spec import MAX_SEED, KnobSpec
from studio.types import Json, Latent
from tests.studio.toys import Grain

T = TypeVar("T")
Depth = Annotated[NDArray[np.float32], WireType("acme/depth", "#000000", "metres")]


class Parts(NamedTuple):
    """What comes apart.

    Attributes:
        image: The picture.
        masks: One for each part,
            in order.
    """

    image: Image
    masks: list[Mask]


@node("take_apart", category="Toys", version=3, device=True, synonyms=("Split",))
def take_apart(
    ctx: Context,
    image: Image,
    depth: Depth | None = None,
    others: list[Latent] | None = None,
    *,
    seed: Seed = 0,
    steps: Annotated[int, Range(1, 150, step=5)] = 20,
    strength: Annotated[float, Range(0, 1)] = 1,
    words: Annotated[str, Text(multiline=True)] = "",
    path: Annotated[str, File(content="model", folder=True)] = "",
    fit: Literal["crop", "inside"] = "crop",
    solver: Solver = "euler",
    curve: Annotated[list[Json], Knob("acme/curve", {"points": 3})] = [],  # noqa: B006 - data
    on: bool = True,
) -> Parts:
    """Take a picture apart,
    carefully.

    More words that nobody sees.

    Args:
        image: The picture: all of it.
        depth: How far.
        others: Whatever
            else there is.
        seed: A number.

    Returns:
        steps: no argument.
    """
    return Parts(image, [])


def test_a_signature_becomes_sockets_and_knobs() -> None:
    spec = take_apart.spec
    assert (spec.type, spec.version, spec.title) == ("take_apart", 3, "Take apart")
    assert spec.doc == "Take a picture apart, carefully."
    assert spec.device
    assert spec.synonyms == ("Split",)
    assert take_apart.wants_context
    assert [(item.name, item.type, item.many, item.optional) for item in spec.inputs] == [
        ("image", "image", False, False),
        ("depth", "acme/depth", False, True),
        ("others", "latent", True, True),
    ]
    assert [(item.name, item.type, item.many, item.doc) for item in spec.outputs] == [
        ("image", "image", False, "The picture."),
        ("masks", "mask", True, "One for each part, in order."),
    ]


def test_annotations_become_kinds_and_options() -> None:
    knobs = {knob.name: (knob.kind, dict(knob.options)) for knob in take_apart.spec.knobs}
    assert knobs == {
        "seed": ("seed", {"min": 0, "max": MAX_SEED}),
        "steps": ("int", {"min": 1, "max": 150, "step": 5}),
        "strength": ("float", {"min": 0, "max": 1}),
        "words": ("text", {"multiline": True}),
        "path": ("file", {"content": "model", "folder": True, "empty": False}),
        "fit": ("choice", {"choices": ["crop", "inside"]}),
        "solver": ("choice", {"extension": "solver"}),
        "curve": ("acme/curve", {"points": 3}),
        "on": ("bool", {}),
    }


def test_the_docstring_becomes_tooltips() -> None:
    docs = {part.name: part.doc for part in (*take_apart.spec.inputs, *take_apart.spec.knobs)}
    assert docs["image"] == "The picture: all of it."
    assert docs["others"] == "Whatever else there is."
    assert docs["seed"] == "A number."
    assert docs["steps"] == ""


def test_calling_a_node_calls_its_function() -> None:
    @node("twice", category="Toys")
    def twice(*, value: int = 1) -> int:
        """Double."""
        return value * 2

    assert twice(value=4) == 8
    assert twice.spec.outputs[0].name == "int"


def test_flags_follow_from_the_declaration() -> None:
    @node("save", category="Toys", sink=True)
    def save(grain: Grain) -> None:
        """Save."""

    @node("lead", category="Toys", passes=True)
    def lead(value: T, other: T | None = None) -> Generator[str, T, T]:
        """Lead."""
        return (yield "value")

    assert (save.spec.shows, save.spec.outputs) == (True, ())
    assert (lead.spec.lazy, lead.spec.instant, lead.spec.inputs[0].type) == (True, True, "any")
    assert lead.spec.outputs[0].name == "value"


def test_upgrades_are_kept_beside_the_node() -> None:
    @node("old", category="Toys", version=2)
    def old(*, size: int = 1) -> int:
        """Be old."""
        return size

    @old.upgrade(1)
    def rename(params: dict[str, Json]) -> dict[str, Json]:
        return {"size": params["width"]}

    assert old.upgrades == {1: rename}


def wrong(function: Callable[..., object], **flags: Any) -> str:
    """The sentence with which a function is refused."""
    with pytest.raises(DeclarationError) as error:
        node(flags.pop("name", "wrong"), category="Toys", **flags)(function)
    assert str(error.value).startswith("node ")
    assert str(error.value).endswith(".")
    return str(error.value)


def test_wires_can_be_wrong() -> None:
    def untyped(image) -> Grain: ...
    def defaulted(grain: Grain = 5) -> Grain: ...
    def unknown(thing: object) -> Grain: ...
    def packed(*grains: Grain) -> Grain: ...
    def named(**grains: Grain) -> Grain: ...
    def union(either: Grain | int) -> Grain: ...
    def nested(grains: list[list[Grain]]) -> Grain: ...
    def bare(grains: list) -> Grain: ...
    def ghostly(grain: Ghost) -> Grain: ...  # noqa: F821
    def late(grain: Grain, ctx: Context) -> Grain: ...
    def marked(curve: Annotated[dict[str, Json], Knob("acme/curve", {"points": [1]})]) -> Grain: ...

    assert "“image” has no annotation" in wrong(untyped)
    assert "“grain” is a wire and can only default to None" in wrong(defaulted)
    assert "“thing” is of <class 'object'>, which is no wire type" in wrong(unknown)
    assert "“grains” is variadic" in wrong(packed)
    assert "“grains” is variadic" in wrong(named)
    assert "“either” is of" in wrong(union)
    assert "“grains” is a list of lists" in wrong(nested)
    assert "“grains” is of" in wrong(bare)
    assert "its signature cannot be read: name 'Ghost' is not defined" in wrong(ghostly)
    assert "“ctx” is the context, which comes first" in wrong(late)
    assert "“curve” is of" in wrong(marked)


def test_knobs_can_be_wrong() -> None:
    def bare(*, steps: int) -> Grain: ...
    def outside(*, steps: Annotated[int, Range(1, 5)] = 9) -> Grain: ...
    def other(*, steps: int = "9") -> Grain: ...
    def nothing(*, steps: int = None) -> Grain: ...  # noqa: RUF013
    def thing(*, grain: Grain = None) -> Grain: ...
    def choice(*, fit: Literal["a", "b"] = "c") -> Grain: ...
    def solver(*, solver: Solver = 5) -> Grain: ...
    def untyped(*, steps=5) -> Grain: ...

    assert "“steps” is a knob and needs a default" in wrong(bare)
    assert "“steps” has a default it does not take: “steps” takes 1 to 5, not 9." in wrong(outside)
    assert "takes a whole number, not '9'" in wrong(other)
    assert "takes a whole number, not None" in wrong(nothing)
    assert "for which there is no knob" in wrong(thing)
    assert "“fit” knows no 'c'" in wrong(choice)
    assert "“solver” takes text, not 5" in wrong(solver)
    assert "“steps” has no annotation" in wrong(untyped)


def test_results_can_be_wrong() -> None:
    def strange() -> object: ...
    def lists() -> list[list[Grain]]: ...
    def lazy_without_saying(a: Grain) -> Grain:
        yield "a"

    async def later() -> Grain: ...
    def gives() -> Grain: ...
    def silent() -> None: ...
    def asks(a: Grain) -> Generator[str, Grain, Grain]:
        return (yield "a")

    assert "“return” is of" in wrong(strange)
    assert "“return” is a list of lists" in wrong(lists)
    assert "“return” should be Generator" in wrong(lazy_without_saying)
    assert "“return” is a coroutine" in wrong(later)
    assert "is a sink and gives something" in wrong(gives, sink=True)
    assert "is a sink, which planning must not carry out" in wrong(silent, sink=True, instant=True)
    assert "needs exactly one output" in wrong(silent, passes=True)
    assert "which planning cannot answer" in wrong(asks, instant=True)


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "a b"])
def test_names_and_versions_can_be_wrong(name: str) -> None:
    def fine() -> Grain: ...

    assert "has a name that no file can hold" in wrong(fine, name=name)
    assert "has a version below 1" in wrong(fine, version=0)


def test_wires_have_names() -> None:
    assert [wire_of(hint) for hint in (int, float, bool, str, Image, Grain, T)] == [
        "int",
        "float",
        "bool",
        "text",
        "image",
        "toy/grain",
        "any",
    ]
    assert wire_of(Annotated[int, "a remark"]) == "int"
    assert wire_of([1]) is None


def test_an_extension_is_imported_when_it_is_used() -> None:
    found = Extension("solver", "euler", "studio.spec:KnobSpec", "Steps.")
    assert found.load() is KnobSpec
    assert isinstance(take_apart, NodeFunction)
