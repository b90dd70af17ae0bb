from __future__ import annotations

import itertools
import math

import pytest

from studio.diffusion import schedules
from studio.diffusion.schedules import Sampling, denoised_part, flow, scaled_linear
from tests.studio.diffusion.reference import KINDS, entries

SD = KINDS["eps"]
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
@pytest.mark.parametrize("name", sorted({entry.split("/")[2] for entry in entries() if "sigmas" in entry}))
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
