from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from studio.errors import Cancelled
from studio.models import facts, libraries
from studio.models.catalogue import Catalogue, Entry, thumbnail
from studio.models.digest import digests

LORA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


def nothing() -> None:
    """Nobody cancels."""


def lora(path: Path, width: int = 768, metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{LORA}.lora_down.weight": np.zeros((4, width), np.float16),
        f"{LORA}.lora_up.weight": np.ones((320, 4), np.float16),
    }
    save_file(tensors, path, metadata=metadata or {})
    return path


def scanned(tmp_path: Path, *roots: Path) -> tuple[Catalogue, list[Entry]]:
    catalogue = Catalogue(tmp_path / "models.sqlite")
    found: list[Entry] = []
    catalogue.scan(roots, nothing, found.append)
    return catalogue, found


def test_a_comfyui_folder_and_the_folders_it_adds_are_looked_through(tmp_path: Path) -> None:
    root, other = tmp_path / "ComfyUI", tmp_path / "elsewhere"
    (root / "models/checkpoints").mkdir(parents=True)
    lora(root / "models/loras/people/anna.safetensors")
    lora(other / "Lora/ben.safetensors", width=2048)
    (root / "output").mkdir()
    lora(root / "output/not_a_model_folder.safetensors")
    (root / "extra_model_paths.yaml").write_text(
        f"a111:\n  base_path: {other}\n  loras: |\n    Lora\n    Gone\n"
    )
    _, found = scanned(tmp_path, root)
    assert [(item.path.name, item.type, item.family) for item in found] == [
        ("anna.safetensors", "lora", "stable_diffusion"),
        ("ben.safetensors", "lora", "sdxl"),
    ]
    assert {item.tool for item in found} == {"ComfyUI"}


def test_a_pickled_file_is_what_its_folder_says_and_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a1111/models/Stable-diffusion").mkdir(parents=True)
    (tmp_path / "a1111/models/VAE").mkdir()
    (tmp_path / "a1111/models/VAE/old.pt").write_bytes(b"\x80\x02never read")
    (tmp_path / "a1111/models/other.bin").write_bytes(b"whatever")
    _, found = scanned(tmp_path, tmp_path / "a1111")
    assert [(item.path.name, item.type, item.tool) for item in found] == [("old.pt", "vae", "A1111")]


def test_the_newest_snapshot_of_a_hub_cache_is_one_model(tmp_path: Path) -> None:
    for age, name in ((200, "old"), (100, "new")):
        place = tmp_path / f"hub/models--someone--tiny/snapshots/{name}"
        lora(place / "pytorch_lora_weights.safetensors")
        os.utime(place, (1e9 - age, 1e9 - age))
    _, found = scanned(tmp_path, tmp_path)
    assert [item.path.parent.name for item in found] == ["new"]


