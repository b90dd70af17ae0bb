from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from studio.diffusion.memory.tracing import peak_bytes, working_bytes
from tests.studio.diffusion.lora import tiny


def on_meta(call: Callable[[], object], slices: int = 0) -> int:
    with torch.device("meta"):
        return peak_bytes(call, slices)


def test_what_lives_at_once_is_counted_and_what_is_gone_is_not() -> None:
    def call() -> torch.Tensor:
        first = torch.empty(1000)
        second = first + 1  # 8000 bytes live
        del first
        third = second * 2  # 8000 again
        return third[:10]

    assert on_meta(call) == 8000


def test_views_and_changes_in_place_take_nothing() -> None:
    assert on_meta(lambda: torch.empty(1000).add_(1).view(10, 100).transpose(0, 1)) == 4000


def test_attention_holds_its_matrix_only_where_it_is_said_to() -> None:
    def call() -> torch.Tensor:
        query, key, value = (torch.empty(1, 8, 100, 4) for _ in range(3))
        return scaled_dot_product_attention(query, key, value)

    plain = 4 * 8 * 100 * 4 * 4
    assert on_meta(call) == plain
    assert on_meta(call, slices=1) == 3 * 8 * 100 * 4 * 4 + 2 * 8 * 100 * 100 * 4
    assert on_meta(call, slices=8) == 3 * 8 * 100 * 4 * 4 + 2 * 100 * 100 * 4


def test_working_memory_grows_with_the_picture_and_the_batch() -> None:
    networks: list[Any] = [tiny.unet(), tiny.flux(), tiny.sd3()]
    for network in networks:
        small, twice, large = (
            working_bytes(network, shape) for shape in ((1, 4, 8, 8), (2, 4, 8, 8), (1, 4, 64, 64))
        )
        assert 0 < small < twice <= 2 * small + 1000
        assert large > small


def test_half_precision_takes_half() -> None:
    unet = tiny.unet()
    whole = working_bytes(unet, (2, 4, 16, 16))
    half = working_bytes(nn.Module.to(unet, torch.bfloat16), (2, 4, 16, 16))
    assert 0.45 < half / whole < 0.6


def test_a_real_call_takes_what_was_predicted() -> None:
    """Peak of torch's own allocator on the processor, as its profiler sees it, for a UNet in float32."""
    from torch.profiler import ProfilerActivity, profile

    unet = tiny.unet(block_out_channels=(32, 64)).requires_grad_(False).eval()
    sample, tokens = torch.randn(2, 4, 64, 64), torch.randn(2, 77, 16)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run, torch.no_grad():
        unet(sample, torch.tensor(1), tokens)
    now = peak = 0
    for event in run.profiler.kineto_results.events():  # pyright: ignore[reportOptionalMemberAccess]
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    predicted = working_bytes(unet, (2, 4, 64, 64))
    assert abs(predicted - peak) < 0.15 * peak


def test_networks_of_other_kinds_are_not_guessed_at() -> None:
    assert working_bytes(nn.Linear(4, 4), (1, 4, 8, 8)) == 0
    assert working_bytes(tiny.clip(), (1, 4, 8, 8)) == 0
