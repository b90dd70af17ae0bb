from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from studio.diffusion.guidance import effects
from studio.diffusion.guidance.effects import Effect, Moment, factor
from studio.diffusion.guidance.guiders import classifier_free
from studio.diffusion.schedules import Sampling, flow
from studio.types import Json
from tests.studio.diffusion.echo import SD

FLOW = Sampling(flow(3.0), "flow", 3.0)
SCALE, SIGMA = 5.0, 0.8


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def moment(sampling: Sampling = SD, scale: float = SCALE) -> Moment:
    return Moment(drawn(1), SIGMA, sampling, scale, drawn(2), drawn(3), lambda perturb: drawn(4), ())


def guided(at: Moment) -> torch.Tensor:
    assert at.negative is not None
    return classifier_free(at.positive, at.negative, at.scale)


def changed(effect: Effect, at: Moment, params: Mapping[str, Json]) -> torch.Tensor:
    assert effect.change is not None
    return effect.change(at, guided(at), params)


def noise_of(x: torch.Tensor, denoised: torch.Tensor) -> torch.Tensor:
    return (x - denoised) / SIGMA


def test_rescaled_noise_has_its_spread_corrected_in_part() -> None:
    at = moment()
    plain, wanted = noise_of(at.x, guided(at)), noise_of(at.x, at.positive)
    ratio = wanted.std((1, 2, 3), keepdim=True) / plain.std((1, 2, 3), keepdim=True)
    ours = noise_of(at.x, changed(effects.RESCALE, at, {"rescale": 0.6, "of": "noise"}))
    assert torch.allclose(ours, plain * ratio * 0.6 + plain * 0.4, atol=1e-5)


def test_rescaled_velocity_has_the_spread_of_the_positive_one() -> None:
    at = moment()
    root = (SIGMA**2 + 1) ** 0.5

    def velocity(denoised: torch.Tensor) -> torch.Tensor:
        return (at.x / root - denoised * root) / SIGMA

    found = velocity(changed(effects.RESCALE, at, {"rescale": 1.0}))
    spread = velocity(at.positive).std((1, 2, 3))
    assert torch.allclose(found.std((1, 2, 3)), spread, rtol=1e-4)
    ratio = found / velocity(guided(at))
    assert torch.allclose(ratio, ratio[:, :1, :1, :1].expand_as(ratio), rtol=1e-2)


def test_projected_guidance_is_that_of_diffusers_with_momentum_over_steps() -> None:
    from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance

    before = MomentumBuffer(-0.5)
    memory: tuple[torch.Tensor, ...] = ()
    for seed in (0, 10, 20):
        at = moment()
        at.positive, at.negative, at.memory = drawn(seed + 2), drawn(seed + 3), memory
        expected = normalized_guidance(
            at.positive, at.negative, SCALE - 1, before, 0.3, 7.5, use_original_formulation=True
        )
        params: dict[str, Json] = {"eta": 0.3, "norm_threshold": 7.5, "momentum": -0.5}
        assert torch.allclose(changed(effects.PROJECTED, at, params), expected, atol=1e-5)
        memory = at.memory
    assert len(memory) == 1


def test_projected_guidance_that_keeps_all_of_it_is_classifier_free() -> None:
    at = moment()
    assert torch.allclose(changed(effects.PROJECTED, at, {"eta": 1.0}), guided(at), atol=1e-5)
    assert at.memory == ()


def test_zero_star_is_that_of_diffusers() -> None:
    from diffusers.guiders.classifier_free_zero_star_guidance import cfg_zero_star_scale

    at = moment(FLOW)
    assert at.negative is not None
    wanted, unwanted = noise_of(at.x, at.positive), noise_of(at.x, at.negative)
    alpha = cfg_zero_star_scale(wanted.flatten(1), unwanted.flatten(1)).view(-1, 1, 1, 1)
    expected = unwanted * alpha + (wanted - unwanted * alpha) * SCALE
    assert torch.allclose(noise_of(at.x, changed(effects.ZERO_STAR, at, {})), expected, atol=1e-4)


def test_zero_star_may_leave_the_first_steps_out() -> None:
    at = moment(FLOW)
    assert torch.equal(changed(effects.ZERO_STAR, at, {"zero_until": 0.9}), at.x)


def test_perturbed_guidance_goes_away_from_the_worse_estimate() -> None:
    at = moment()
    found = changed(effects.PERTURBED, at, {"scale": 3.0, "kind": "skip_layers", "layers": ["7"]})
    assert torch.allclose(found, guided(at) + 3 * (at.positive - drawn(4)))
    assert torch.equal(changed(effects.PERTURBED, at, {"scale": 0.0}), guided(at))


@pytest.mark.parametrize("effect", [effects.PROJECTED, effects.ZERO_STAR])
def test_without_a_negative_there_is_nothing_to_put_together(effect: Effect) -> None:
    at = moment()
    at.negative = None
    assert effect.change is not None
    assert torch.equal(effect.change(at, at.positive, {}), at.positive)


def test_guidance_over_steps_goes_from_first_to_last() -> None:
    params: dict[str, Json] = {"first": 1.0, "last": 0.5, "curve": "cosine"}
    assert [round(factor(params, part), 4) for part in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.9268, 0.75, 0.5]
    assert factor({"first": 1.0, "last": 0.5}, 0.25) == 0.875
