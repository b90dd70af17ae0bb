from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from studio.diffusion.memory.modes import (
    AUTOENCODER,
    DENOISER,
    OTHERS,
    Mode,
    SlicedAttention,
    is_out_of_memory,
    ladder,
    put_on,
)
from tests.studio.diffusion.lora import tiny


def test_what_moves_bits_has_a_name_and_what_moves_weights_has_none() -> None:
    assert Mode(streamed=True).changes == ""
    assert Mode(sliced=True, streamed=True).changes == "sliced"
    assert Mode(sliced=True, tiled=True, eight_bits=True).changes == "sliced+tiled+fp8"
    assert Mode(streamed=True, sliced=True).sentence == "attention in slices, weights brought block by block"
    assert Mode().sentence == "whole"


def test_ladders_begin_with_nothing_and_suit_the_network() -> None:
    assert ladder({"unet": nn.Linear(1, 1)}) is DENOISER
    assert ladder({"vae": vae()}) is AUTOENCODER
    assert ladder({"t5": nn.Linear(1, 1)}) is OTHERS
    assert all(rungs[0] == Mode() for rungs in (DENOISER, AUTOENCODER, OTHERS))


def vae() -> nn.Module:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
    ).eval()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_slices_is_attention(masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, length, 8, generator=generator) for length in (9, 7, 7))
    mask = torch.randn(2, 1, 9, 7, generator=generator) if masked else None
    expected = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    seen: list[int] = []

    class Watch(SlicedAttention):
        def _sliced(self, func, named, heads):  # pyright: ignore
            seen.append(heads)
            return super()._sliced(func, named, heads)

    with Watch(slice_bytes=2 * 9 * 7 * 4):
        given = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert seen == [2]
    torch.testing.assert_close(given, expected)


def test_slices_are_on_during_a_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.diffusion.memory import modes

    monkeypatch.setattr(modes.SlicedAttention.__init__, "__defaults__", (1,))
    sliced: list[int] = []
    inner = modes.SlicedAttention._sliced
    monkeypatch.setattr(modes.SlicedAttention, "_sliced", lambda *given: sliced.append(1) or inner(*given))
    unet = tiny.unet().eval()

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return unet(torch.ones(1, 4, 8, 8), torch.tensor(1), torch.ones(1, 7, 16), return_dict=False)[0]

    expected = call()
    undo = put_on(Mode(sliced=True), unet)
    torch.testing.assert_close(call(), expected)
    assert sliced
    with pytest.raises((RuntimeError, TypeError)):
        unet(torch.ones(1, 5, 8, 8), torch.tensor(1), torch.ones(1, 7, 16))
    sliced.clear()
    scaled_dot_product_attention(*(torch.ones(2, 2, 3, 3) for _ in range(3)))
    assert sliced == []
    undo()
    call()
    assert sliced == []


def test_an_autoencoder_works_in_tiles_until_that_is_undone() -> None:
    module = vae()
    latent = torch.randn(2, 4, 20, 20, generator=torch.Generator().manual_seed(0))

    def decode() -> torch.Tensor:
        with torch.inference_mode():
            return module.decode(latent, return_dict=False)[0]  # pyright: ignore[reportCallIssue]

    expected = decode()
    undo = put_on(Mode(sliced=True), module)
    torch.testing.assert_close(decode(), expected)
    undo()
    undo = put_on(Mode(sliced=True, tiled=True), module)
    tiled = decode()
    assert tiled.shape == expected.shape
    assert not torch.equal(tiled, expected)
    undo()
    assert torch.equal(decode(), expected)


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_is_used_up_is_known_by_its_words(error: Exception, is_it: bool) -> None:
    assert is_out_of_memory(error) is is_it
