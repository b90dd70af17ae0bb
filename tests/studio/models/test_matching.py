"""Files of different families are told apart while wiring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.catalogue import Catalogue
from studio.document import Content
from studio.graph import ROOT, Graph, Node, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.validate import validate, wire_refusal
from tests.studio.models.test_catalogue import lora

FILE = KnobSpec("path", "file", default="", options={"content": "model", "empty": True, "folder": True})
MODEL_IN, MODEL_OUT = (InputSpec("model", "model"),), (OutputSpec("model", "model"),)
CATALOGUE = Catalogue(
    {
        "t/load": NodeSpec("t/load", knobs=(FILE,), outputs=MODEL_OUT),
        "t/lora": NodeSpec("t/lora", inputs=MODEL_IN, knobs=(FILE,), outputs=MODEL_OUT),
        "t/reroute": NodeSpec(
            "t/reroute", inputs=(InputSpec("value", "any"),), outputs=(OutputSpec("value", "any"),)
        ),
        "t/sample": NodeSpec("t/sample", inputs=(*MODEL_IN, InputSpec("positive", "conditioning"))),
    }
)


def content(nodes: dict[str, tuple[str, str]], wires: dict[str, str]) -> Content:
    def socket(text: str) -> Socket:
        return Socket(*text.split("."))

    made = {
        name: Node(name, kind, 1, {"path": path} if path != "-" else {})
        for name, (kind, path) in nodes.items()
    }
    graph = Graph(made, {socket(target): socket(source) for target, source in wires.items()})
    return Content(graphs={ROOT: graph})


def refusal(document: Content, source: str, target: str) -> str | None:
    return wire_refusal(document, CATALOGUE, ROOT, Socket(*source.split(".")), Socket(*target.split(".")))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        "sd1": str(lora(tmp_path / "anna.safetensors")),
        "sdxl": str(lora(tmp_path / "ben.safetensors", width=2048)),
    }


def test_a_lora_of_another_family_is_refused_with_both_names(files: dict[str, str]) -> None:
    document = content({"load": ("t/load", ""), "lora": ("t/lora", files["sdxl"])}, {})
    assert refusal(document, "load.model", "lora.model") == (
        "“the starter model” is made for Stable Diffusion 1, “ben.safetensors” for SDXL."
    )


def test_a_lora_of_the_same_family_is_taken(files: dict[str, str]) -> None:
    document = content({"load": ("t/load", ""), "lora": ("t/lora", files["sd1"])}, {})
    assert refusal(document, "load.model", "lora.model") is None


def test_the_family_is_found_through_reroutes_and_other_loras(files: dict[str, str]) -> None:
    nodes = {
        "load": ("t/load", ""),
        "dot": ("t/reroute", "-"),
        "first": ("t/lora", files["sd1"]),
        "second": ("t/lora", files["sdxl"]),
    }
    document = content(nodes, {"dot.value": "load.model", "first.model": "dot.value"})
    assert "anna.safetensors" in (refusal(document, "first.model", "second.model") or "")


def test_what_cannot_be_told_is_no_misfit(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"123")
    nodes = {
        "load": ("t/load", str(tmp_path / "gone.safetensors")),
        "cut": ("t/lora", str(tmp_path / "cut.safetensors")),
        "lora": ("t/lora", files["sdxl"]),
    }
    document = content(nodes, {})
    assert refusal(document, "load.model", "lora.model") is None
    assert refusal(document, "cut.model", "lora.model") is None


def test_a_wire_that_is_replaced_is_not_asked(files: dict[str, str]) -> None:
    nodes = {"old": ("t/load", ""), "other": ("t/lora", files["sdxl"]), "sample": ("t/sample", "-")}
    document = content(nodes, {"sample.model": "old.model"})
    assert refusal(document, "other.model", "sample.model") is None


def told(document: Content, base: Path | None = None) -> list[tuple[str, str, str]]:
    problems = validate(document, CATALOGUE, base)
    return [(item.node, item.socket, item.title) for item in problems if item.kind == "family"]


def test_files_of_different_families_that_are_wired_already_are_a_problem_once(files: dict[str, str]) -> None:
    nodes = {
        "load": ("t/load", ""),
        "lora": ("t/lora", files["sdxl"]),
        "sample": ("t/sample", "-"),
    }
    wires = {"lora.model": "load.model", "sample.model": "lora.model"}
    why = "“the starter model” is made for Stable Diffusion 1, “ben.safetensors” for SDXL."
    assert told(content(nodes, wires)) == [("lora", "model", why)]
    nodes["lora"] = ("t/lora", files["sd1"])
    assert told(content(nodes, wires)) == []


def test_files_named_beside_the_workflow_are_found_there(files: dict[str, str]) -> None:
    folder = Path(files["sdxl"]).parent
    document = content(
        {"load": ("t/load", ""), "lora": ("t/lora", "ben.safetensors")}, {"lora.model": "load.model"}
    )
    assert [node for node, _, _ in told(document, folder)] == ["lora"]
    assert told(document) == []


@pytest.mark.parametrize("mode", ["bypass", "mute"])
def test_a_node_that_does_not_act_is_no_misfit(files: dict[str, str], mode: Any) -> None:
    document = content(
        {"load": ("t/load", ""), "lora": ("t/lora", files["sdxl"])}, {"lora.model": "load.model"}
    )
    graph = document.graphs[ROOT]
    nodes = {**graph.nodes, "lora": replace(graph.nodes["lora"], mode=mode)}
    assert told(Content(graphs={ROOT: replace(graph, nodes=nodes)})) == []
