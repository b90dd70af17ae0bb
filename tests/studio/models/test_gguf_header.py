"""GGUF headers of files made by the reference library, and of files made to harm."""

from __future__ import annotations

import random
from pathlib import Path

import gguf
import numpy as np
import pytest

from studio.errors import FileError
from studio.models.gguf_header import FORMATS, is_gguf, read_gguf


def written(path: Path, arch: str = "flux") -> Path:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_string("general.name", "small")
    writer.add_array("comfy.gguf.orig_shape.folded", [8, 2, 4, 4])
    writer.add_array("tokenizer.ggml.tokens", ["<pad>", "▁a"])
    rng = np.random.default_rng(0)
    writer.add_tensor("plain", rng.random((3, 5), np.float32))
    packed = gguf.quants.quantize(rng.random((4, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("packed", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("folded", rng.random((16, 16), np.float32).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_names_shapes_and_formats_are_those_that_were_written(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf")
    found = read_gguf(path)
    tensors = found.header.tensors
    assert {name: (place.dtype, place.shape) for name, place in tensors.items()} == {
        "plain": ("F32", (3, 5)),
        "packed": ("Q8_0", (4, 64)),
        "folded": ("F16", (8, 2, 4, 4)),
    }
    assert found.values["tokenizer.ggml.tokens"] == ("<pad>", "▁a")
    assert found.header.metadata["general.architecture"] == "flux"
    place = tensors["plain"]
    numbers = np.frombuffer(path.read_bytes()[place.begin : place.end], np.float32)
    assert np.array_equal(numbers, np.random.default_rng(0).random((3, 5), np.float32).ravel())
    assert is_gguf(path)


def test_blocks_are_as_large_as_the_reference_library_says() -> None:
    for number, (name, block, size) in FORMATS.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, gguf.GGML_QUANT_SIZES[kind]) == (name, (block, size))


def test_names_of_t5_are_those_of_transformers(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "t5.gguf", "t5encoder")
    for name in ("token_embd.weight", "enc.blk.3.attn_q.weight", "enc.blk.0.attn_rel_b.weight"):
        writer.add_tensor(name, np.zeros((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert list(read_gguf(tmp_path / "t5.gguf").header.tensors) == [
        "shared.weight",
        "encoder.block.3.layer.0.SelfAttention.q.weight",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    ]


def test_every_cut_is_told_in_a_sentence(tmp_path: Path) -> None:
    whole = written(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    for length in [0, 3, 4, 20, *range(30, len(whole) - 1, 41)]:
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"cut\.gguf|cannot be read"):
            read_gguf(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_gguf(tmp_path / "absent.gguf")


def test_a_file_cut_by_a_few_bytes_is_told_in_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf")
    place = next(reversed(read_gguf(path).header.tensors.values()))
    path.write_bytes(path.read_bytes()[: place.end - 5])
    with pytest.raises(FileError, match=f"says {place.end:,} bytes, the file has {place.end - 5:,}"):
        read_gguf(path)


def test_noise_in_the_header_is_never_more_than_a_sentence(tmp_path: Path) -> None:
    whole = written(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "noise.gguf"
    draw = random.Random(3)
    read = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            data[draw.randrange(4, 400)] = draw.choice((0, 1, 127, 255, draw.randrange(256)))
        path.write_bytes(data)
        try:
            found = read_gguf(path)
        except FileError:
            continue
        read += 1
        assert all(0 <= place.begin <= place.end <= len(data) for place in found.header.tensors.values())
    assert read > 0


def test_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "flux")
    kind = gguf.GGMLQuantizationType.IQ2_S
    writer.add_tensor("w", np.zeros((2, 82), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(FileError, match="IQ2_S"):
        read_gguf(tmp_path / "m.gguf")
