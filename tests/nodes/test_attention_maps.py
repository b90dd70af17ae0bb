from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nodes.attention_maps import attention_maps
from nodes.loaders import Checkpoint, load_checkpoint
from studio.errors import NodeError
from studio.types import Latent
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
