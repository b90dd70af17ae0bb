from __future__ import annotations

import itertools
import math

import pytest
import torch

from studio.diffusion import schedules
from studio.diffusion.api import State
from studio.diffusion.noise import Batch, initial, source
from studio.diffusion.schedules import Sampling, Sigmas, flow, scaled_linear
from tests.studio.diffusion.reference import KINDS, start
from tests.studio.diffusion.solvers.following import SEED, SOLVERS, Model, end, follow, noise_of, way

ZERO_SNR = Sampling(scaled_linear(0.00085, 0.012, 1000, zero_snr=True), "v_prediction")
OWN = [name for name, solver in SOLVERS.items() if solver.own_steps]
PLUS_PLUS = [name for name in SOLVERS if name.endswith("_cfg_pp")]


@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("name", SOLVERS)
def test_steps_are_told_in_order_and_end_with_the_schedule(name: str, kind: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, kind, "sgm_uniform", steps=6)
    told = [state.step for state in follow(solver, sigmas, State(0, x))]
    if solver.own_steps:
        assert told == sorted(told)
        assert told[-1] == len(sigmas) - 1 > told[-2]
    else:
        assert told == list(range(1, len(sigmas)))


@pytest.mark.parametrize("schedule", ["sgm_uniform", "karras"])
@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("name", SOLVERS)
def test_resumed_equals_unbroken_bit_for_bit_at_every_step(name: str, kind: str, schedule: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, kind, schedule, steps=7)
    states = list(follow(solver, sigmas, State(0, x)))
    for index, state in enumerate(states[:-1]):
        again = list(follow(solver, sigmas, state))
        assert len(again) == len(states) - index - 1
        for resumed, unbroken in zip(again, states[index + 1 :], strict=True):
            assert (resumed.step, resumed.draws) == (unbroken.step, unbroken.draws)
            assert torch.equal(resumed.x, unbroken.x)
            assert all(map(torch.equal, resumed.history, unbroken.history))


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_writes_to_nothing_it_was_given_or_has_yielded(name: str) -> None:
    sigmas, x = way(SOLVERS[name], "eps", "karras", steps=5)
    before = x.clone()
    yielded = [
        (state, state.x.clone(), [item.clone() for item in state.history])
        for state in follow(SOLVERS[name], sigmas, State(0, x))
    ]
    assert torch.equal(x, before)
    for state, copy, history in yielded:
        assert torch.equal(state.x, copy)
        assert all(torch.equal(a, b) for a, b in zip(state.history, history, strict=True))


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in OWN])
def test_solver_reads_no_sigma_but_those_it_declares(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, "eps", "karras", steps=7)
    first = next(follow(solver, sigmas, State(0, x)))
    seen = 2 + solver.look_ahead
    # The extremes of the schedule are part of a Brownian path's key.
    last = len(sigmas) - (2 if solver.noise == "brownian" else 0)
    other = Sigmas(
        (*sigmas[:seen], *(sigma * 0.9 for sigma in sigmas[seen:last]), *sigmas[last:]), flow=False
    )
    assert other != sigmas
    assert torch.equal(first.x, next(follow(solver, other, State(0, x))).x)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in OWN])
def test_steps_added_beyond_what_is_read_change_nothing(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, "eps", "karras", steps=9)
    longer = Sigmas((*sigmas[:-2], sigmas[-2] * 1.01, *sigmas[-2:]), flow=False)
    for k, (state, other) in enumerate(
        zip(follow(solver, sigmas, State(0, x)), follow(solver, longer, State(0, x)), strict=False)
    ):
        read = k + 2 + solver.look_ahead
        if sigmas[:read] != longer[:read]:
            break
        assert torch.equal(state.x, other.x)


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_that_calls_the_model_inside_a_step_says_so(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, "eps", "karras", steps=6)
    model = Model(sigmas)
    end(solver, sigmas, x, model)
    assert solver.inner == (model.asked != list(sigmas[:-1]))


@pytest.mark.parametrize("name", OWN)
def test_step_of_a_solver_with_its_own_ones_lies_beyond_all_calls_so_far(name: str) -> None:
    sigmas, x = way(SOLVERS[name], "eps", "karras", steps=20)
    model = Model(sigmas)
    steps = []
    for state in follow(SOLVERS[name], sigmas, State(0, x), model):
        steps.append(state.step)
        assert sigmas[state.step] <= min(model.asked) * (1 + 1e-5)
    assert len(set(steps)) > 3


@pytest.mark.parametrize("name", SOLVERS)
def test_only_solvers_that_say_so_draw_noise(name: str) -> None:
    sigmas, x = way(SOLVERS[name], "eps", "karras", steps=5)
    *_, last = follow(SOLVERS[name], sigmas, State(0, x))
    assert (last.draws > 0) == (SOLVERS[name].noise != "none")


