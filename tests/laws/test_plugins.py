"""Whatever a package brings is found, named after the package, and loaded when it is needed."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from studio.cache import codec
from studio.cache.store import Store
from studio.catalogue import Catalogue
from studio.declare import Knob
from studio.document import Content
from studio.errors import StudioError
from studio.events import Event, NodeChanged
from studio.executor import Executor, Request
from studio.graph import ROOT, Graph, Node, Socket
from studio.types import Model, Patch, WireType
from tests.laws import examples
from tests.laws.everything import SAMPLE, registry

KINDS = ("solver", "schedule", "guider", "patch", "preprocessor", "family")


def test_a_package_is_found_by_its_entry_point() -> None:
    assert registry().packages["acme"] == "1.0"
    assert str(SAMPLE) not in sys.path
    assert "acme" not in entry_points(group="studio.nodes").names


def test_its_nodes_carry_its_name() -> None:
    nodes = {name for name in registry().nodes if name.startswith("acme/")}
    assert nodes == {"acme/depth_from_brightness", "acme/depth_parts", "acme/load_grey", "acme/stripes"}


def test_its_wire_type_is_known_and_used() -> None:
    wire = registry().wires["acme/depth"]
    assert wire == WireType("acme/depth", "#4ecdc4", "float32 [N, H, W], metres from the camera")
    spec = registry().specs["acme/depth_parts"]
    assert [item.type for item in spec.inputs] == ["acme/depth"]
    assert [(item.name, item.type) for item in spec.outputs] == [("front", "mask"), ("back", "mask")]


@pytest.mark.parametrize("kind", KINDS)
def test_its_named_parts_stand_beside_the_built_in_ones(kind: str) -> None:
    assert any(name.startswith("acme_") for name in registry().choices[kind])


def test_a_named_part_is_imported_when_it_is_first_used() -> None:
    solver = registry().extension("solver", "acme_midpoint")
    assert solver.load().steps.__name__ == "midpoint"


def test_a_named_part_that_is_not_there_is_no_trouble_before_it_is_used() -> None:
    gone = registry().extension("solver", "acme_gone")
    with pytest.raises(ImportError):
        gone.load()
    with pytest.raises(StudioError, match="There is no solver named “acme_other”"):
        registry().extension("solver", "acme_other")


def test_a_module_that_cannot_be_imported_is_one_problem() -> None:
    problems = [problem for problem in registry().problems if "acme" in problem.title]
    assert len(problems) == 1
    assert problems[0].kind == "package"
    assert "acme.broken" in problems[0].title
    assert "acme_library_that_is_not_installed" in problems[0].title
    assert problems[0].remedy


def test_a_kind_of_knob_that_nobody_knows_keeps_its_options() -> None:
    knob = registry().specs["acme/stripes"].knob("curve")
    assert knob
    assert Knob(knob.kind, knob.options) == Knob("acme/curve", {"points": 3})
    assert knob.default == [0.0, 0.5, 1.0]
    assert knob.wire is None


def test_old_parameters_climb_the_whole_ladder() -> None:
    old = {"size": 32, "angle": 90.0, "grain": 5}
    new = {"width": 32, "height": 32, "turns": 0.25, "grain": 5}
    assert registry().upgrade("acme/stripes", 1, old) == (3, new)
    assert registry().upgrade("acme/stripes", 3, new) == (3, new)
    with pytest.raises(StudioError, match="saved by version 4; version 3 is installed"):
        registry().upgrade("acme/stripes", 4, new)


def test_the_editor_learns_all_of_it_as_data() -> None:
    catalogue = registry().catalogue()
    assert Catalogue.from_json(catalogue.to_json()) == catalogue
    assert "acme_midpoint" in catalogue.choices["solver"]


def test_the_sampler_takes_its_solver_and_its_schedule() -> None:
    settings = {**examples.knobs("core/k_sampler"), "solver": "acme_midpoint", "schedule": "acme_even"}
    latent = examples.call("core/k_sampler", settings)
    usual = examples.call("core/k_sampler")
    assert latent.samples.shape == usual.samples.shape
    assert latent.samples.isfinite().all()
    assert not latent.samples.equal(usual.samples)


def test_the_sampler_takes_its_guider() -> None:
    inputs = examples.inputs("core/sample_custom")
    made = []
    for kind in ("classifier_free", "acme_steady"):
        settings = {**examples.knobs("core/cfg_guider"), "kind": kind}
        given = {**examples.inputs("core/cfg_guider"), "negative": examples.call("core/encode_text")}
        given["positive"] = examples.call(
            "core/encode_text", {**examples.knobs("core/encode_text"), "text": "x"}
        )
        guider = examples.call("core/cfg_guider", settings, given)
        made.append(examples.call("core/sample_custom", wired={**inputs, "guider": guider}).latent.samples)
    assert made[1].isfinite().all()
    assert not made[0].equal(made[1])


def test_the_sampler_takes_a_model_of_its_family() -> None:
    model = examples.call("acme/load_grey", {"level": 0.25})
    inputs = {**examples.inputs("core/k_sampler"), "model": model}
    latent = examples.call("core/k_sampler", examples.knobs("core/k_sampler"), inputs)
    assert latent.samples.sub(0.25).abs().max() < 0.01


def test_its_patch_is_worn_and_taken_off() -> None:
    model = examples.call("acme/load_grey", {"level": 0.25})
    patch = Patch("acme_soften", params={"amount": 0.5})
    patched = Model(replace(model.recipe, patches=(patch,)))
    for used, level in ((patched, 0.125), (model, 0.25)):
        inputs = {**examples.inputs("core/k_sampler"), "model": used}
        latent = examples.call("core/k_sampler", examples.knobs("core/k_sampler"), inputs)
        assert latent.samples.sub(level).abs().max() < 0.01


def test_its_values_are_kept_by_the_cache() -> None:
    depth = examples.call("acme/depth_from_brightness")
    encoded = codec.encode(depth)
    back = codec.decode(encoded.header, encoded.buffers)
    assert type(back) is type(depth)
    assert codec.digest(back) == codec.digest(depth)


def test_its_nodes_run_in_a_graph(tmp_path: Path) -> None:
    nodes = {
        "stripes": Node("stripes", "acme/stripes", version=1, params={"size": 32, "angle": 90.0}),
        "depth": Node("depth", "acme/depth_from_brightness"),
        "parts": Node("parts", "acme/depth_parts"),
        "invert": Node("invert", "core/invert_mask"),
    }
    wires = {
        Socket("depth", "image"): Socket("stripes", "image"),
        Socket("parts", "depth"): Socket("depth", "depth"),
        Socket("invert", "mask"): Socket("parts", "front"),
    }
    content = Content(graphs={ROOT: Graph(nodes, wires)})
    states: dict[str, str] = {}

    def note(event: Event) -> None:
        if isinstance(event, NodeChanged):
            states[event.node] = event.state

    store = Store(2**24, None)
    executor = Executor(registry(), store, emit=note)
    try:
        finished = executor.run(Request("run", content, output_dir=tmp_path), threading.Event())
    finally:
        executor.close()
        store.close()
    assert finished.state == "done"
    assert states == dict.fromkeys(nodes, "ran")
