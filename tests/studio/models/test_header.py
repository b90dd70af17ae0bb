from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from studio.errors import FileError
from studio.models.header import read_header
from tests.studio.models.headers import hollow


def written(path: Path, header: Any, body: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + body)
    return path


def test_header_tells_where_tensors_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": np.arange(6, dtype=np.float32).reshape(2, 3)}, path, {"by": "us"})
    header = read_header(path)
    place = header.tensors["x"]
    assert (place.dtype, place.shape) == ("F32", (2, 3))
    assert path.read_bytes()[place.begin : place.end] == np.arange(6, dtype=np.float32).tobytes()
    assert header.size == path.stat().st_size


def test_cut_file_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros(12_000_000, np.float32)}, path)
    with path.open("r+b") as file:
        file.truncate(3_000_000)
    with pytest.raises(FileError, match=r"cut short: its header says 48 MB, the file has 3\.0 MB"):
        read_header(path)


@pytest.mark.parametrize(
    "header",
    [
        b"no json",
        b"[1, 2]",
        b"[" * 100_000,
        {"x": 3},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"x": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0]}},
        {"x": {"dtype": 4, "shape": [2], "data_offsets": [0, 8]}},
    ],
)
def test_hostile_header_is_a_sentence(tmp_path: Path, header: Any) -> None:
    with pytest.raises(FileError, match="is not a safetensors file"):
        read_header(written(tmp_path / "a.safetensors", header, bytes(64)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 7, b"\x00" * 64, b"\xff" * 64, b"a text file renamed to look like a model"],
)
def test_alien_file_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"a\.safetensors is (not a safetensors file|cut short)"):
        read_header(path)


def test_header_cut_within_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes((5000).to_bytes(8, "little") + b'{"x"')
    with pytest.raises(FileError, match="header alone takes"):
        read_header(path)


def test_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_header(tmp_path / "a.safetensors")


def test_a_file_cut_by_a_few_bytes_is_told_in_bytes(tmp_path: Path) -> None:
    path = hollow(tmp_path / "model.safetensors", {"a": (20, 1024, 1024)}, "F16")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 5)
    with pytest.raises(FileError, match=f"its header says {size:,} bytes, the file has {size - 5:,}"):
        read_header(path)


GOOD: dict[str, Any] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ({"dtype": "Q7"}, "tensor b is of the unknown type Q7"),
        ({"shape": [10**6, 10**6]}, "tensor b has another size than its shape says"),
        ({"shape": [10**30] * 1000}, "tensor b has another size than its shape says"),
        ({"data_offsets": [0, 8]}, "tensor b begins inside the one before it"),
        ({"data_offsets": [4, 12]}, "tensor b begins inside the one before it"),
        ({"data_offsets": [9, 17]}, "tensor b has a gap before it"),
        ({"shape": [0], "data_offsets": [8, 8]}, "8 bytes follow its last tensor"),
        ({"dtype": "F4", "shape": [3], "data_offsets": [8, 9]}, "tensor b has another size"),
    ],
)
def test_a_header_that_contradicts_itself_is_told_as_damage(
    tmp_path: Path, second: dict[str, Any], fault: str
) -> None:
    header = {"a": GOOD, "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}
    assert read_header(written(tmp_path / "good.safetensors", header, bytes(16)))
    header["b"] |= second
    with pytest.raises(FileError, match=f"it.safetensors is damaged: {fault}") as caught:
        read_header(written(tmp_path / "it.safetensors", header, bytes(16)))
    assert caught.value.remedy == "Copy or download it again."


def test_tensors_of_nothing_and_of_less_than_a_byte_each_are_read(tmp_path: Path) -> None:
    header = {
        "none": {"dtype": "F32", "shape": [0, 4], "data_offsets": [1, 1]},
        "packed": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]},
        "one": {"dtype": "U8", "shape": [], "data_offsets": [1, 2]},
    }
    tensors = read_header(written(tmp_path / "a.safetensors", header, bytes(2))).tensors
    assert list(tensors) == ["packed", "none", "one"]
