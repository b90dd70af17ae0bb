from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nodes.annotators import depth_map, detect_pose, segment_image
from nodes.pose import pose_skeleton
from studio.errors import Cancelled, FileError, NodeError
from studio.files.pictures import read
from studio.paths import assets_dir
from studio.raster.palette import palette
from studio.types import Image
from tests.studio.diffusion.bench import context, store
from tests.studio.diffusion.pictures.annotators import saved

PALM = assets_dir() / "pictures" / "palm_tree.png"


@pytest.fixture
def palm() -> Image:
    return read(PALM)[0]


def by_transformers(kind: str, folder: Path, picture: np.ndarray) -> torch.Tensor:
    """What the library's own classes give for one picture."""
    import transformers
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    made = DPTImageProcessorPil if kind in ("dpt", "depth_anything") else SegformerImageProcessorPil
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    if made is DPTImageProcessorPil:
        settings = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], **settings}
    pixels = made(**settings)((picture * 255).round().astype(np.uint8), return_tensors="pt")["pixel_values"]
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    network: Any = getattr(transformers, name).from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        given = network(pixel_values=pixels)
    return given.predicted_depth if kind in ("dpt", "depth_anything") else given.logits


@pytest.mark.parametrize("kind", ["dpt", "depth_anything"])
def test_depth_is_that_of_the_library(tmp_path: Path, palm: Image, kind: str) -> None:
    folder = saved(kind, tmp_path / kind)
    wide = np.concatenate([palm, palm], 2)
    found = depth_map(context(using=store()), wide, folder=str(folder))
    plane = by_transformers(kind, folder, wide[0])[:, None]
    plane = torch.nn.functional.interpolate(plane, (128, 256), mode="bicubic", align_corners=False)[
        0, 0
    ].numpy()
    wanted = (plane - plane.min()) / np.ptp(plane)
    assert found.shape == (1, 128, 256, 3)
    assert np.abs(found[0, ..., 0] - wanted).max() < 0.03
    assert np.ptp(found) == 1
    turned = depth_map(context(using=store()), wide, folder=str(folder), inverted=True)
    assert np.allclose(turned, 1 - found, atol=1e-6)


@pytest.mark.parametrize("kind", ["segformer", "upernet"])
def test_segments_are_those_of_the_library(tmp_path: Path, palm: Image, kind: str) -> None:
    folder = saved(kind, tmp_path / kind)
    found = segment_image(context(using=store()), palm, folder=str(folder))
    if kind == "segformer":
        logits = by_transformers(kind, folder, palm[0])
        numbers = torch.nn.functional.interpolate(logits, (128, 128), mode="bilinear").argmax(1).numpy()
        same = (palette(150)[numbers] == found.image).all(-1)
        assert same.mean() > 0.98  # the library rounds to bytes between resizing and reading
    assert found.image.shape == (1, 128, 128, 3)
    assert found.mask.max() == 0
    shares = [float(line.rpartition(": ")[2].rstrip("%")) for line in found.text.splitlines()]
    assert sum(shares) == pytest.approx(100, abs=1.5)
    assert shares == sorted(shares, reverse=True)


def test_mask_marks_the_things_that_are_named(tmp_path: Path, palm: Image) -> None:
    folder = saved("segformer", tmp_path / "m")
    ctx = context(using=store())
    first = segment_image(ctx, palm, folder=str(folder)).text.splitlines()[0].partition(":")[0]
    found = segment_image(ctx, palm, folder=str(folder), things=f"Palm, {first}")
    assert found.mask.mean() > 0.05
    assert set(np.unique(found.mask)) <= {0, 1}
    with pytest.raises(NodeError, match="knows no “dragon”") as caught:
        segment_image(ctx, palm, folder=str(folder), things="sky, dragon")
    assert caught.value.socket == "things"


def test_pose_is_a_skeleton_that_can_be_drawn_again(tmp_path: Path, palm: Image) -> None:
    folder = saved("vitpose", tmp_path / "m")
    boxes = [[0.0, 0.0, 0.5, 1.0], [0.4, 0.1, 0.6, 0.8]]
    found = detect_pose(context(using=store()), palm, folder=str(folder), boxes=boxes, certainty=0.0)
    people = json.loads(found.text)
    assert len(people) == 2
    again = pose_skeleton(width=128, height=128, people=people)
    assert np.abs(again - found.image).mean() < 0.005
    nobody = detect_pose(context(using=store()), palm, folder=str(folder), certainty=1.0)
    assert nobody.image.max() == 0
    assert nobody.text == "[{}]"


@pytest.mark.parametrize(
    "boxes", [[], [[0, 0, 1]], ["x"], [[0, 0, 0, 1]], [[1e300, 0, 1, 1]], [[0, 0, True, None]]]
)
def test_what_is_no_box_is_told(tmp_path: Path, palm: Image, boxes: list[Any]) -> None:
    folder = saved("vitpose", tmp_path / "m")
    with pytest.raises(NodeError, match="box") as caught:
        detect_pose(context(using=store()), palm, folder=str(folder), boxes=boxes)
    assert caught.value.socket == "boxes"


def test_folder_of_another_model_is_told(tmp_path: Path, palm: Image) -> None:
    folder = saved("vitpose", tmp_path / "m")
    with pytest.raises(NodeError, match=r"no depth model \(DPT, Depth Anything\) in") as caught:
        depth_map(context(using=store()), palm, folder=str(folder))
    assert caught.value.socket == "folder"
    with pytest.raises(NodeError, match="No model is chosen"):
        segment_image(context(using=store()), palm)
    (folder / "model.safetensors").unlink()
    with pytest.raises(NodeError, match=r"no model\.safetensors in"):
        detect_pose(context(using=store()), palm, folder=str(folder))


def test_files_that_do_not_hold_what_they_claim_are_told(tmp_path: Path, palm: Image) -> None:
    folder = saved("segformer", tmp_path / "m")
    whole = (folder / "model.safetensors").read_bytes()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "decoder_hidden_size": 60_000}))
    with pytest.raises(NodeError, match="its configuration wants"):
        segment_image(context(using=store()), palm, folder=str(folder))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(whole[:50_000])
    with pytest.raises(FileError, match="cut short"):
        segment_image(context(using=store()), palm, folder=str(folder))
    (folder / "model.safetensors").write_bytes(whole)
    found = segment_image(context(using=store()), palm, folder=str(folder))
    assert found.image.shape == (1, 128, 128, 3)


def test_reading_stops_inside_the_network(tmp_path: Path, palm: Image) -> None:
    folder = saved("dpt", tmp_path / "m")
    flag = threading.Event()
    done: list[int] = []

    def report(step: int, total: int, preview: object) -> None:
        done.append(step)
        flag.set()

    with pytest.raises(Cancelled):
        depth_map(context(using=store(), cancelled=flag, report=report), palm, folder=str(folder))
    assert done == [0]
