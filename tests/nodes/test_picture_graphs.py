from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from studio.cache.store import Store
from studio.document import Content
from studio.events import Event, NodeChanged, NodeFailed
from studio.executor import Executor, Request
from studio.graph import ROOT, Graph, Node, Socket
from studio.paths import assets_dir
from studio.types import Json
from tests.studio.diffusion.bench import registry, store
from tests.studio.upscalers import saved, srvgg

PALM = str(assets_dir() / "pictures" / "palm_tree.png")
Wires = dict[str, str]


def run(folder: Path, nodes: dict[str, tuple[str, dict[str, Json]]], wires: Wires) -> dict[str, str]:
    """Run a graph, and return node → state, or what it failed with."""
    placed = {name: Node(name, f"core/{kind}", params=knobs) for name, (kind, knobs) in nodes.items()}
    joined = {Socket(*to.split(".")): Socket(*origin.split(".")) for to, origin in wires.items()}
    states: dict[str, str] = {}

    def note(event: Event) -> None:
        if isinstance(event, NodeChanged):
            states[event.node] = event.state
        elif isinstance(event, NodeFailed):
            states[event.node] = f"failed: {event.title}"

    kept = Store(2**28, None)
    executor = Executor(registry(), kept, emit=note, weights=store())
    try:
        content = Content(graphs={ROOT: Graph(placed, joined)})
        executor.run(Request("run", content, output_dir=folder), threading.Event())
    finally:
        executor.close()
        kept.close()
    return states


def test_cut_out_enlarged_compared_and_put_back(tmp_path: Path) -> None:
    model = saved(tmp_path / "2x.safetensors", srvgg(scale=2))
    nodes: dict[str, tuple[str, dict[str, Json]]] = {
        "picture": ("load_image", {"path": PALM}),
        "where": ("shape_mask", {"width": 128, "height": 128}),
        "crop": ("crop_to_mask", {"padding": 4}),
        "model": ("load_upscale_model", {"path": str(model)}),
        "large": ("upscale_with_model", {"tile": 64}),
        "small": ("scale_image", {"factor": 0.5, "method": "area"}),
        "back": ("composite_images", {}),
        "compare": ("compare_images", {}),
        "told": ("show_value", {}),
        "grid": ("compare_grid", {"labels": "before\nafter"}),
        "save": ("save_image", {}),
    }
    wires = {
        "crop.image": "picture.image",
        "crop.mask": "where.mask",
        "large.upscale_model": "model.upscale_model",
        "large.image": "crop.image",
        "small.image": "large.image",
        "back.below": "picture.image",
        "back.above": "small.image",
        "back.mask": "crop.mask",
        "back.left": "crop.left",
        "back.top": "crop.top",
        "compare.first": "picture.image",
        "compare.second": "back.image",
        "told.value": "compare.psnr",
        "grid.first": "picture.image",
        "grid.second": "back.image",
        "save.image": "grid.image",
    }
    assert run(tmp_path, nodes, wires) == dict.fromkeys(nodes, "ran")
    assert len(list(tmp_path.glob("**/*.png"))) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("canny", "line_art", "soft_edge", "scribble", "threshold", "normal"),
        *("tile", "blur", "colour", "invert", "shuffle"),
    ],
)
def test_every_preprocessor_runs_by_its_name(tmp_path: Path, name: str) -> None:
    nodes: dict[str, tuple[str, dict[str, Json]]] = {
        "picture": ("load_image", {"path": PALM}),
        "hint": ("preprocess", {"preprocessor": name}),
    }
    assert run(tmp_path, nodes, {"hint.image": "picture.image"}) == dict.fromkeys(nodes, "ran")
    found = registry().extension("preprocessor", name).load()(np.zeros((1, 8, 8, 3), np.float32))
    assert found.shape == (1, 8, 8, 3)
