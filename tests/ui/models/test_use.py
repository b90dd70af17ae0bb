"""Models put into the graph by a click or a drag, and refused where they do not belong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.catalogue import Catalogue
from studio.document import Content
from studio.graph import Graph, Node, Socket
from studio.registry import discover
from studio.settings import Settings
from tests.studio.models.test_catalogue import lora
from ui.background import Background
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.graph.view import GraphView
from ui.models.drops import Drops
from ui.models.shelf import Shelf
from ui.models.use import loader_for, use
from ui.undo import Editing

LOADERS = {
    "checkpoint": "core/load_checkpoint",
    "denoiser": "core/load_diffusion_model",
    "text_encoder": "core/load_text_encoders",
    "vae": "core/load_vae",
    "tiny_vae": "core/load_vae",
    "clip_vision": "core/load_clip_vision",
    "controlnet": "core/load_controlnet",
    "t2i_adapter": "core/load_controlnet",
    "lora": "core/load_lora",
    "ip_adapter": "core/load_ip_adapter",
    "style": "core/load_style_model",
    "upscaler": "core/load_upscale_model",
}


@cache
def catalogue() -> Catalogue:
    return discover().catalogue()


@dataclass
class Desk:
    """A graph of real nodes, and what is said about it."""

    view: GraphView
    drops: Drops
    said: list[str] = field(default_factory=list[str])

    @property
    def scene(self) -> GraphScene:
        return self.view.graph_scene

    @property
    def nodes(self) -> dict[str, Node]:
        return dict(self.scene.content.graphs[""].nodes)

    def middle(self, name: str) -> QPoint:
        box = self.scene.nodes[name].box()
        return self.view.mapFromScene(QPointF(box.x + box.width / 2, box.y + 8))


def node(kind: str, x: float = 0, y: float = 0, **params: object) -> Node:
    spec = catalogue().specs[f"core/{kind}"]
    return Node(kind, spec.type, spec.version, {**spec.defaults, **params}, (x, y))


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[tuple[Desk, Background]] = []

    def make(*nodes: Node, wires: dict[Socket, Socket] | None = None) -> Desk:
        graph = Graph({one.id: one for one in nodes}, wires or {})
        status, background = GraphStatus(), Background()
        status.set_catalogue(catalogue())
        view = GraphView(GraphScene(Editing(Content(graphs={"": graph})), status))
        qtbot.addWidget(view)
        view.resize(1200, 800)
        view.show()
        view.centerOn(400, 200)
        drops = Drops(Shelf(Settings(tmp_path / "settings.json")), background, catalogue)
        one = Desk(view, drops)
        drops.said.connect(lambda words, _bad: one.said.append(words))
        view.refused.connect(one.said.append)
        made.append((one, background))
        return one

    yield make
    for one, background in made:
        background.close()
        one.scene.close()


@pytest.mark.parametrize(("model", "expected"), LOADERS.items(), ids=LOADERS)
def test_every_type_of_model_has_its_loader(model: str, expected: str) -> None:
    found = loader_for(catalogue(), model)
    assert found is not None
    assert found[0].type == expected


def test_a_model_dropped_on_empty_ground_brings_its_loader(
    desk: Callable[..., Desk], tmp_path: Path, qtbot: QtBot
) -> None:
    here = desk()
    file = lora(tmp_path / "anna.safetensors")
    here.drops.drop(here.view, [file], QPoint(300, 200))
    qtbot.waitUntil(lambda: bool(here.nodes))
    (made,) = here.nodes.values()
    assert (made.type, made.params["path"]) == ("core/load_lora", str(file))
    there = here.view.mapToScene(QPoint(300, 200))
    assert made.pos == (round(there.x()), round(there.y()))


def test_a_model_dropped_on_a_node_that_takes_it_is_its_file(
    desk: Callable[..., Desk], tmp_path: Path, qtbot: QtBot
) -> None:
    here = desk(node("load_lora"), node("load_checkpoint", 400))
    file = lora(tmp_path / "anna.safetensors")
    here.drops.drop(here.view, [file], here.middle("load_lora"))
    qtbot.waitUntil(lambda: here.nodes["load_lora"].params["path"] == str(file))
    assert len(here.nodes) == 2


def test_a_file_that_does_not_say_what_it_is_goes_into_the_node_below_only(
    desk: Callable[..., Desk], tmp_path: Path, qtbot: QtBot
) -> None:
    here = desk(node("load_upscale_model"))
    (tmp_path / "thing.pth").write_bytes(b"?")
    here.drops.drop(here.view, [tmp_path / "thing.pth"], QPoint(5, 5))
    qtbot.waitUntil(lambda: bool(here.said))
    assert "Drop it on the node" in here.said[0]
    here.drops.drop(here.view, [tmp_path / "thing.pth"], here.middle("load_upscale_model"))
    qtbot.waitUntil(lambda: here.nodes["load_upscale_model"].params["path"] != "")


def test_a_broken_file_dropped_says_what_it_is(
    desk: Callable[..., Desk], tmp_path: Path, qtbot: QtBot
) -> None:
    here = desk()
    cut = lora(tmp_path / "cut.safetensors")
    cut.write_bytes(cut.read_bytes()[:-50])
    here.drops.drop(here.view, [cut], QPoint(300, 200))
    qtbot.waitUntil(lambda: bool(here.said))
    assert "cut short" in here.said[0]
    assert not here.nodes


def test_an_embedding_is_named_in_the_prompt_or_in_one_of_its_own(desk: Callable[..., Desk]) -> None:
    here = desk(node("encode_text", text="a fox"))
    file = Path("/models/embeddings/mine.safetensors")
    use(here.scene, catalogue(), file, "embedding", QPointF(500, 0), "encode_text")
    assert here.nodes["encode_text"].params["text"] == "a fox embedding:mine"
    made = use(here.scene, catalogue(), file, "embedding", QPointF(500, 0))
    assert here.nodes[made].params["text"] == "embedding:mine"


def test_further_text_encoders_fill_the_knobs_that_are_empty(desk: Callable[..., Desk]) -> None:
    here = desk(node("load_text_encoders"))
    for name in ("l", "g"):
        use(here.scene, catalogue(), Path(f"/{name}.sft"), "text_encoder", QPointF(), "load_text_encoders")
    params = here.nodes["load_text_encoders"].params
    assert (params["first"], params["second"], params["third"]) == ("/l.sft", "/g.sft", "")


def test_a_lora_of_another_family_is_refused_at_the_cursor_and_in_words(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    file = lora(tmp_path / "ben.safetensors", width=2048)
    here = desk(node("load_checkpoint"), node("load_lora", 400, 60, path=str(file)))
    port = here.view.viewport()
    start = here.view.mapFromScene(here.scene.nodes["load_checkpoint"].socket_pos("model", output=True))
    end = here.view.mapFromScene(here.scene.nodes["load_lora"].socket_pos("model", output=False))
    QTest.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 6):
        QTest.mouseMove(port, start + (end - start) * step / 5)
    sentence = "“the starter model” is made for Stable Diffusion 1, “ben.safetensors” for SDXL."
    assert here.view.hint.isVisible()
    assert here.view.hint.text() == sentence
    assert port.rect().contains(here.view.hint.geometry())
    QTest.mouseRelease(port, Qt.MouseButton.LeftButton, pos=end)
    assert here.said == [sentence]
    assert not here.scene.content.graphs[""].wires