@pytest.mark.parametrize("sampling", [ZERO_SNR, KINDS["flow"], Sampling(flow(1.0), "flow")])
@pytest.mark.parametrize("name", SOLVERS)
def test_no_solver_gives_what_is_no_number_from_nearly_pure_noise(name: str, sampling: Sampling) -> None:
    solver = SOLVERS[name]
    for schedule, steps in itertools.product(("simple", "karras", "normal"), (1, 2, 3, 10)):
        sigmas = schedules.denoised_part(
            getattr(schedules, schedule), sampling, steps, 1.0, drop_last=solver.drop_last
        )
        x = start(initial((1, 4, 4, 4), SEED), sigmas)
        for state in follow(solver, sigmas, State(0, x)):
            assert bool(torch.isfinite(state.x).all())
        if steps == 10 and name != "pndm":  # whose Runge–Kutta steps overshoot where strides are so long
            assert float(state.x.abs().max()) < 20


@pytest.mark.parametrize("name", SOLVERS)
def test_schedule_may_end_above_zero(name: str) -> None:
    solver = SOLVERS[name]
    for kind in ("eps", "flow"):
        sigmas, x = way(solver, kind, "sgm_uniform", steps=10)
        part = Sigmas(sigmas[:5], flow=sigmas.flow, sampling=sigmas.sampling)
        states = list(follow(solver, part, State(0, x)))
        assert states[-1].step == 4
        assert bool(torch.isfinite(states[-1].x).all())
        spread = float(states[-1].x.std())
        wanted = math.sqrt(part[4] ** 2 + (1.25 * (1 - part[4] if part.flow else 1)) ** 2)
        assert spread == pytest.approx(wanted, rel=0.35)


@pytest.mark.parametrize("name", SOLVERS)
def test_options_act_and_are_told(name: str) -> None:
    solver = SOLVERS[name]
    sigmas, x = way(solver, "eps", "karras", steps=7)
    plain = end(solver, sigmas, x)
    for option, default in solver.options.items():
        value = default - 1 if option == "order" else default * 0.5
        chosen = solver.given({option: value})
        assert chosen.chosen == ((option, value),)
        assert not torch.equal(end(chosen, sigmas, x), plain)
    assert solver.given(solver.options) == solver


@pytest.mark.parametrize("name", [name for name in SOLVERS if "eta" in SOLVERS[name].options])
def test_without_eta_nothing_is_drawn(name: str) -> None:
    solver = SOLVERS[name].given({"eta": 0.0})
    for kind in ("eps", "flow"):
        sigmas, x = way(solver, kind, "sgm_uniform", steps=6)
        *_, last = follow(solver, sigmas, State(0, x))
        assert last.draws == 0


@pytest.mark.parametrize("name", PLUS_PLUS)
def test_plus_plus_without_guidance_is_the_solver_it_is_named_after(name: str) -> None:
    plain = SOLVERS[name.removesuffix("_cfg_pp")]
    for kind in ("eps", "flow"):
        if kind == "flow" and "ancestral" in name and "res" not in name:
            continue  # there the noise is split in another way
        sigmas, x = way(plain, kind, "sgm_uniform", steps=6)
        made = [end(solver, sigmas, x, Model(sigmas, guided=False)) for solver in (SOLVERS[name], plain)]
        assert torch.allclose(*made, atol=1e-5)


@pytest.mark.parametrize("name", PLUS_PLUS)
def test_plus_plus_heeds_the_estimate_without_guidance_where_it_is_offered(name: str) -> None:
    sigmas, x = way(SOLVERS[name], "eps", "karras", steps=6)
    guided = end(SOLVERS[name], sigmas, x)
    alone = end(SOLVERS[name], sigmas, x, Model(sigmas, guided=False))
    *_, bare = SOLVERS[name](
        Model(sigmas).__call__, sigmas, noise_of(SOLVERS[name], sigmas, State(0, x)), State(0, x)
    )
    assert not torch.equal(guided, alone)
    assert torch.equal(alone, bare.x)


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "ddim", "ipndm"])
def test_from_picture_to_noise_and_back_is_nearly_where_it_was(name: str) -> None:
    levels = schedules.karras(KINDS["eps"], 200)[:-1]
    x = start(initial((1, 4, 4, 4), SEED), Sigmas(levels, flow=False))
    picture = end(SOLVERS[name], Sigmas(levels, flow=False), x)
    noise = end(SOLVERS[name], Sigmas(levels[::-1], flow=False), picture)
    assert float((noise - x).abs().max()) < 0.05 * float(x.std())


@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "dpm_adaptive"])
def test_a_picture_of_a_batch_comes_out_alone_as_it_does_among_the_others(name: str, kind: str) -> None:
    solver = SOLVERS[name]
    sigmas, _ = way(solver, kind, "sgm_uniform", steps=6)
    shape = (3, 4, 4, 4)
    ends: list[torch.Tensor] = []
    for batch in (None, Batch(3, (1,))):
        x = start(initial(shape if batch is None else (1, *shape[1:]), SEED, batch), sigmas)
        noise = source(solver.noise, sigmas, SEED, batch)(x, 0)
        *_, last = solver(Model(sigmas), sigmas, noise, State(0, x))
        ends.append(last.x)
    assert torch.equal(ends[0][1:2], ends[1])
