from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from studio.diffusion.lora.changes import LowRank
from studio.diffusion.memory.dressing import Piece, Wardrobe
from studio.diffusion.memory.streaming import Stream, blocks_of, eight_bits, least_bytes
from studio.errors import Cancelled
from tests.studio.diffusion.lora import tiny


def nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.parameters())


def called(unet: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 4, 8, 8, generator=generator)
    tokens = torch.randn(2, 7, 16, generator=generator)
    with torch.inference_mode():
        return unet(sample, torch.tensor(3), tokens, return_dict=False)[0]


def streamed(unet: Any, room: int) -> Stream:
    return Stream(unet, "cpu", room, torch.float32, copies=True)


def test_blocks_hold_a_small_part_each_and_nearly_all_between_them() -> None:
    unet = tiny.unet().requires_grad_(False)
    blocks = list(blocks_of(unet))
    assert sum(nbytes(block) for block in blocks) == nbytes(unet)
    assert max(nbytes(block) for block in blocks) < nbytes(unet) / 4
    assert len(blocks) > 10


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("make", [tiny.unet, tiny.clip, tiny.t5])
def test_a_network_of_blocks_that_come_and_go_gives_the_same_bits(make: Any, share: float) -> None:
    network = make().requires_grad_(False).eval()

    def call() -> torch.Tensor:
        if make is tiny.unet:
            return called(network)
        with torch.inference_mode():
            return network(torch.tensor([[1, 2, 3, 40]])).last_hidden_state

    expected = call()
    room = int(nbytes(network) * share)
    stream = streamed(network, room)
    assert torch.equal(call(), expected)
    assert stream.peak_bytes <= max(room, least_bytes(network, torch.float32))
    assert (stream.blocks > 3) == (share < 1)
    stream.release()
    assert torch.equal(call(), expected)


def test_weights_are_at_home_between_calls_where_patches_find_them() -> None:
    unet = tiny.unet().requires_grad_(False).eval()
    source = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    worn = {name: [Piece("a", LowRank(torch.ones(16, 1), torch.ones(1, 16)), 1.0)]}
    plain, wardrobe = called(unet), Wardrobe()
    wardrobe.wear(unet, source, worn, lambda: None)
    patched = called(unet)
    wardrobe.wear(unet, source, {}, lambda: None)
    streamed(unet, 0)
    assert torch.equal(called(unet), plain)
    wardrobe.wear(unet, source, worn, lambda: None)
    assert torch.equal(called(unet), patched)
    assert not torch.equal(patched, plain)
    wardrobe.wear(unet, source, {}, lambda: None)
    assert torch.equal(called(unet), plain)


def test_a_call_that_is_stopped_leaves_nothing_behind() -> None:
    unet = tiny.unet().requires_grad_(False).eval()
    expected = called(unet)
    stream = streamed(unet, 0)

    def stop(*_: object) -> None:
        raise Cancelled

    hook = unet.mid_block.resnets[1].conv2.register_forward_pre_hook(stop)
    with pytest.raises(Cancelled):
        called(unet)
    hook.remove()
    homes = {id(parameter) for parameter in unet.parameters()}
    stream.peak_bytes = 0
    assert torch.equal(called(unet), expected)
    assert {id(parameter) for parameter in unet.parameters()} == homes
    assert 0 < stream.peak_bytes <= least_bytes(unet, torch.float32)


def test_eight_bits_halve_what_lies_there_and_compute_as_before() -> None:
    unet = tiny.unet().requires_grad_(False).eval()
    before, size = called(unet), nbytes(unet)
    rounded = tiny.unet().requires_grad_(False).eval()
    for module in rounded.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.weight.copy_(module.weight.to(torch.float8_e4m3fn).float())
    eight_bits(unet)
    assert nbytes(unet) < size / 3
    stream = Stream(unet, "cpu", 10 * size, torch.float32)
    assert torch.equal(called(unet), called(rounded))
    assert not torch.equal(called(unet), before)
    assert stream.peak_bytes < size


def test_packed_weights_come_and_go_packed() -> None:
    gguf = pytest.importorskip("gguf")
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter

    kind = gguf.GGMLQuantizationType.Q8_0
    module = nn.Sequential(*(GGUFLinear(32, 32, bias=True, compute_dtype=torch.float32) for _ in range(4)))
    for layer in module:
        packed = torch.from_numpy(gguf.quants.quantize(torch.randn(32, 32).numpy(), kind))
        layer.weight = GGUFParameter(packed, quant_type=kind)  # pyright: ignore[reportAttributeAccessIssue]
    module.requires_grad_(False)
    x = torch.randn(2, 32)
    with torch.inference_mode():
        expected = module(x)
        stream = streamed(module, 0)
        assert torch.equal(module(x), expected)
    assert stream.blocks == 3
    assert stream.peak_bytes < 3 * nbytes(module[0])
    assert all(type(layer.weight) is GGUFParameter for layer in module)
