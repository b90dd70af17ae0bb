from __future__ import annotations

import itertools
import math

import pytest

from nodes import schedules as declared
from studio.declare import Extension
from studio.diffusion import schedules
from studio.diffusion.schedules import (
    Sampling,
    Sigmas,
    denoised_part,
    flow,
    scaled_linear,
    shift_for,
    shifted,
)
from tests.studio.diffusion.reference import KINDS, entries

SD = KINDS["eps"]
NAMES = [
    item.name for item in vars(declared).values() if isinstance(item, Extension) and item.kind == "schedule"
]
FLOW = KINDS["flow"]


@pytest.mark.parametrize("name", [name for name in entries() if name.startswith("sigmas/")])
def test_schedule_agrees_with_the_reference(name: str) -> None:
    _, kind, schedule = name.split("/")
    sigmas = getattr(schedules, schedule)(KINDS[kind], 12)
    reference = entries()[name].tolist()
    assert len(sigmas) == len(reference)
    assert sigmas == pytest.approx(reference, rel=3e-6, abs=1e-7)


@pytest.mark.parametrize("sampling", [SD, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize("steps", [1, 2, 7, 30, 150])
@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_falls_to_zero_for_any_count(name: str, steps: int, sampling: Sampling) -> None:
    sigmas = getattr(schedules, name)(sampling, steps)
    assert sigmas[-1] == 0
    assert all(above > below for above, below in itertools.pairwise(sigmas))
    assert sigmas.flow == sampling.flow


def test_partial_denoise_takes_the_last_steps_of_a_longer_schedule() -> None:
    part = denoised_part(schedules.karras, SD, 10, 0.5)
    assert part == schedules.karras(SD, 20)[-11:]


def test_dropping_the_last_sigma_keeps_the_count_of_steps() -> None:
    part = denoised_part(schedules.normal, SD, 6, 1.0, drop_last=True)
    longer = schedules.normal(SD, 7)
    assert part == (*longer[:-2], 0.0)
    half = denoised_part(schedules.normal, SD, 6, 0.5, drop_last=True)
    longer = schedules.normal(SD, 13)
    assert half == (*longer[6:-2], 0.0)


def test_timestep_is_that_of_the_nearest_sigma() -> None:
    assert SD.timestep(SD.high) == 999
    assert SD.timestep(SD.low) == 0
    between = math.sqrt(SD.table[500] * SD.table[501])
    assert SD.timestep(between * 1.0001) == 501
    assert SD.timestep(between * 0.9999) == 500


def test_sigma_between_entries_lies_between_their_sigmas() -> None:
    assert SD.sigma(500) == pytest.approx(SD.table[500])
    assert SD.sigma(500.5) == pytest.approx(math.sqrt(SD.table[500] * SD.table[501]))


@pytest.mark.parametrize("sampling", [SD, FLOW], ids=["eps", "flow"])
def test_progress_runs_from_noise_to_picture_whatever_the_count(sampling: Sampling) -> None:
    assert sampling.progress(sampling.high) == pytest.approx(0, abs=1e-9)
    assert sampling.progress(0) == 1
    halfway = sampling.sigma(499.5) if sampling is SD else sampling.sigma(500)
    assert sampling.progress(halfway) == pytest.approx(0.5, abs=1e-6)


def test_stable_diffusion_table_has_the_published_ends() -> None:
    assert SD.low == pytest.approx(0.0292, abs=1e-4)
    assert SD.high == pytest.approx(14.6146, abs=1e-4)


def test_zero_snr_table_reaches_nearly_pure_noise() -> None:
    table = scaled_linear(0.00085, 0.012, 1000, zero_snr=True)
    assert table[0] == pytest.approx(SD.low, rel=1e-6)
    assert table[-1] > 4000
    assert list(table) == sorted(table)


def test_flow_table_is_shifted_time() -> None:
    table = flow(3.0)
    assert table[-1] == 1
    assert table[499] == pytest.approx(3 * 0.5 / 2)


def test_every_schedule_of_the_reference_is_declared() -> None:
    assert {entry.split("/")[2] for entry in entries() if "sigmas" in entry} <= set(NAMES)


def test_align_your_steps_gives_the_published_levels_at_ten_steps() -> None:
    found = schedules.ays(SD, 10)
    assert found[:4] == pytest.approx((14.615, 6.475, 3.861, 2.697), abs=5e-3)
    assert schedules.ays_sdxl(SD, 10)[1:4] == pytest.approx((6.315, 3.771, 2.181), abs=5e-3)
    assert schedules.ays(SD, 20)[::2] == pytest.approx(tuple(found), rel=1e-6)
    assert schedules.ays(FLOW, 10)[0] == 1


def test_turbo_takes_tenths_of_the_table_and_no_more_than_ten() -> None:
    tenths = (*(SD.table[index] for index in (999, 899, 799, 699)), 0.0)
    assert tuple(schedules.turbo(SD, 4)) == pytest.approx(tenths, rel=1e-6)
    assert len(schedules.turbo(SD, 30)) == 11


def test_shift_grows_with_the_picture_as_flux_was_published() -> None:
    assert shift_for(256) == pytest.approx(math.exp(0.5))
    assert shift_for(4096) == pytest.approx(math.exp(1.15))
    assert shift_for(1024) == pytest.approx(math.exp(0.63))
    assert shift_for(1024, 0.0, 1.0, base_tokens=0, full_tokens=2048) == pytest.approx(math.exp(0.5))


def test_dynamic_shift_is_that_of_diffusers() -> None:
    import numpy as np
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 10, 10), mu=math.log(shift_for(1024)))
    sampling = shifted(Sampling(flow(1.0), "flow"), shift_for(1024))
    ours = [sampling.sigma(1000 * part) for part in np.linspace(1, 1 / 10, 10)]
    assert ours == pytest.approx(scheduler.sigmas[:-1].tolist(), rel=1e-5)


def test_shifted_sampling_has_the_progress_of_its_own_time() -> None:
    other = shifted(FLOW, 1.7)
    assert other.table[499] == pytest.approx(1.7 * 0.5 / (1 + 0.7 * 0.5))
    assert other.progress(other.table[499]) == pytest.approx(0.5)


@pytest.mark.parametrize("sampling", [SD, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize("part", [0.0001, 0.2, 0.5, 0.8, 0.999])
def test_the_level_at_a_progress_has_that_progress(sampling: Sampling, part: float) -> None:
    assert sampling.progress(sampling.at(part)) == pytest.approx(part, abs=1e-9)


def test_levels_know_what_the_denoiser_was_trained_on() -> None:
    assert schedules.karras(FLOW, 5).sampling is FLOW
    assert schedules.karras(FLOW, 5).part(2).sampling is FLOW
    bare = Sigmas((1.0, 0.0), flow=True)
    assert bare.sampling.shift == 1
    assert bare.of(FLOW).sampling is FLOW
    assert Sigmas((1.0, 0.0), flow=False).sampling.high == pytest.approx(SD.high)


@pytest.mark.parametrize("name", ["karras", "exponential", "simple", "ddim_uniform", "beta"])
def test_levels_of_stable_diffusion_are_the_reference_to_the_last_bit(name: str) -> None:
    assert list(getattr(schedules, name)(SD, 12)) == entries()[f"sigmas/eps/{name}"].tolist()


@pytest.mark.parametrize("name", ["karras", "exponential", "sgm_uniform"])
def test_levels_of_a_flow_are_the_reference_to_the_last_bit(name: str) -> None:
    assert list(getattr(schedules, name)(FLOW, 12)) == entries()[f"sigmas/flow/{name}"].tolist()
