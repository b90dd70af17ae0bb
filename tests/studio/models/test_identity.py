from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from studio.errors import FileError
from studio.models import identity
from studio.models.identity import combined, identity_of


def model(folder: Path, value: float = 1.0) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({"x": np.full(10_000, value, np.float32)}, folder / "a.safetensors")
    (folder / "config.json").write_text('{"size": 3}')
    return folder


def test_place_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    first = model(tmp_path / "one")
    second = shutil.copytree(first, tmp_path / "two")
    (second / ".cache").mkdir()
    (second / ".cache" / "x").write_text("x")
    assert identity_of(first) == identity_of(second)


def test_names_weights_and_configuration_count(tmp_path: Path) -> None:
    plain = identity_of(model(tmp_path / "a"))
    assert identity_of(model(tmp_path / "b", 2.0)) != plain
    other = model(tmp_path / "c")
    (other / "config.json").write_text('{"size": 4}')
    assert identity_of(other) != plain
    renamed = model(tmp_path / "d")
    (renamed / "config.json").rename(renamed / "conf.json")
    assert identity_of(renamed) != plain


def test_the_middle_of_every_tensor_is_looked_at(tmp_path: Path) -> None:
    before = identity_of(model(tmp_path / "a") / "a.safetensors")
    values = np.full(10_000, 1.0, np.float32)
    values[5_000] = 2
    save_file({"x": values}, tmp_path / "a" / "a.safetensors")
    assert identity_of(tmp_path / "a" / "a.safetensors") != before


def test_file_that_changes_is_known_anew_and_else_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path / "a") / "a.safetensors"
    first = identity_of(path)
    reads: list[Path] = []
    read = identity.read_header
    monkeypatch.setattr(identity, "read_header", lambda path: reads.append(path) or read(path))
    assert identity_of(path) == first
    assert not reads
    os.utime(path, ns=(1, 1))
    assert identity_of(path) == first
    assert reads == [path]


def test_large_file_of_another_kind_is_sampled(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(5 * 2**20))
    first = identity_of(path)
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert identity_of(path) != first


def test_parts_share_what_they_have_in_common(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        model(tmp_path / name / "vae")
        model(tmp_path / name / "unet", 1.0 if name == "one" else 2.0)
    one, two = tmp_path / "one", tmp_path / "two"
    assert combined(one, ("vae",)) == combined(two, ("vae", "absent"))
    assert combined(one, ("unet",)) != combined(two, ("unet",))


def test_missing_cut_and_endless_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="no model at"):
        identity_of(tmp_path / "a.safetensors")
    path = model(tmp_path / "a") / "a.safetensors"
    with path.open("r+b") as file:
        file.truncate(20_000)
    with pytest.raises(FileError, match="cut short"):
        identity_of(tmp_path / "a")
    monkeypatch.setattr(identity, "_FILES", 3)
    for index in range(4):
        (tmp_path / f"{index}.txt").touch()
    with pytest.raises(FileError, match="more than 3 files"):
        identity_of(tmp_path)
