from __future__ import annotations

from typing import Any

import pytest
import torch

from studio.diffusion.device import Place
from studio.diffusion.files import layouts
from studio.diffusion.text import clip
from studio.diffusion.text.tokenizer import clip as words
from studio.models import configs
from tests.studio.diffusion import checkpoints

ROW = [49406, 320, 1125, 539, 49407, *(49407,) * 72]


class Here:
    """A loader for networks without members."""

    place = Place("cpu", "float32", "test", "For tests.")

    def check(self) -> None:
        """Nobody cancels."""

    def get(self, recipe: Any) -> Any:
        raise LookupError(recipe)


@pytest.fixture(scope="module")
def network() -> Any:
    return checkpoints.clip(32, layers=3)


@pytest.fixture(scope="module")
def ours(network: Any) -> clip.Clip:
    tensors = layouts.clip(checkpoints.open_clip(network))
    config = configs.clip({name: tuple(tensor.shape) for name, tensor in tensors.items()}, "clip_l")
    return clip.build(tensors, config, "clip_l", words(), Here(), "test")


def test_it_gives_what_the_library_gives(network: Any, ours: clip.Clip) -> None:
    with torch.no_grad():
        wanted = network(torch.tensor([ROW]), output_hidden_states=True)
        hidden, pooled = ours.encode([ROW], skip=0, embeddings={})
        before, _ = ours.encode([ROW], skip=1, embeddings={})
        raw, _ = ours.encode([ROW], skip=2, embeddings={}, normed=False)
    assert torch.equal(hidden, wanted.last_hidden_state)
    assert torch.equal(pooled, wanted.pooler_output)
    assert torch.equal(raw, wanted.hidden_states[-3])
    with torch.no_grad():
        assert torch.equal(before, network.final_layer_norm(wanted.hidden_states[-2]))


def test_a_word_that_is_in_no_vocabulary_stands_where_its_id_does(network: Any, ours: clip.Clip) -> None:
    vector = network.embeddings.token_embedding.weight[1125].detach()
    with torch.no_grad():
        plain, _ = ours.encode([ROW], skip=0, embeddings={})
        named, _ = ours.encode(
            [[-1 if token == 1125 else token for token in ROW]], skip=0, embeddings={-1: vector}
        )
        other, _ = ours.encode(
            [[-1 if token == 1125 else token for token in ROW]], skip=0, embeddings={-1: -vector}
        )
    assert torch.equal(named, plain)
    assert not torch.equal(other, plain)


def test_layers_that_the_file_left_out_are_not_left_out_again(network: Any, ours: clip.Clip) -> None:
    trimmed = clip.Clip(ours.modules["clip_l"], {}, "clip_l", words(), lambda: None, trimmed=1)
    use = clip.Use(trimmed, words(), skip=1)
    with torch.no_grad():
        assert torch.equal(
            use.encode([ROW], skip=None, embeddings={})[0], ours.encode([ROW], skip=0, embeddings={})[0]
        )
        assert torch.equal(
            use.encode([ROW], skip=2, embeddings={})[0], ours.encode([ROW], skip=1, embeddings={})[0]
        )


def test_a_call_can_be_stopped_between_layers(ours: clip.Clip) -> None:
    class StopError(Exception):
        pass

    seen: list[int] = []

    def check() -> None:
        seen.append(1)
        if len(seen) == 2:
            raise StopError

    joined = clip.Joined({"l": clip.Use(ours, words())}, [ours], clip.only)
    joined.check = check
    with torch.no_grad(), pytest.raises(StopError):
        joined.networks["l"].encode([ROW], skip=None, embeddings={})
    assert len(seen) == 2
    joined.check = lambda: None


def test_two_networks_lie_side_by_side_and_the_second_is_pooled() -> None:
    low, high = torch.zeros(1, 154, 3), torch.ones(1, 77, 5)
    hidden, pooled = clip.side_by_side({"l": (low, torch.zeros(1, 3)), "g": (high, torch.ones(1, 5))})
    assert hidden.shape == (1, 77, 8)
    assert hidden[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert pooled is not None
    assert pooled.tolist() == [[1.0] * 5]
