from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.utils import logging

from nodes.attention_maps import attention_maps
from nodes.loaders import Checkpoint, load_checkpoint
from studio.errors import NodeError
from studio.types import Latent
from tests.parity import tiny_transformers
from tests.studio.diffusion.bench import context, tiny_model

LATENT = Latent(torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1)), 2)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(context(), path=str(tiny_model(tmp_path_factory.mktemp("model"))))


def look(parts: Checkpoint, latent: Latent = LATENT, **knobs: Any) -> tuple[Any, Any]:
    settings: dict[str, Any] = {"text": "a fox in a castle", "words": "fox, castle", "steps": 2}
    return attention_maps(context(), parts.model, parts.text_encoder, latent, **(settings | knobs))


def test_every_word_has_a_map_of_every_picture(parts: Checkpoint) -> None:
    image, mask = look(parts)
    assert mask.shape == (4, 16, 24)
    assert image.shape == (4, 16, 24, 3)
    assert image.dtype == mask.dtype == np.float32
    assert all(one.max() > 0.9 for one in mask)
    assert not np.allclose(mask[0], mask[2], atol=0.05)


def test_words_of_the_same_token_look_at_the_same_places(parts: Checkpoint) -> None:
    _, both = look(parts, words="a fox")
    _, again = look(parts, words="a fox, fox")
    assert np.array_equal(again[:2], both)
    assert not np.array_equal(again[2:], both)


def test_layers_and_steps_may_be_shown_apart(parts: Checkpoint) -> None:
    _, whole = look(parts, words="fox")
    _, steps = look(parts, words="fox", apart="steps")
    _, layers = look(parts, words="fox", apart="layers")
    _, middle = look(parts, words="fox", layers="mid_block")
    assert len(steps) == 2 * len(whole)
    assert len(layers) > 2 * len(whole)
    assert not np.allclose(middle, whole)


@pytest.mark.parametrize(
    ("knobs", "message", "socket"),
    [
        ({"words": "dragon"}, "no “dragon”", "words"),
        ({"words": " , "}, "No word", "words"),
        ({"layers": "attic"}, "No layer has “attic”", "layers"),
        ({"start": 0.8, "end": 0.2}, "before the first", "end"),
    ],
)
def test_what_is_not_there_is_a_sentence(
    parts: Checkpoint, knobs: dict[str, Any], message: str, socket: str
) -> None:
    with pytest.raises(NodeError, match=message) as caught:
        look(parts, **knobs)
    assert caught.value.socket == socket


def test_looking_leaves_no_trace_in_the_model(parts: Checkpoint) -> None:
    ctx = context()
    look(parts)
    with ctx.weights.use(ctx, parts.model.recipe) as denoiser:
        assert denoiser.attention.capture is None


@pytest.mark.parametrize("family", ["stable_diffusion_3", "flux"])
def test_transformers_can_be_looked_at_too(family: str, tmp_path: Path) -> None:
    # Pipelines warn of torchvision, which nothing here uses.
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    getattr(tiny_transformers, family)().save_pretrained(tmp_path)
    logging.set_verbosity(verbosity)
    parts = load_checkpoint(context(), path=str(tmp_path))
    latent = Latent(torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(1)), 2)
    image, mask = look(parts, latent)
    assert mask.shape == (2, 16, 24)
    assert mask.max() == 1
    assert not np.allclose(mask[0], mask[1], atol=0.02)
    _, layers = look(parts, latent, words="fox", apart="layers")
    _, first = look(parts, latent, words="fox", layers="transformer_blocks.0.attn")
    assert len(layers) > 1
    assert len(first) == 1
    assert not np.allclose(first, mask[:1])
    assert image.shape == (2, 16, 24, 3)
