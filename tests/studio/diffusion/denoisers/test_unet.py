"""The denoiser of UNets: what it refuses, and entries of many lengths."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodes.guidance import perturbed_attention, skip_layer_guidance
from studio.diffusion.conditioning import changed, each
from studio.errors import NodeError
from tests.parity import tiny
from tests.parity.both import PROMPT, Ours
from tests.parity.conftest import quiet

__all__ = ["quiet"]  # pipelines, of which the small model is saved, warn of what nothing here uses


@pytest.fixture
def ours(quiet: None, tmp_path: Path) -> Ours:
    tiny.stable_diffusion().save_pretrained(tmp_path)
    return Ours(tmp_path)


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
    told = each(ours.told(PROMPT), lambda entry: changed(entry, hints=hint))
    with pytest.raises(NodeError, match=r"^The conditioning brings .*, which this model does not take\."):
        ours.sampled(told)
    with pytest.raises(NodeError, match="which this model does not take"):
        ours.sampled(negative=told)
