"""The denoiser of UNets: what it refuses, and entries of many lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.guidance import perturbed_attention, skip_layer_guidance
from nodes.latent import empty_latent
from studio.diffusion.conditioning import changed, each, entry
from studio.diffusion.lending import guiding
from studio.errors import NodeError
from studio.types import Conditioning, Guider
from tests.parity import tiny
from tests.parity.both import PROMPT, Ours
from tests.parity.conftest import quiet

__all__ = ["quiet"]  # pipelines, of which the small model is saved, warn of what nothing here uses


@pytest.fixture
def ours(quiet: None, tmp_path: Path) -> Ours:
    tiny.stable_diffusion().save_pretrained(tmp_path)
    return Ours(tmp_path)


def network_of(denoiser: Any) -> torch.nn.Module:
    return denoiser.modules["unet"]


def test_leaving_out_layers_is_refused(ours: Ours) -> None:
    with pytest.raises(NodeError, match="this model is a UNet") as caught:
        ours.sampled(model=skip_layer_guidance(ours.parts.model, start=0.0, end=1.0))
    assert "Stable Diffusion 3" in (caught.value.remedy or "")


@pytest.mark.parametrize("layers", ["nope", "mid_block, nope", "mid", "mid_block.resnets"])
def test_attention_that_is_not_there_is_refused_and_some_that_is_there_is_named(
    ours: Ours, layers: str
) -> None:
    with pytest.raises(NodeError, match="no self-attention in “") as caught:
        ours.sampled(model=perturbed_attention(ours.parts.model, layers=layers))
    named = (caught.value.remedy or "").rstrip(".").partition(": ")[2].split(", ")
    assert "mid_block" in named
    ours.sampled(model=perturbed_attention(ours.parts.model, layers=", ".join(named)), steps=1)


@pytest.mark.parametrize("name", ["concat", "reference", "unclip"])
def test_hints_for_another_model_are_refused(ours: Ours, name: str) -> None:
    hint = {name: torch.zeros(1, 5, 16, 16)}
    told = each(ours.told(PROMPT), lambda old: changed(old, hints=hint))
    with pytest.raises(NodeError, match=r"^The conditioning brings .*, which this model does not take\."):
        ours.sampled(told)
    with pytest.raises(NodeError, match="which this model does not take"):
        ours.sampled(negative=told)


def test_entries_of_many_lengths_give_what_each_gives_alone_and_are_not_repeated_often(ours: Ours) -> None:
    lengths = (7, 11, 7, 3, 5)
    random = torch.Generator().manual_seed(1)
    entries = [entry(torch.randn(1, length, tiny.CROSS, generator=random)) for length in lengths]
    x = torch.randn(2, 4, 16, 16, generator=random)
    seen: list[tuple[int, ...]] = []
    guider = Guider(ours.parts.model, {"positive": Conditioning(tuple(entries))}, {})
    with guiding(ours.ctx, guider, empty_latent()) as (denoiser, _):
        hook = network_of(denoiser).register_forward_pre_hook(
            lambda _, given: seen.append(tuple(given[2].shape[:2]))
        )
        together = denoiser(x, 3.0, entries)
        hook.remove()
        for one, estimate in zip(entries, together, strict=True):
            assert torch.allclose(estimate, denoiser(x, 3.0, [one])[0], atol=1e-5)
        assert not torch.allclose(together[0], together[2], atol=1e-3)
    assert seen == [(4, 7), (2, 11), (2, 3), (2, 5)]


@pytest.mark.parametrize(("lengths", "calls"), [((77, 77), 1), ((77, 154, 308), 1), ((539, 847), 2)])
def test_lengths_that_fit_go_in_one_call(ours: Ours, lengths: tuple[int, ...], calls: int) -> None:
    entries = [entry(torch.ones(1, length, tiny.CROSS) * length) for length in lengths]
    told = {"positive": Conditioning(tuple(entries))}
    seen: list[int] = []
    with guiding(ours.ctx, Guider(ours.parts.model, told, {}), empty_latent()) as (denoiser, _):
        hook = network_of(denoiser).register_forward_pre_hook(lambda *_: seen.append(1))
        denoiser(torch.zeros(1, 4, 8, 8), 3.0, entries)
        hook.remove()
    assert len(seen) == calls
