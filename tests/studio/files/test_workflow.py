from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import SetPart
from studio.errors import FileError
from studio.files import atomic, png, pretty, workflow
from studio.graph import ROOT, Graph, Node
from studio.spec import KnobSpec, NodeSpec
from studio.types import Json
from tests.studio.contents import contents, json_values, small_content

CATALOGUE = Catalogue(
    specs={
        "core/blur": NodeSpec(
            "core/blur", knobs=(KnobSpec("radius", "float", 1.0), KnobSpec("edge", "text", "wrap"))
        )
    },
    wires={},
    choices={},
    problems=(),
    packages={"core": "0.1.0", "acme": "2.0"},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents())
def test_every_document_survives_its_file_exactly(content: Content) -> None:
    once = pretty.dumps(workflow.to_json(content))
    loaded = workflow.parse(once)
    assert loaded.content == content
    assert pretty.dumps(workflow.to_json(loaded.content)) == once


@pytest.mark.parametrize("name", ["a.json", "a.studio", "A.STUDIO", "no ending"])
def test_what_was_saved_opens_again(tmp_path: Path, name: str) -> None:
    workflow.save(small_content(), tmp_path / name)
    loaded = workflow.load(tmp_path / name)
    assert loaded.content == small_content()
    assert loaded.problems == []


def test_the_content_tells_what_a_file_is_and_not_its_name(tmp_path: Path) -> None:
    workflow.save(small_content(), tmp_path / "a.studio")
    (tmp_path / "a.studio").rename(tmp_path / "a.json")
    assert workflow.load(tmp_path / "a.json").content == small_content()


def test_a_picture_opens_as_the_workflow_it_carries(tmp_path: Path) -> None:
    png.save(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8), workflow.to_json(small_content()))
    assert workflow.load(tmp_path / "a.png").content == small_content()


def test_the_top_of_a_file_is_in_fixed_order() -> None:
    assert list(workflow.to_json(Content())) == [
        *("format", "app", "id", "title", "requires", "graphs"),
        *("frames", "notes", "form", "canvas", "models", "extra"),
    ]


def test_nodes_stand_in_the_order_of_their_ids() -> None:
    nodes = {key: Node(key, "core/x") for key in ("b", "a", "c")}
    graph = workflow.to_json(Content(graphs={ROOT: Graph(nodes)}))["graphs"]
    assert isinstance(graph, dict)
    root = graph[ROOT]
    assert isinstance(root, dict)
    assert isinstance(root["nodes"], dict)
    assert list(root["nodes"]) == ["a", "b", "c"]


def test_wires_are_written_where_they_end() -> None:
    data = json.loads(pretty.dumps(workflow.to_json(small_content())))
    assert data["graphs"][""]["nodes"]["soft"]["wires"] == {"picture": "photo.image"}
    assert data["graphs"]["soften"]["nodes"]["blur"]["wires"] == {"image": ".picture"}
    assert data["graphs"]["soften"]["interface"]["wires"] == {"image": "blur.image"}


def test_the_last_three_versions_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for number in range(5):
        workflow.save(replace(small_content(), title=str(number)), file)
    titles = [workflow.load(atomic.version_path(file, n)).content.title for n in (1, 2, 3)]
    assert titles == ["3", "2", "1"]
    assert len(list(tmp_path.iterdir())) == 4


def test_with_a_catalogue_every_knob_is_written_by_name(tmp_path: Path) -> None:
    workflow.save(small_content(), tmp_path / "a.json", CATALOGUE)
    content = workflow.load(tmp_path / "a.json").content
    assert content.graphs["soften"].nodes["blur"].params == {"radius": 2.5, "edge": "wrap"}
    assert content.root.nodes["photo"].params == {"path": "a.png"}
    assert content.requires == {"core": "0.1.0"}


def test_defaults_are_not_given_to_a_node_of_another_version(tmp_path: Path) -> None:
    old = Content(graphs={ROOT: Graph({"a": Node("a", "core/blur", version=7)})})
    workflow.save(old, tmp_path / "a.json", CATALOGUE)
    assert workflow.load(tmp_path / "a.json").content.root.nodes["a"].params == {}


def test_versions_of_packages_that_are_not_installed_are_kept(tmp_path: Path) -> None:
    content, _ = SetPart("requires", {"absent": "3"}).apply(small_content())
    workflow.save(content, tmp_path / "a.json", CATALOGUE)
    assert workflow.load(tmp_path / "a.json").content.requires == {"absent": "3", "core": "0.1.0"}


def test_a_bundle_keeps_its_blobs_when_it_is_saved_again(tmp_path: Path) -> None:
    file = tmp_path / "a.studio"
    workflow.save(small_content(), file, blobs={"9f": b"1"})
    workflow.save(replace(small_content(), title="Later"), file)
    assert workflow.load(file).blobs == {"9f": b"1"}
    assert workflow.load(file).content.title == "Later"


