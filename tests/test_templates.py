"""Every template that ships is what its code draws, tidy, and runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from docs.templates import book
from docs.templates.sheet import FOLDER, Sheet, sheets
from studio.cache.store import Store
from studio.diffusion import tensors
from studio.document import Content
from studio.events import Event, NodeFailed
from studio.executor import Executor, Request
from studio.files import workflow
from studio.graph import ROOT, Graph, Node
from studio.paths import HOME_VARIABLE
from tests import stand_ins
from tests.parity.conftest import quiet
from tests.stand_ins import Make
from tests.studio.diffusion.bench import registry, store

tensors.register()
__all__ = ["book", "quiet"]  # one draws, the other keeps libraries from warning
DRAWN = sheets()
FAMILIES = {Path(sheet.path).name for sheet in DRAWN if sheet.path.startswith("families/")}
ASKED: Mapping[str, Mapping[str, Make]] = {
    "larger/upscale_model": {"load_upscale_model.path": stand_ins.upscaler},
    "models/lora": {"load_lora.path": stand_ins.lora},
    "models/controlnet": {"load_controlnet.path": stand_ins.controlnet},
    "models/several_controlnets": {
        "load_controlnet.path": stand_ins.controlnet,
        "load_controlnet_2.path": stand_ins.controlnet,
    },
    "models/ip_adapter": {
        "load_clip_vision.path": stand_ins.clip_vision,
        "load_ip_adapter.path": stand_ins.ip_adapter,
    },
    "models/style_transfer": {
        "load_checkpoint.path": stand_ins.stable_diffusion_1,
        "load_clip_vision.path": stand_ins.clip_vision,
        "load_ip_adapter.path": stand_ins.ip_adapter_of_usual_layers,
    },
    "models/parts": {
        "load_diffusion_model.path": stand_ins.part("unet"),
        "load_text_encoders.first": stand_ins.part("text_encoder"),
        "load_vae.path": stand_ins.part("vae"),
    },
    "families/sdxl_with_refiner": {
        "load_checkpoint.path": stand_ins.sdxl,
        "load_checkpoint_2.path": stand_ins.refiner,
    },
    "families/sdxl_turbo": {"load_checkpoint.path": stand_ins.sdxl},
    "families/stable_diffusion_3": {"load_checkpoint.path": stand_ins.stable_diffusion_3},
    "families/flux": {"load_checkpoint.path": stand_ins.flux},
    "families/flux_fill": {"load_checkpoint.path": stand_ins.flux_fill},
    "families/flux_kontext": {"load_checkpoint.path": stand_ins.flux},
    "families/flux_redux": {
        "load_checkpoint.path": stand_ins.flux,
        "load_clip_vision.path": stand_ins.siglip,
        "load_style_model.path": stand_ins.redux,
    },
    "repaint/inpainting_model": {"load_checkpoint.path": stand_ins.inpainting},
    "repaint/instruction": {"load_checkpoint.path": stand_ins.pix2pix},
    "repaint/depth": {"load_checkpoint.path": stand_ins.depth},
    "larger/times_four": {
        "load_checkpoint.path": stand_ins.times_four,
        "load_image.path": stand_ins.small_picture,
    },
    "models/variations_by_unclip": {
        "load_checkpoint.path": stand_ins.unclip,
        "load_clip_vision.path": stand_ins.clip_vision,
    },
}
"""Template → knob of a node that wants a file → what makes one that fits."""
SMALL: Mapping[str, int] = {"steps": 2, "start_step": 1, "end_step": 1}
WIDEST_PX, WIDEST_FAMILY_PX = 128, 32


def ids(sheet: Sheet) -> str:
    return sheet.path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    folder = tmp_path / "home/data/models/embeddings"
    folder.mkdir(parents=True)
    made = stand_ins.embedding(tmp_path / "embedding")
    made.rename(folder / "mine.safetensors")
    return tmp_path


def test_no_file_is_there_that_nothing_draws() -> None:
    drawn = {sheet.path for sheet in DRAWN} | {"text_to_image", "image_to_image"}
    assert {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.json")} == drawn


@pytest.mark.parametrize("sheet", DRAWN, ids=ids)
def test_a_template_is_what_its_code_draws(sheet: Sheet) -> None:
    assert sheet.file().read_bytes() == sheet.data(), "run python -m docs.templates"


@pytest.mark.parametrize("sheet", DRAWN, ids=ids)
def test_a_template_is_annotated_and_nothing_lies_on_another(sheet: Sheet) -> None:
    assert sheet.notes
    places = [node.pos for node in sheet.nodes.values()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: path.stem)
def test_a_template_runs(path: Path, home: Path) -> None:
    name = path.relative_to(FOLDER).with_suffix("").as_posix()
    content = _filled(workflow.load(path).content, ASKED.get(name, {}), home)
    failures: list[NodeFailed] = []

    def note(event: Event) -> None:
        if isinstance(event, NodeFailed):
            failures.append(event)

    kept = Store(2**28, None)
    weights = store()
    executor = Executor(registry(), kept, emit=note, weights=weights, numerics=weights.numerics)
    try:
        finished = executor.run(Request("run", content, output_dir=home / "out"), threading.Event())
    finally:
        executor.close()
        kept.close()
    assert [(failure.node, failure.title, failure.remedy) for failure in failures] == []
    assert finished.state == "done"


def _filled(content: Content, asked: Mapping[str, Make], home: Path) -> Content:
    """With files where the template asks for them, small sizes and few steps."""
    root = content.graphs[ROOT]
    most_px = WIDEST_FAMILY_PX if content.id.removeprefix("template_") in FAMILIES else WIDEST_PX
    nodes = {name: replace(node, params=_small(node, most_px)) for name, node in root.nodes.items()}
    for number, (place, make) in enumerate(asked.items()):
        name, knob = place.split(".")
        made = str(make(home / str(number)))
        nodes[name] = replace(nodes[name], params={**nodes[name].params, knob: made})
    return replace(content, graphs={**content.graphs, ROOT: Graph(nodes, root.wires)})


def _small(node: Node, most_px: int) -> dict[str, Any]:
    small: dict[str, Any] = dict(node.params)
    for name, most in {**SMALL, "width": most_px, "height": most_px}.items():
        knob = registry().nodes[node.type].spec.knob(name)
        if knob is not None and knob.kind == "int":
            small[name] = max(min(small[name], most), cast("int", knob.options["min"]))
    return small
