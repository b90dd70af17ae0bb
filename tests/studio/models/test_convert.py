"""Pickled checkpoints become safetensors files; hostile ones do nothing."""

from __future__ import annotations

import io
import os
import pickle  # noqa: TID251 - to write what a stranger may have written
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from studio import paths
from studio.errors import Cancelled, FileError
from studio.models.convert import as_safetensors


def never() -> None:
    pass


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def left() -> list[str]:
    return [file.name for file in (paths.cache_dir() / "converted").rglob("*") if file.is_file()]


def test_the_weights_of_a_trainers_checkpoint_are_kept_and_nothing_else(tmp_path: Path) -> None:
    weights = OrderedDict(
        a=torch.randn(3, 4),
        half=torch.randn(5).half(),
        bf=torch.randn(2, 2).bfloat16(),
        f8=torch.randn(4).to(torch.float8_e4m3fn),
        whole=torch.arange(3),
        empty=torch.zeros(0, 2),
        scalar=torch.tensor(2.5),
        turned=torch.randn(2, 3, 4).permute(2, 0, 1),
        parameter=torch.nn.Parameter(torch.randn(2)),
    )
    weights["tied"] = weights["a"][1:]
    content = {"epoch": 3, "state_dict": weights, "optimizer_states": [{"m": torch.zeros(9)}]}
    found = load_file(as_safetensors(saved(tmp_path / "m.ckpt", content), never))
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights if name != "f8")
    assert torch.equal(found["f8"].float(), weights["f8"].float())


def test_nested_dictionaries_are_joined_by_dots(tmp_path: Path) -> None:
    content = {"image_proj": {"latents": torch.ones(2)}, "ip_adapter": {"1.to_k.weight": torch.ones(3)}}
    found = load_file(as_safetensors(saved(tmp_path / "ip.bin", content), never))
    assert set(found) == {"image_proj.latents", "ip_adapter.1.to_k.weight"}


def test_an_embedding_and_an_upscaler_lose_their_wrappers(tmp_path: Path) -> None:
    embedding = {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 8)}, "name": "x"}
    assert set(load_file(as_safetensors(saved(tmp_path / "e.pt", embedding), never))) == {"*"}
    upscaler = {"params": {"w": torch.zeros(1)}, "params_ema": {"w": torch.ones(1)}}
    assert load_file(as_safetensors(saved(tmp_path / "u.pth", upscaler), never))["w"].item() == 1


def test_a_file_of_the_old_format_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.pt", {"w": torch.arange(4.0)}, _use_new_zipfile_serialization=False)
    assert load_file(as_safetensors(path, never))["w"].tolist() == [0, 1, 2, 3]


def test_the_result_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "m.pt", {"w": torch.ones(4)})
    first = as_safetensors(path, never)
    monkeypatch.setattr("studio.models.convert._PROGRAM", Path("nowhere.py"))
    assert as_safetensors(path, never) == first
    assert left() == [first.name]
    with pytest.raises(FileError, match="ended"):
        as_safetensors(saved(path, {"w": torch.zeros(4)}), never)


class Bomb:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.witness),)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    zipped = saved(tmp_path / "m.ckpt", {"w": torch.ones(2), "b": Bomb(witness)})
    old = saved(tmp_path / "o.ckpt", {"b": Bomb(witness)}, _use_new_zipfile_serialization=False)
    for path in (zipped, old):
        with pytest.raises(FileError, match=r"mkdir.*Nothing of it was run") as told:
            as_safetensors(path, never)
        assert told.value.remedy
    assert not witness.exists()
    assert left() == []


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_bare_pickle_of_any_protocol_that_would_run_code_is_told_as_that(
    tmp_path: Path, protocol: int
) -> None:
    path = tmp_path / "m.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": {"a": Bomb(tmp_path / "ran")}}, protocol))
    with pytest.raises(FileError, match=r"asks for “(posix|nt)\.mkdir”.*Nothing of it was run"):
        as_safetensors(path, never)
    assert not (tmp_path / "ran").exists()


def test_a_harmless_pickle_that_torch_did_not_write_is_told_in_words_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "m.ckpt"
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps({"a": [1, 2]}, protocol))
        with pytest.raises(FileError, match="is no checkpoint that torch has written") as told:
            as_safetensors(path, never)
        assert "PyTorch" not in str(told.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_cut_short_is_told_as_that(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path / "m.pt", {"w": torch.randn(5000)}, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(FileError, match=r"m\.pt is cut short\. Copy or download it again"):
        as_safetensors(path, never)


def test_what_is_converted_keeps_its_name_and_copies_of_it_are_converted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = saved(tmp_path / "anna.pt", {"w": torch.ones(4)})
    assert as_safetensors(first, never).name == "anna.pt.safetensors"
    monkeypatch.setattr("studio.models.convert._PROGRAM", Path("nowhere.py"))
    again = tmp_path / f"{'ü' * 120}.pt"
    again.write_bytes(first.read_bytes())
    made = as_safetensors(again, never)
    assert made.name.startswith("üü")
    assert load_file(made)["w"].tolist() == [1, 1, 1, 1]


def test_shells_of_a_trainers_classes_do_no_harm(tmp_path: Path) -> None:
    import argparse

    content = {"state_dict": {"w": torch.ones(2)}, "args": argparse.Namespace(lr=1)}
    assert set(load_file(as_safetensors(saved(tmp_path / "m.ckpt", content), never))) == {"w"}


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    huge = torch.ones(1).expand(2**40)
    with pytest.raises(FileError, match="claims more"):
        as_safetensors(saved(tmp_path / "m.pt", {"w": huge}), never)


@pytest.mark.parametrize("content", [{}, {"a": 1}, [1, 2], {"a": ["b"]}])
def test_a_file_without_tensors_is_told(tmp_path: Path, content: Any) -> None:
    with pytest.raises(FileError, match="no weights"):
        as_safetensors(saved(tmp_path / "m.pt", content), never)


def test_torn_and_alien_files_are_told_in_a_sentence(tmp_path: Path) -> None:
    whole = saved(tmp_path / "m.pt", {"w": torch.randn(1000)}).read_bytes()
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as file:
        file.writestr("notes.txt", "no model")
    cases = {
        "torn.pt": whole[:2000],
        "zip.pt": plain.getvalue(),
        "pickle.pt": b"\x80\x04].",
        "page.pt": b"<!DOCTYPE html>",
        "none.pt": b"",
        "noise.pt": b"\x80\x02" + struct.pack("<64Q", *range(64)),
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(FileError, match=name.replace(".", r"\.")):
            as_safetensors(path, never)
    with pytest.raises(FileError, match="cannot be read"):
        as_safetensors(tmp_path / "absent.pt", never)
    assert left() == []


def test_complex_numbers_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="unknown kind: w"):
        as_safetensors(saved(tmp_path / "m.pt", {"w": torch.zeros(2, dtype=torch.complex64)}), never)


def test_cancel_ends_the_process_and_leaves_nothing(tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        as_safetensors(saved(tmp_path / "m.pt", {"w": torch.ones(4)}), stop)
    assert left() == []


def test_a_safetensors_file_of_another_name_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes((8).to_bytes(8, "little") + b"{}      ")
    assert as_safetensors(path, never) == path
