from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from nodes.image_files import load_image, save_image
from studio.context import Context
from studio.errors import Cancelled, NodeError
from studio.files.png import read_workflow
from tests.studio.diffusion.bench import context

PICTURES = np.random.default_rng(0).random((2, 6, 8, 3), np.float32)


def saving(folder: Path, **facts: Any) -> tuple[Context, list[Path]]:
    from dataclasses import replace

    paths: list[Path] = []
    facts.setdefault("make_document", lambda: {"format": 1, "id": "mine"})
    return replace(context(folder=folder, **facts), saved=paths.append), paths


def test_every_picture_of_a_batch_is_saved_with_the_workflow_in_it(tmp_path: Path) -> None:
    ctx, paths = saving(tmp_path)
    save_image(ctx, PICTURES)
    assert [path.name for path in paths] == ["2026-01-02_00001.png", "2026-01-02_00002.png"]
    for path, picture in zip(paths, PICTURES, strict=True):
        assert read_workflow(path) == {"format": 1, "id": "mine"}
        with PilImage.open(path) as opened:
            assert np.array_equal(np.asarray(opened), np.rint(picture * 255))


def test_saved_and_loaded_is_the_same_picture(tmp_path: Path) -> None:
    ctx, paths = saving(tmp_path)
    save_image(ctx, PICTURES[:1], depth="16 bit", workflow=False)
    loaded = load_image(ctx, path=str(paths[0]))
    assert np.abs(loaded.image[0] - PICTURES[:1]).max() <= 0.5 / 65535 + 1e-7
    assert read_workflow(paths[0]) is None


def test_name_may_hold_the_seed_of_a_node(tmp_path: Path) -> None:
    ctx, paths = saving(tmp_path, make_knobs=lambda: {"k_sampler": {"seed": 2**64 - 1}})
    save_image(ctx, PICTURES[:1], name="{date}/{k_sampler.seed}")
    assert paths == [tmp_path / "2026-01-02" / "18446744073709551615.png"]


def test_alpha_is_saved_and_loaded_with_its_mask(tmp_path: Path) -> None:
    picture = np.concatenate([PICTURES[:1], np.zeros((1, 6, 8, 1), np.float32)], 3)
    picture[:, :3, :, 3] = 1
    ctx, paths = saving(tmp_path)
    save_image(ctx, picture)
    loaded = load_image(ctx, path=str(paths[0]))
    assert loaded.image[0].shape == (1, 6, 8, 4)
    assert loaded.mask[0][0, :3].max() == 0
    assert loaded.mask[0][0, 3:].min() == 1


def test_folder_comes_as_a_list_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 9, 1):
        PilImage.new("RGB", (index, 4)).save(tmp_path / f"p{index}.png")
    loaded = load_image(context(), path=str(tmp_path))
    assert [image.shape[2] for image in loaded.image] == [1, 9, 10]
    assert [mask.shape for mask in loaded.mask] == [(1, 4, 1), (1, 4, 9), (1, 4, 10)]


def test_folder_stops_when_cancelled(tmp_path: Path) -> None:
    import threading

    PilImage.new("RGB", (3, 4)).save(tmp_path / "a.png")
    flag = threading.Event()
    flag.set()
    with pytest.raises(Cancelled):
        load_image(context(cancelled=flag), path=str(tmp_path))


def test_bad_name_saves_nothing(tmp_path: Path) -> None:
    ctx, paths = saving(tmp_path)
    with pytest.raises(NodeError, match="nothing known"):
        save_image(ctx, PICTURES, name="{what}")
    assert not paths
    assert not list(tmp_path.iterdir())


def test_picture_that_cannot_be_saved_leaves_no_file(tmp_path: Path) -> None:
    ctx, paths = saving(tmp_path)
    with pytest.raises(ValueError, match="not the shape"):
        save_image(ctx, np.zeros((1, 0, 8, 3), np.float32))
    assert not paths
    assert not list(tmp_path.iterdir())
