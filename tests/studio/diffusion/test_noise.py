from __future__ import annotations

import pytest
import torch

from studio.diffusion.noise import Batch, Brownian, Gaussian, initial, source
from studio.diffusion.schedules import Sigmas

SIGMAS = Sigmas((10.0, 3.0, 1.0, 0.2, 0.0), flow=False)
LIKE = torch.zeros(3, 4, 2, 2)


def test_initial_noise_is_one_draw() -> None:
    assert torch.equal(initial((3, 4, 2, 2), 5), torch.randn(3, 4, 2, 2, generator=torch.manual_seed(5)))


@pytest.mark.parametrize("kind", ["gaussian", "brownian"])
def test_part_of_a_batch_has_the_noise_it_has_in_the_whole(kind: str) -> None:
    batch = Batch(3, (2, 0))
    part = LIKE[[2, 0]]
    assert torch.equal(initial(tuple(part.shape), 5, batch), initial((3, 4, 2, 2), 5)[[2, 0]])
    whole = source(kind, SIGMAS, 5)(LIKE, 0)  # type: ignore[arg-type]
    kept = source(kind, SIGMAS, 5, batch)(part, 0)  # type: ignore[arg-type]
    for start, end in ((10.0, 3.0), (3.0, 1.0)):
        assert torch.equal(kept(start, end), whole(start, end)[[2, 0]])


def test_gaussian_noise_of_a_solver_is_not_the_initial_noise() -> None:
    drawn = source("gaussian", SIGMAS, 5)(LIKE, 0)(10.0, 3.0)
    assert torch.equal(drawn, initial((3, 4, 2, 2), 6))


def test_largest_seed_has_a_successor() -> None:
    largest = Gaussian(torch.zeros(2), 2**64 - 1 + 1)
    assert torch.equal(largest(1.0, 0.5), Gaussian(torch.zeros(2), 0)(1.0, 0.5))


def test_noise_goes_on_after_the_draws_already_made() -> None:
    whole = Gaussian(torch.zeros(3), 1)
    first, second = whole(1.0, 0.5), whole(0.5, 0.1)
    assert not torch.equal(first, second)
    assert torch.equal(Gaussian(torch.zeros(3), 1, draws=1)(0.5, 0.1), second)


def test_increments_of_a_path_add_up_whatever_was_asked_before() -> None:
    path = Brownian(LIKE, 5, SIGMAS)
    parts = path(3.0, 1.5) * 1.5**0.5 + path(1.5, 1.0) * 0.5**0.5
    assert torch.allclose(parts, path(3.0, 1.0) * 2**0.5, atol=1e-5)
    assert path.draws == 3
    assert torch.equal(Brownian(LIKE, 5, SIGMAS, draws=7)(1.5, 1.0), path(1.5, 1.0))


def test_increments_of_a_path_are_of_unit_variance() -> None:
    path = Brownian(torch.zeros(1, 4, 64, 64), 2**64 - 1, SIGMAS)
    for start, end in ((10.0, 9.0), (1.0, 0.2), (10.0, 0.2)):
        assert float(path(start, end).std()) == pytest.approx(1, abs=0.03)


def test_a_path_may_be_asked_a_hair_beyond_its_ends() -> None:
    path = Brownian(LIKE, 5, SIGMAS)
    assert bool(torch.isfinite(path(10.0 + 1e-7, 0.2 - 1e-9)).all())
