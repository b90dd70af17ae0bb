from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.loaders import load_checkpoint
from studio.errors import FileError, NodeError
from studio.paths import assets_dir
from tests.studio.diffusion.bench import context

STARTER = assets_dir() / "starter"


def test_starter_is_the_model_of_an_empty_path() -> None:
    parts = load_checkpoint(context())
    assert parts == load_checkpoint(context(), path=str(STARTER))
    assert parts.model.recipe.part == "unet"
    identities = {parts.model.recipe.identity, parts.text_encoder.recipe.identity, parts.vae.recipe.identity}
    assert len(identities) == 3


def test_starter_files_enter_the_key_only_where_it_is_meant() -> None:
    assert load_checkpoint.refs is not None
    assert load_checkpoint.refs({"path": "/models/mine"}) == []
    named = load_checkpoint.refs({"path": ""})
    assert "assets/starter/unet/diffusion_pytorch_model.safetensors" in named


def test_same_model_elsewhere_has_the_same_identity(tmp_path: Path) -> None:
    moved = shutil.copytree(STARTER, tmp_path / "moved")
    here, there = load_checkpoint(context()), load_checkpoint(context(), path=str(moved))
    assert here.model.recipe.identity == there.model.recipe.identity
    assert there.model.recipe.path == str(moved)
    settings = moved / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text().replace("v_prediction", "epsilon"))
    changed = load_checkpoint(context(), path=str(moved))
    assert changed.model.recipe.identity != here.model.recipe.identity
    assert changed.vae.recipe.identity == here.vae.recipe.identity


def test_naming_a_model_needs_no_torch() -> None:
    code = """
import sys, threading
from datetime import datetime
from pathlib import Path
from studio.context import Context, RunFacts
from studio.registry import discover
from nodes.loaders import load_checkpoint
facts = RunFacts("run", datetime.now(), Path())
load_checkpoint(Context("it", facts, threading.Event(), print, print, extensions=discover().extensions))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"unet": 3}', "[" * 100_000, '{"unet": ["a", "b"]}'])
def test_folder_that_is_no_pipeline_is_a_sentence(tmp_path: Path, index: str) -> None:
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(NodeError, match="a folder without a model that is known here") as caught:
        load_checkpoint(context(), path=str(tmp_path))
    assert caught.value.socket == "path"


def test_pipeline_of_another_family_is_not_taken_for_ours(tmp_path: Path) -> None:
    index = json.loads((STARTER / "model_index.json").read_text())
    index["unet"] = ["diffusers", "UNetSpatioTemporalConditionModel"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "UNetSpatioTemporalConditionModel"}')
    with pytest.raises(NodeError, match="a folder without a model that is known here"):
        load_checkpoint(context(), path=str(tmp_path))


def test_missing_and_cut_models_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="There is no model at"):
        load_checkpoint(context(), path=str(tmp_path / "nowhere"))
    moved = shutil.copytree(STARTER, tmp_path / "moved")
    with (moved / "unet" / "diffusion_pytorch_model.safetensors").open("r+b") as file:
        file.truncate(3_000_000)
    with pytest.raises(FileError, match=r"cut short: its header says 4\d MB, the file has 3\.0 MB"):
        load_checkpoint(context(), path=str(moved))