def test_a_broken_file_is_listed_with_its_sentence(tmp_path: Path) -> None:
    path = lora(tmp_path / "models/cut.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    _, found = scanned(tmp_path, tmp_path / "models")
    assert "cut short" in found[0].problem
    assert found[0].type == ""


def test_a_ring_of_links_ends(tmp_path: Path) -> None:
    lora(tmp_path / "models/a/one.safetensors")
    (tmp_path / "models/a/again").symlink_to(tmp_path / "models", target_is_directory=True)
    _, found = scanned(tmp_path, tmp_path / "models")
    assert [item.path.name for item in found] == ["one.safetensors"]


def test_digests_are_those_people_know_and_are_remembered(tmp_path: Path) -> None:
    path = lora(tmp_path / "models/one.safetensors", metadata={"note": "x" * 70})
    data = path.read_bytes()
    whole = hashlib.sha256(data).hexdigest()
    tensors = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    catalogue, _ = scanned(tmp_path, tmp_path / "models")
    catalogue.digest(nothing)
    found = catalogue.entries()[0].digests
    assert found is not None
    assert (found.sha256, found.autov2, found.autov3) == (whole, whole[:10], tensors[:12])
    again, entries = scanned(tmp_path, tmp_path / "models")
    assert entries[0].digests == found
    for told in (whole, whole[:10], tensors[:12], whole[:10].upper()):
        assert again.find(told) == entries[0]
    assert again.find("0" * 10) is None


def test_autov3_does_not_change_with_the_metadata(tmp_path: Path) -> None:
    one, two = lora(tmp_path / "1.safetensors"), lora(tmp_path / "2.safetensors", metadata={"a": "b"})
    first, second = digests(one, nothing), digests(two, nothing)
    assert first.sha256 != second.sha256
    assert first.autov3 == second.autov3 != ""


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    path = lora(tmp_path / "models/one.safetensors")
    catalogue, _ = scanned(tmp_path, tmp_path / "models")
    catalogue.digest(nothing)
    lora(path, width=2048)
    catalogue.scan([tmp_path / "models"], nothing)
    assert [(item.family, item.digests) for item in catalogue.entries()] == [("sdxl", None)]
    path.unlink()
    catalogue.scan([tmp_path / "models"], nothing)
    assert catalogue.entries() == ()


def test_a_damaged_memory_costs_nothing_but_time(tmp_path: Path) -> None:
    lora(tmp_path / "models/one.safetensors")
    (tmp_path / "models.sqlite").write_bytes(b"not a database at all" * 100)
    _, found = scanned(tmp_path, tmp_path / "models")
    assert len(found) == 1
    _, again = scanned(tmp_path, tmp_path / "models")
    assert again == found


def test_a_scan_that_is_cancelled_leaves_the_former_result(tmp_path: Path) -> None:
    lora(tmp_path / "models/one.safetensors")
    catalogue, _ = scanned(tmp_path, tmp_path / "models")

    def cancelled() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        catalogue.scan([tmp_path / "models"], cancelled)
    assert len(catalogue.entries()) == 1


def test_kohyas_notes_and_modelspec_are_read(tmp_path: Path) -> None:
    tags = json.dumps({"10_anna": {"anna": 40, "red hair": 12}, "5_more": {"red hair": 3, "smile": 1}})
    metadata = {
        "ss_tag_frequency": tags,
        "modelspec.title": "Anna",
        "modelspec.license": "CC0",
        "ss_resolution": "(512, 512)",
    }
    _, found = scanned(tmp_path, lora(tmp_path / "models/anna.safetensors", metadata=metadata).parent)
    told = found[0].facts
    assert (told.title, told.licence, told.resolution) == ("Anna", "CC0", "(512, 512)")
    assert told.trigger_words == ("anna", "red hair", "smile")


def test_a_picture_is_taken_from_beside_the_file_or_from_its_header(tmp_path: Path) -> None:
    told = "data:image/jpeg;base64," + base64.b64encode(b"in the header").decode()
    path = lora(tmp_path / "models/one.safetensors", metadata={"modelspec.thumbnail": told})
    _, found = scanned(tmp_path, path.parent)
    assert thumbnail(found[0]) == b"in the header"
    path.with_name("one.preview.png").write_bytes(b"beside")
    assert thumbnail(found[0]) == b"beside"


@pytest.mark.parametrize("told", ["data:image/png;base64,###", "data:text/html;base64,YQ==", "", "nonsense"])
def test_a_header_without_a_picture_gives_none(told: str, tmp_path: Path) -> None:
    assert facts.thumbnail({"modelspec.thumbnail": told}, tmp_path / "none.safetensors") is None


@pytest.mark.parametrize("told", ["[1, 2]", "{", '{"a": [1]}', '{"a": {"b": "c"}}', "null"])
def test_nonsense_for_tags_gives_no_words(told: str, tmp_path: Path) -> None:
    assert facts.facts({"ss_tag_frequency": told}, tmp_path / "x.safetensors").trigger_words == ()


@pytest.mark.parametrize(
    "told", ["- just\n- a list", "a: [", "a: {base_path: 3, loras: /nowhere}", "!!python/object:os.system {}"]
)
def test_nonsense_for_extra_folders_adds_none(told: str, tmp_path: Path) -> None:
    (tmp_path / "models/checkpoints").mkdir(parents=True)
    (tmp_path / "extra_model_paths.yaml").write_text(told)
    assert libraries.library(tmp_path).folders == (tmp_path / "models",)
