from __future__ import annotations

import pytest
import torch

from studio.diffusion import conditioning
from studio.diffusion.api import Perturb
from studio.diffusion.control.residuals import fitted
from studio.diffusion.guidance.estimates import Estimator, acting, acts
from studio.types import Recipe
from tests.studio.diffusion.echo import Echo, entry

X = torch.zeros(1, 4, 16, 16)
NETWORK = Recipe("", "identity", "controlnet", "it")


def test_entries_of_all_conditionings_go_in_one_call() -> None:
    denoiser = Echo()
    first, second = Estimator(denoiser)(X, 1.0, [[entry(1.0)], [entry(3.0)]])
    assert (first.unique().tolist(), second.unique().tolist()) == ([1.0], [3.0])
    assert [len(entries) for _, entries, _ in denoiser.calls] == [2]


def test_several_entries_are_averaged_by_strength() -> None:
    (found,) = Estimator(Echo())(X, 1.0, [[entry(1.0, strength=3.0), entry(5.0, strength=1.0)]])
    assert torch.allclose(found, torch.tensor(2.0))


def test_a_mask_says_where_an_entry_counts() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[..., 8:] = 1
    (found,) = Estimator(Echo())(X, 1.0, [[entry(1.0, mask=1 - mask), entry(5.0, mask=mask)]])
    assert found[..., :8].unique().tolist() == [1.0]
    assert found[..., 8:].unique().tolist() == [5.0]


def test_an_area_is_estimated_from_its_part_alone() -> None:
    denoiser = Echo()
    whole, part = entry(1.0), entry(5.0, area=(0.0, 0.5, 1.0, 0.5))
    (found,) = Estimator(denoiser)(X, 1.0, [[whole, part]])
    assert [shape for shape, _, _ in denoiser.calls] == [(1, 4, 16, 16), (1, 4, 16, 8)]
    assert found[..., :8].unique().tolist() == [1.0]
    assert torch.allclose(found[..., 15], torch.tensor(3.0))


def test_fewer_entries_at_once_give_the_same() -> None:
    denoiser = Echo()
    ask = Estimator(denoiser)
    told = [[entry(1.0)], [entry(3.0)], [entry(5.0)]]
    ask(X, 1.0, told)
    asked = []
    while ask.ask_fewer():
        denoiser.calls.clear()
        found = ask(X, 1.0, told)
        assert [float(one.mean()) for one in found] == [1.0, 3.0, 5.0]
        asked.append([len(entries) for _, entries, _ in denoiser.calls])
    assert asked == [[1, 1, 1]]


def test_tiles_of_a_large_latent_give_what_the_whole_would() -> None:
    denoiser = Echo()
    ask = Estimator(denoiser)
    x = torch.randn(2, 4, 24, 40, generator=torch.Generator().manual_seed(1))
    told = [[entry(1.0)], [entry(3.0, area=(0.0, 0.0, 0.2, 0.2)), entry(4.0)]]
    (plain, _) = ask(x, 2.0, told)
    ask.tiling = (16, 16, 8)
    denoiser.calls.clear()
    (tiled, mixed) = ask(x, 2.0, told)
    assert torch.allclose(plain, tiled, atol=1e-6)
    assert {shape for shape, _, _ in denoiser.calls} == {(2, 4, 16, 16)}
    # The small area is told to the tile that it lies in, and to no other.
    assert sorted(len(entries) for _, entries, _ in denoiser.calls)[-2:] == [2, 3]
    assert torch.allclose(mixed[..., -1] - plain[..., -1], torch.tensor(3.0))


def test_a_small_latent_needs_no_tiles() -> None:
    denoiser = Echo()
    ask = Estimator(denoiser)
    ask.tiling = (16, 16, 8)
    ask(X, 1.0, [[entry(1.0)]])
    assert len(denoiser.calls) == 1


def test_perturbation_reaches_the_denoiser() -> None:
    denoiser, worse = Echo(), Perturb("identity_attention", ("mid_block",))
    Estimator(denoiser)(X, 1.0, [[entry(1.0)]], worse)
    assert denoiser.calls[0][2] is worse


def test_controls_and_pictures_act_in_their_own_ranges() -> None:
    early = conditioning.control(NETWORK, torch.rand(1, 3, 8, 8), span=(0.0, 0.4))
    late = conditioning.image_prompt(NETWORK, torch.rand(1, 4, 8), span=(0.4, 1.0))
    whole = entry(1.0, span=(0.0, 0.8), controls=(early,), images=(late,))
    first, second, third = (acting([whole], progress) for progress in (0.1, 0.5, 0.9))
    assert (first[0].controls, first[0].images) == ((early,), ())
    assert (second[0].controls, second[0].images) == ((), (late,))
    assert first[0].digest == whole.digest
    assert third == []


@pytest.mark.parametrize(("progress", "expected"), [(0.0, False), (0.3, True), (0.6, False), (1.0, False)])
def test_a_range_includes_its_start_and_not_its_end(progress: float, expected: bool) -> None:
    assert acts((0.3, 0.6), progress) is expected


def test_a_range_up_to_the_end_includes_it() -> None:
    assert acts((0.3, 1.0), 1.0)


@pytest.mark.parametrize("shape", [(1, 3, 192, 192), (2, 3, 40, 96), (1, 3, 128, 192)])
def test_parts_see_what_they_would_of_a_hint_fitted_to_the_whole(shape: tuple[int, ...]) -> None:
    hint = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    whole = fitted(hint, 128, 192)
    denoiser = Echo()
    denoiser.networks = {conditioning.name_of(NETWORK): object()}
    told = entry(1.0, controls=(conditioning.control(NETWORK, hint),), area=(0.5, 0.5, 0.5, 0.5))
    Estimator(denoiser)(torch.zeros(1, 4, 16, 24), 1.0, [[told]])
    ((_, (part,), _),) = denoiser.calls
    assert torch.equal(part.controls[0].hint, whole[..., 64:128, 96:192])
