from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from studio.diffusion.device import Place
from studio.diffusion.files.loading import fill
from studio.diffusion.lora.changes import Added, Full, LowRank
from studio.diffusion.memory.dressing import Piece, Wardrobe, plain
from studio.errors import Cancelled


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)
        self.linear = nn.Linear(8, 6)


def loaded(path: Path, dtype: str = "float32", stored: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """A network with mapped weights, and their source."""
    torch.manual_seed(0)
    file = path / "toy.safetensors"
    save_file({name: tensor.to(stored).contiguous() for name, tensor in Toy().state_dict().items()}, file)
    with torch.device("meta"):
        network = Toy()
    source = fill(network, [file], Place("cpu", dtype, "", ""), lambda: None)
    return network, source


def low_rank(seed: int, rows: int = 6, columns: int = 8) -> LowRank:
    generator = torch.Generator().manual_seed(seed)
    return LowRank(torch.randn(rows, 2, generator=generator), torch.randn(2, columns, generator=generator))


def bytes_of(network: nn.Module) -> dict[str, bytes]:
    return {
        name: tensor.contiguous().view(torch.uint8).numpy().tobytes()
        for name, tensor in network.state_dict().items()
    }


FIRST, SECOND = low_rank(1), low_rank(2)
KERNEL = low_rank(3, 8, 36)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_taking_everything_off_restores_the_bytes(tmp_path: Path, dtype: str, stored: torch.dtype) -> None:
    network, source = loaded(tmp_path, dtype, stored)
    before, wardrobe = bytes_of(network), Wardrobe()
    strides = {name: tensor.stride() for name, tensor in network.state_dict().items()}
    wanted = {"linear.weight": [Piece("a", FIRST, 0.7)], "conv.weight": [Piece("b", KERNEL, 0.3)]}
    assert wardrobe.wear(network, source, wanted, lambda: None) == 2
    worn = bytes_of(network)
    assert {name for name in worn if worn[name] != before[name]} == {"linear.weight", "conv.weight"}
    assert wardrobe.wear(network, source, {}, lambda: None) == 2
    assert bytes_of(network) == before
    assert {name: tensor.stride() for name, tensor in network.state_dict().items()} == strides
    if dtype == "float32" and stored == torch.float32:
        assert network.linear.weight.data_ptr() == source["linear.weight"].data_ptr()  # mapped again


def test_the_file_is_never_written_to(tmp_path: Path) -> None:
    network, source = loaded(tmp_path)
    before = load_file(tmp_path / "toy.safetensors")
    wardrobe = Wardrobe()
    for strength in (0.5, 1.0):
        wardrobe.wear(network, source, {"linear.weight": [Piece("a", FIRST, strength)]}, lambda: None)
    after = load_file(tmp_path / "toy.safetensors")
    assert all(torch.equal(before[name], source[name]) for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_way_to_a_state_leaves_no_trace(tmp_path: Path, dtype: str) -> None:
    wanted = {"linear.weight": [Piece("a", FIRST, 0.7), Piece("b", SECOND, -0.2)]}
    fresh, source = loaded(tmp_path, dtype)
    Wardrobe().wear(fresh, source, wanted, lambda: None)
    network, source = loaded(tmp_path, dtype)
    wardrobe = Wardrobe()
    for pieces in ([Piece("a", FIRST, 0.1)], [Piece("b", SECOND, 3.0), Piece("a", FIRST, 0.7)], []):
        wardrobe.wear(network, source, {"linear.weight": pieces}, lambda: None)
    wardrobe.wear(network, source, wanted, lambda: None)
    assert bytes_of(network) == bytes_of(fresh)


def test_a_patched_weight_is_computed_in_float32_and_cast_once(tmp_path: Path) -> None:
    network, source = loaded(tmp_path, "bfloat16", torch.float16)
    wanted = {"linear.weight": [Piece("a", FIRST, 0.7), Piece("b", SECOND, 0.2)]}
    Wardrobe().wear(network, source, wanted, lambda: None)
    expected = source["linear.weight"].float()
    expected = expected.addmm(FIRST.up, FIRST.down, alpha=0.7).addmm(SECOND.up, SECOND.down, alpha=0.2)
    assert torch.equal(network.linear.weight, expected.bfloat16())


def test_only_what_changes_is_computed_and_in_the_same_memory(tmp_path: Path) -> None:
    network, source = loaded(tmp_path)
    wardrobe = Wardrobe()
    kernel, shift = [Piece("k", KERNEL, 1.0)], [Piece("s", Added(Full(torch.ones(6, 1))), 1.0)]
    wanted = {"conv.weight": kernel, "linear.bias": shift, "linear.weight": [Piece("a", FIRST, 0.5)]}
    assert wardrobe.wear(network, source, wanted, lambda: None) == 3
    assert wardrobe.wear(network, source, wanted, lambda: None) == 0
    memory = network.linear.weight.data_ptr()
    wanted["linear.weight"] = [Piece("a", FIRST, 0.6)]
    assert wardrobe.wear(network, source, wanted, lambda: None) == 1
    assert network.linear.weight.data_ptr() == memory
    torch.testing.assert_close(network.linear.bias, source["linear.bias"] + 1)


def test_strength_zero_is_nothing(tmp_path: Path) -> None:
    network, source = loaded(tmp_path)
    assert Wardrobe().wear(network, source, {"linear.weight": [Piece("a", FIRST, 0.0)]}, lambda: None) == 0


def test_weights_worn_in_inference_mode_can_change_outside_of_it(tmp_path: Path) -> None:
    network, source = loaded(tmp_path)
    wardrobe = Wardrobe()
    with torch.inference_mode():
        wardrobe.wear(network, source, {"linear.weight": [Piece("a", FIRST, 1.0)]}, lambda: None)
    wardrobe.wear(network, source, {"linear.weight": [Piece("a", FIRST, 2.0)]}, lambda: None)
    torch.testing.assert_close(network.linear.weight, source["linear.weight"] + 2 * FIRST.delta())


def test_cancelling_leaves_each_weight_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.diffusion.memory import dressing

    def cancel() -> None:
        raise Cancelled

    monkeypatch.setattr(dressing, "_LOOK_BYTES", 1)
    network, source = loaded(tmp_path)
    before, wardrobe = bytes_of(network), Wardrobe()
    wanted = {"conv.weight": [Piece("k", KERNEL, 1.0)], "linear.weight": [Piece("a", FIRST, 1.0)]}
    with pytest.raises(Cancelled):
        wardrobe.wear(network, source, wanted, cancel)
    assert len(wardrobe.wears(network)) == 1
    assert wardrobe.wear(network, source, wanted, lambda: None) == 1
    wardrobe.wear(network, source, {}, lambda: None)
    assert bytes_of(network) == before


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_quantised_weight_comes_back_as_the_very_one(unpacked: bool) -> None:
    gguf = pytest.importorskip("gguf")
    from diffusers.quantizers.gguf.utils import GGUFParameter

    dense = torch.randn(6, 32)
    packed = torch.from_numpy(gguf.quants.quantize(dense.numpy(), gguf.GGMLQuantizationType.Q8_0))
    parameter = GGUFParameter(packed, quant_type=gguf.GGMLQuantizationType.Q8_0)
    network = Toy()
    network.linear.weight = parameter  # pyright: ignore[reportAttributeAccessIssue]
    change, wardrobe = low_rank(4, 6, 32), Wardrobe()
    source = {"linear.weight": plain(parameter) if unpacked else parameter}
    wardrobe.wear(network, source, {"linear.weight": [Piece("a", change, 1.0)]}, lambda: None)
    torch.testing.assert_close(network.linear.weight, dense + change.delta(), atol=0.03, rtol=0.03)
    wardrobe.wear(network, source, {}, lambda: None)
    assert network.linear.weight is parameter


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_larger_than_a_cache_are_computed_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    from studio.diffusion.memory import dressing

    monkeypatch.setattr(dressing, "_CACHE_BYTES", 3 * 4 * 36)
    network, source = loaded(tmp_path, dtype)
    wanted = {"conv.weight": [Piece("k", KERNEL, 0.3)], "linear.weight": [Piece("a", FIRST, 1.0)]}
    Wardrobe().wear(network, source, wanted, lambda: None)
    expected = (source["conv.weight"] + 0.3 * KERNEL.delta().view(8, 4, 3, 3)).to(network.conv.weight.dtype)
    torch.testing.assert_close(network.conv.weight, expected)
    assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)
