from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from nodes import guidance, guiders, model_patches
from studio.errors import NodeError
from studio.types import Conditioning, Model, Patch, Recipe
from tests.studio.diffusion.echo import entry, told

MODEL = Model(Recipe("/a/model", "identity", "unet", "it", (Patch("before"),)))


def last(model: Model) -> Patch:
    assert model.recipe.patches[0] == Patch("before")
    assert model.recipe.path == "/a/model"
    return model.recipe.patches[-1]


@pytest.mark.parametrize(
    ("model", "patch"),
    [
        (
            guidance.rescale_guidance(MODEL, rescale=0.5),
            Patch("rescale_guidance", params={"rescale": 0.5, "of": "velocity"}),
        ),
        (
            guidance.perturbed_attention(MODEL, layers="mid_block, up_blocks.0", start=0.1, end=0.6),
            Patch(
                "perturbed_guidance",
                params={
                    "kind": "identity_attention",
                    "scale": 3.0,
                    "layers": ["mid_block", "up_blocks.0"],
                },
                span=(0.1, 0.6),
            ),
        ),
        (
            guidance.skip_layer_guidance(MODEL),
            Patch(
                "perturbed_guidance",
                params={"kind": "skip_layers", "scale": 3.0, "layers": ["7", "8", "9"]},
                span=(0.01, 0.15),
            ),
        ),
        (guidance.guidance_interval(MODEL, start=0.2, end=0.9), Patch("guidance_interval", span=(0.2, 0.9))),
        (model_patches.model_sampling_flow(MODEL, shift=5.0), Patch("model_sampling", params={"shift": 5.0})),
        (
            model_patches.tiled_diffusion(MODEL, tile=512, overlap=64),
            Patch("tiled_diffusion", params={"tile_px": 512, "overlap_px": 64}),
        ),
    ],
)
def test_a_node_adds_its_patch_behind_the_others(model: Model, patch: Patch) -> None:
    assert last(model) == patch


def test_the_shift_of_flux_grows_with_the_picture() -> None:
    def shift(width: int, height: int) -> float:
        found = last(model_patches.model_sampling_flux(MODEL, width=width, height=height)).params["shift"]
        assert isinstance(found, float)
        return found

    assert shift(1024, 1024) == pytest.approx(math.exp(1.15))
    assert shift(256, 256) == pytest.approx(math.exp(0.5))
    assert shift(512, 512) < shift(512, 1024) < shift(1024, 1024)


@pytest.mark.parametrize(
    ("node", "knobs", "socket"),
    [
        (guidance.guidance_interval, {"start": 0.8, "end": 0.2}, "end"),
        (guidance.perturbed_attention, {"start": 0.8, "end": 0.2}, "end"),
        (model_patches.tiled_diffusion, {"tile": 256, "overlap": 256}, "overlap"),
    ],
)
def test_what_cannot_be_is_a_sentence(node: Any, knobs: dict[str, Any], socket: str) -> None:
    with pytest.raises(NodeError) as caught:
        node(MODEL, **knobs)
    assert caught.value.socket == socket


def test_guiders_are_data() -> None:
    positive, negative = told(entry(1.0)), told(entry(0.0))
    plain = guiders.basic_guider(MODEL, positive)
    assert (plain.told, plain.params["guidance"]) == ({"positive": positive}, 1.0)
    both = guiders.cfg_guider(MODEL, positive, negative, guidance=5.0, kind="other")
    assert (set(both.told), both.params, both.kind) == (
        {"positive", "negative"},
        {"guidance": 5.0},
        "other",
    )
    three = guiders.dual_cfg_guider(MODEL, positive, negative, negative, middle_guidance=1.2)
    assert three.params == {"guidance": 7.5, "guidance_2": 1.2}


def test_distilled_guidance_is_told_in_the_conditioning() -> None:
    plain = Conditioning((entry(1.0, extra={"size": [8, 8]}), entry(2.0)))
    changed = guiders.distilled_guidance(plain, guidance=4.0)
    assert [item.extra for item in changed.entries] == [
        {"size": [8, 8], "guidance": 4.0},
        {"guidance": 4.0},
    ]
    assert {item.digest for item in changed.entries}.isdisjoint(item.digest for item in plain.entries)
    assert torch.equal(changed.entries[0].embeddings, plain.entries[0].embeddings)
