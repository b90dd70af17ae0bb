from __future__ import annotations

import pytest
import torch

from nodes.noise import disable_noise, latent_from_batch, random_noise, repeat_latent
from studio.errors import NodeError
from studio.types import Latent, Noise

BATCH = Latent(torch.arange(4.0).view(4, 1, 1, 1).expand(4, 4, 2, 2), 8, torch.rand(4, 2, 2))


def test_noise_is_a_seed_and_whether_it_is_added() -> None:
    assert random_noise(seed=3) == Noise(3, added=True)
    assert disable_noise() == Noise(0, added=False)


def test_a_part_of_a_batch_knows_its_place() -> None:
    part = latent_from_batch(BATCH, index=1, count=2)
    assert part.samples[:, 0, 0, 0].tolist() == [1.0, 2.0]
    assert (part.first, part.of) == (1, 4)
    assert part.noise_mask is not None
    assert BATCH.noise_mask is not None
    assert torch.equal(part.noise_mask, BATCH.noise_mask[1:3])
    again = latent_from_batch(part, index=1, count=1)
    assert (again.first, again.of, float(again.samples.mean())) == (2, 4, 2.0)


def test_what_a_batch_does_not_have_cannot_be_taken() -> None:
    with pytest.raises(NodeError, match="has 4 latents") as caught:
        latent_from_batch(BATCH, index=3, count=2)
    assert caught.value.socket == "index"


def test_copies_are_a_batch_of_their_own() -> None:
    copies = repeat_latent(latent_from_batch(BATCH, index=1, count=2), times=3)
    assert copies.samples[:, 0, 0, 0].tolist() == [1.0, 2.0] * 3
    assert (copies.first, copies.of) == (0, 0)
    assert copies.noise_mask is not None
    assert len(copies.noise_mask) == 6
