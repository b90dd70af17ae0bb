from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodes.loaders import load_checkpoint
from nodes.schedules import beta_sigmas, schedule_sigmas, turbo_sigmas
from studio.diffusion import schedules
from studio.types import Latent, Model
from tests.studio.diffusion.bench import context, tiny_model
from tests.studio.diffusion.reference import KINDS

SD = KINDS["eps"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tiny_model(tmp_path_factory.mktemp("model"))
    return load_checkpoint(context(), path=str(folder)).model


def test_levels_of_a_schedule_are_those_the_sampler_takes(model: Model) -> None:
    found = schedule_sigmas(context(), model, schedule="normal", steps=9)
    assert found.values == pytest.approx(tuple(schedules.normal(SD, 9)))
    assert not found.flow


def test_denoise_below_one_takes_the_last_steps_of_a_longer_schedule(model: Model) -> None:
    part = schedule_sigmas(context(), model, schedule="karras", steps=5, denoise=0.5)
    assert part.values == pytest.approx(schedules.karras(SD, 10)[-6:])
    assert schedule_sigmas(context(), model, denoise=0.0).values == ()


def test_levels_need_no_latent_but_take_one(model: Model) -> None:
    latent = Latent(torch.zeros(1, 4, 8, 8), 2)
    assert schedule_sigmas(context(), model, latent) == schedule_sigmas(context(), model)


def test_beta_of_the_usual_shape_is_the_schedule_of_that_name(model: Model) -> None:
    assert beta_sigmas(context(), model, steps=12).values == pytest.approx(tuple(schedules.beta(SD, 12)))
    other = beta_sigmas(context(), model, steps=12, alpha=2.0, beta=1.0).values
    assert other != beta_sigmas(context(), model, steps=12).values


def test_turbo_begins_where_it_is_told_to(model: Model) -> None:
    tenths = [SD.table[index] for index in range(999, 0, -100)]
    assert turbo_sigmas(context(), model, steps=1).values == pytest.approx((tenths[0], 0))
    assert turbo_sigmas(context(), model, steps=4).values == pytest.approx((*tenths[:4], 0))
    assert turbo_sigmas(context(), model, steps=4, denoise=0.5).values == pytest.approx((*tenths[5:9], 0))
    assert turbo_sigmas(context(), model, steps=9, denoise=0.2).values == pytest.approx((*tenths[8:], 0))
