from __future__ import annotations

from pathlib import Path

import pytest

from studio.arguments import Place, UsageError, assignment, find_node
from studio.catalogue import Catalogue
from studio.document import Content
from studio.draws import draw
from studio.edits import SetKnob
from studio.graph import ExposedKnob, Graph, Interface, Node, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.types import Json

KNOBS = (
    KnobSpec("steps", "int", 20, {"min": 1, "max": 150}),
    KnobSpec("guidance", "float", 7.0, {"min": 0, "max": 30}),
    KnobSpec("seed", "seed", 0, {"min": 0, "max": 2**64 - 1}),
    KnobSpec("tiled", "bool", False),
    KnobSpec("prompt", "text", ""),
    KnobSpec("solver", "choice", "euler", {"extension": "solver"}),
    KnobSpec("path", "file", ""),
    KnobSpec("curve", "acme/curve", []),
)
SAMPLER = NodeSpec("core/k_sampler", knobs=KNOBS, inputs=(InputSpec("latent", "latent"),))
NUMBER = NodeSpec("core/number", outputs=(OutputSpec("value", "int"),))
CATALOGUE = Catalogue({spec.type: spec for spec in (SAMPLER, NUMBER)}, choices={"solver": ("euler", "ddim")})
INNER = Graph(
    {"k_sampler": Node("k_sampler", "core/k_sampler")},
    interface=Interface(knobs=(ExposedKnob("detail", "k_sampler", "steps"),)),
)
ROOT = Graph(
    {
        "k_sampler": Node("k_sampler", "core/k_sampler"),
        "number": Node("number", "core/number"),
        "sub": Node("sub", "refine"),
        "alien": Node("alien", "acme/unknown"),
    },
    {Socket("k_sampler", "seed"): Socket("number", "value")},
)
CONTENT = Content(graphs={"": ROOT, "refine": INNER})


def test_an_address_leads_through_subgraphs() -> None:
    assert find_node(CONTENT, "k_sampler") == Place("", ROOT.nodes["k_sampler"])
    assert find_node(CONTENT, "sub/k_sampler") == Place("refine", INNER.nodes["k_sampler"])


@pytest.mark.parametrize("address", ["", "/", "sub/", "sub/nobody", "k_sampler/k_sampler", "nobody/x", "."])
def test_an_address_of_nothing_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="There is no node"):
        find_node(CONTENT, address)


def test_a_slip_of_the_keyboard_is_answered_with_what_comes_near() -> None:
    with pytest.raises(UsageError, match="Did you mean “k_sampler”"):
        find_node(CONTENT, "k_smapler")
    with pytest.raises(UsageError, match="Did you mean “sub/k_sampler”"):
        find_node(CONTENT, "sub/ksampler")
    with pytest.raises(UsageError, match="Did you mean “guidance”"):
        assignment(CONTENT, CATALOGUE, "k_sampler.guidence=3")
    with pytest.raises(UsageError, match="There is: k_sampler, number, sub, alien"):
        find_node(CONTENT, "???")


@pytest.mark.parametrize(
    ("text", "knob", "value"),
    [
        ("steps=30", "steps", 30),
        ("guidance=7", "guidance", 7.0),
        ("guidance=7.31", "guidance", 7.31),
        ("tiled=true", "tiled", True),
        ("prompt=a = b", "prompt", "a = b"),
        ("prompt=", "prompt", ""),
        ("prompt=7", "prompt", "7"),
        ("solver=ddim", "solver", "ddim"),
        ("path=nowhere.png", "path", "nowhere.png"),
        ("curve=[[0, 1]]", "curve", [[0, 1]]),
    ],
)
def test_a_value_is_read_as_its_knob_means_it(text: str, knob: str, value: Json) -> None:
    edit = assignment(CONTENT, CATALOGUE, f"k_sampler.{text}")
    assert edit == SetKnob("", "k_sampler", knob, value)
    assert type(edit.value) is type(value)


def test_a_knob_inside_a_definition_and_one_that_it_shows_can_be_set() -> None:
    assert assignment(CONTENT, CATALOGUE, "sub/k_sampler.seed=18446744073709551615") == SetKnob(
        "refine", "k_sampler", "seed", 2**64 - 1
    )
    assert assignment(CONTENT, CATALOGUE, "sub.detail=9") == SetKnob("", "sub", "detail", 9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k_sampler",
        "k_sampler.steps",
        "steps=3",
        "=3",
        ".steps=3",
        "k_sampler.=3",
        "k_sampler.steps=",
        "k_sampler.steps=many",
        "k_sampler.steps=3.5",
        "k_sampler.steps=true",
        "k_sampler.steps=151",
        "k_sampler.steps=" + "9" * 5000,
        "k_sampler.guidance=NaN",
        "k_sampler.guidance=Infinity",
        "k_sampler.tiled=yes",
        "k_sampler.tiled=1",
        "k_sampler.solver=magic",
        "k_sampler.curve=[",
        "sub.steps=3",
        "alien.steps=3",
    ],
)
def test_what_sets_nothing_or_does_not_fit_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        assignment(CONTENT, CATALOGUE, text)
    assert str(caught.value).endswith((".", "?"))


def test_a_knob_that_a_wire_feeds_is_set_elsewhere() -> None:
    with pytest.raises(UsageError, match="fed by a wire from “number”"):
        assignment(CONTENT, CATALOGUE, "k_sampler.seed=3")


def test_a_file_is_looked_for_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert assignment(CONTENT, CATALOGUE, "k_sampler.path=a.png").value == str(tmp_path / "a.png")


def test_values_are_drawn_for_every_use_of_a_definition_and_end_where_it_holds_itself() -> None:
    lucky = Node("k", "core/k_sampler", look={"new_each_run": ["seed"]})
    inner = Graph({"k": lucky, "again": Node("again", "inner")})
    root = Graph({"k": lucky, "a": Node("a", "inner"), "b": Node("b", "inner"), "c": Node("c", "gone")})
    content = Content(graphs={"": root, "inner": inner})
    first, second = draw(content), draw(content)
    assert first.keys() == {"k", "a/k", "b/k"}
    assert all(0 <= value < 2**53 for knobs in first.values() for value in knobs.values())  # type: ignore[operator]
    assert first != second