def test_blobs_of_another_document_are_not_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "a.studio"
    workflow.save(small_content(), file, blobs={"9f": b"1"})
    workflow.save(Content(), file)
    assert workflow.load(file).blobs == {}


def test_a_file_that_cannot_be_written_leaves_a_sentence_and_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"“a\.json” could not be saved: its folder does not exist"):
        workflow.save(small_content(), tmp_path / "nowhere" / "a.json")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b"{}", "no format"),
        (b'{"nodes": [], "version": 0.4}', "no format"),
        (b'{"format": 2}', "newer version"),
        (b'{"format": 1, "graphs": {', "ends in the middle"),
        (b"[" * 100_000, "nested"),
        (b"\x89PNG\r\n\x1a\n", "cut off"),
        (png.encode(np.zeros((1, 1, 3), np.uint8)), "carries no workflow"),
        (b"PK\x03\x04", "damaged"),
        (b"\xff\xd8\xff\xe0 a photograph", "UTF-8"),
    ],
)
def test_what_is_no_workflow_is_refused_by_name_with_a_sentence(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(FileError, match=rf"“a\.json” cannot be opened.*{sentence}"):
        workflow.load(tmp_path / "a.json")


def test_places_without_a_file_are_refused_with_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "channel")
    for name, sentence in (
        ("absent.json", "no such file"),
        (".", "folder"),
        ("channel", "no regular file"),
        ("a\0b", "cannot be opened"),
        ("x" * 400, "cannot be opened"),
    ):
        with pytest.raises(FileError, match=sentence):
            workflow.load(tmp_path / name)


def test_a_file_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "MAX_NODES", 3)
    workflow.save(small_content(), tmp_path / "a.json")
    with pytest.raises(FileError, match="holds 4 nodes"):
        workflow.load(tmp_path / "a.json")


def test_oddities_of_the_text_are_problems_of_the_file() -> None:
    loaded = workflow.parse(b'{"format": 1, "title": "a", "title": "b", "graphs": {"": {"nodes": {}}}}')
    assert loaded.content.title == "b"
    assert [problem.kind for problem in loaded.problems] == ["file"]


def test_of_very_many_problems_the_first_are_listed_and_the_rest_counted() -> None:
    data: dict[str, Json] = {"format": 1, "graphs": {"": {"nodes": {f"n{i}": i for i in range(700)}}}}
    problems = workflow.read(data).problems
    assert len(problems) == 501
    assert problems[-1].title.startswith("200 more")


def test_a_file_without_a_main_graph_opens_empty_and_says_so() -> None:
    loaded = workflow.read({"format": 1})
    assert loaded.content.root == Graph()
    assert "no main graph" in loaded.problems[0].title


def test_a_broken_value_is_written_back_until_a_person_sets_another() -> None:
    data: dict[str, Json] = {
        "format": 1,
        "graphs": {"": {"nodes": {"a": {"type": "core/x", "version": 1, "params": {}, "pos": "left"}}}},
    }
    content = workflow.from_json(data)
    node = content.root.nodes["a"]
    assert node.pos == (0.0, 0.0)
    moved = replace(content, graphs={ROOT: Graph({"a": replace(node, pos=(5.0, 6.0))})})
    for state, pos in ((content, "left"), (moved, [5, 6])):
        written = json.loads(pretty.dumps(workflow.to_json(state)))
        assert written["graphs"][""]["nodes"]["a"]["pos"] == pos


def test_a_wire_to_nowhere_is_kept_beside_those_that_hold() -> None:
    nodes: Json = {
        "a": {"type": "core/x", "version": 1, "params": {}, "pos": [0, 0]},
        "b": {
            "type": "core/y",
            "version": 1,
            "params": {},
            "wires": {"image": "a.image", "mask": "gone.mask"},
            "pos": [0, 0],
        },
    }
    loaded = workflow.read({"format": 1, "graphs": {"": {"nodes": nodes}}})
    assert [problem.node for problem in loaded.problems] == ["b"]
    assert len(loaded.content.root.wires) == 1
    written = json.loads(pretty.dumps(workflow.to_json(loaded.content)))
    assert written["graphs"][""]["nodes"] == nodes


@settings(max_examples=80, deadline=None)
@given(json_values, json_values)
def test_random_objects_raise_nothing_but_file_errors(graphs: Json, nodes: Json) -> None:
    for data in ({"format": 1, "graphs": graphs}, {"format": 1, "graphs": {"": {"nodes": nodes}}}):
        content = workflow.read(data).content
        assert workflow.from_json(workflow.to_json(content)) == content


def test_loading_never_unpacks_to_disk(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.studio", "w") as archive:
        archive.writestr("workflow.json", pretty.dumps(workflow.to_json(small_content())))
        archive.writestr("blobs/ab", b"1")
    workflow.load(tmp_path / "a.studio")
    assert [file.name for file in tmp_path.iterdir()] == ["a.studio"]
