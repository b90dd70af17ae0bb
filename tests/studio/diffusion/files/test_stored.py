"""Weights in other layouts, as scaled eighths and packed in blocks, beside what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from studio.diffusion.device import Place
from studio.diffusion.files.stored import Stored, fill
from studio.errors import Cancelled, NodeError
from studio.models.transformer_keys import Piece

CPU = Place("cpu", "float32", "cpu", "")


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Linear(64, 32)
        self.b = torch.nn.Linear(64, 32, bias=False)
        self.norm = torch.nn.LayerNorm(32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.a(x) + self.b(x))


def empty() -> Net:
    with torch.device("meta"):
        return Net()


def never() -> None:
    pass


def saved(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file(tensors, path)
    return path


def packed(path: Path, tensors: dict[str, torch.Tensor], kind: gguf.GGMLQuantizationType) -> Path:
    writer = gguf.GGUFWriter(path, "flux")
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            data = gguf.quants.quantize(tensor.numpy(), kind)
            writer.add_tensor(name, data, raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: tensor.clone() for name, tensor in Net().state_dict().items()}


def test_a_file_with_a_prefix_fills_a_network(tmp_path: Path) -> None:
    found = weights()
    path = saved(tmp_path / "m.safetensors", {f"model.{name}": tensor for name, tensor in found.items()})
    network = empty()
    source = fill(network, Stored([path], "model."), CPU, never)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, found[name])
        assert torch.equal(source[name], found[name])


def test_rows_of_fused_tensors_are_not_copied(tmp_path: Path) -> None:
    found = weights()
    both = torch.cat([found["a.weight"], found["b.weight"]])
    path = saved(tmp_path / "m.safetensors", {"ab": both, "x": torch.cat([torch.zeros(2), torch.ones(2)])})
    pieces = {"a": Piece("ab", (0, 32)), "b": Piece("ab", (32, 64)), "x": Piece("x", swapped=True)}
    stored = Stored([path], "", lambda shapes: pieces)
    assert torch.equal(stored["b"], found["b.weight"])
    assert stored["a"].untyped_storage().data_ptr() == stored["b"].untyped_storage().data_ptr()
    assert stored["x"].tolist() == [1, 1, 0, 0]
    assert stored.nbytes("a") == found["a.weight"].nbytes


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_plain_eighths_are_widened(tmp_path: Path, dtype: torch.dtype) -> None:
    small = {name: tensor.to(dtype) for name, tensor in weights().items()}
    network = empty()
    fill(network, Stored([saved(tmp_path / "m.safetensors", small)]), CPU, never)
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, small[name].float())


@pytest.mark.parametrize("word", ["scale_weight", "weight_scale"])
def test_scaled_eighths_are_scaled(tmp_path: Path, word: str) -> None:
    found = weights()
    scale = found["a.weight"].abs().max() / 448
    content = dict(found)
    content["a.weight"] = (found["a.weight"] / scale).to(torch.float8_e4m3fn)
    content[f"a.{word}"] = scale.reshape(())
    content["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    network = empty()
    fill(network, Stored([saved(tmp_path / "m.safetensors", content)]), CPU, never)
    assert torch.allclose(network.a.weight, found["a.weight"], atol=float(scale) * 16, rtol=0.07)
    assert torch.equal(network.a.weight, content["a.weight"].float() * scale)
    assert torch.equal(network.b.weight, found["b.weight"])


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "Q5_1", "BF16"])
def test_packed_matrices_stay_packed_and_give_what_the_reference_unpacks(tmp_path: Path, name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    found = weights()
    path = packed(tmp_path / "m.gguf", found, kind)
    network = empty()
    source = fill(network, Stored([path]), CPU, never)
    plain = Net()
    expected = {
        key: torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(tensor.numpy(), kind), kind).copy())
        if tensor.ndim == 2
        else tensor
        for key, tensor in found.items()
    }
    plain.load_state_dict(expected)
    x = torch.randn(3, 64)
    with torch.no_grad():
        assert torch.allclose(network(x), plain(x), atol=5e-3)
    assert torch.allclose(source["a.weight"].float(), expected["a.weight"], atol=1e-3)
    if name != "BF16":
        assert network.a.weight.dtype == torch.uint8
        assert sum(p.nbytes for p in network.parameters()) < sum(p.nbytes for p in plain.parameters()) / 2


def test_rows_of_a_packed_matrix_are_cut_packed(tmp_path: Path) -> None:
    found = weights()
    path = packed(tmp_path / "m.gguf", found, gguf.GGMLQuantizationType.Q8_0)
    stored = Stored(
        [path], "", lambda shapes: {"w": Piece("a.weight", (8, 24)), "s": Piece("b.weight", None, True)}
    )
    assert stored.shapes["w"] == (16, 64)
    assert stored.block("w").shape == (16, 68)
    assert stored.block("s").shape == (32, 68)
    assert torch.allclose(stored["w"].float(), found["a.weight"][8:24], atol=2e-2)
    assert torch.allclose(stored["s"].float(), torch.cat(found["b.weight"].chunk(2)[::-1]), atol=2e-2)


def test_what_does_not_fit_is_told_in_a_sentence(tmp_path: Path) -> None:
    found = weights()
    lacking = {name: tensor for name, tensor in found.items() if name != "a.bias"}
    with pytest.raises(NodeError, match=r"1 weights are missing, a\.bias first"):
        fill(empty(), Stored([saved(tmp_path / "m.safetensors", lacking)]), CPU, never)
    other = {**found, "norm.bias": torch.zeros(31)}
    with pytest.raises(NodeError, match=r"norm\.bias is \[31\], not \[32\]"):
        fill(empty(), Stored([saved(tmp_path / "n.safetensors", other)]), CPU, never)


def test_loading_stops_when_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.diffusion.files.stored._LOOK_BYTES", 100)

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fill(empty(), Stored([saved(tmp_path / "m.safetensors", weights())]), CPU, stop)


def test_half_packed_numbers_are_as_close_as_their_format(tmp_path: Path) -> None:
    rng: Any = np.random.default_rng(1)
    big = {"w": torch.from_numpy(rng.standard_normal((8, 256), np.float32))}
    stored = Stored([packed(tmp_path / "m.gguf", big, gguf.GGMLQuantizationType.Q8_0)])
    assert (stored["w"].float() - big["w"]).abs().max() < 0.03
