"""The sampler made of parts: what it gives is what the plain one gives, and what the model saw on the way."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import torch

from nodes.guiders import basic_guider, cfg_guider, dual_cfg_guider
from nodes.noise import disable_noise, random_noise
from nodes.sampling import CustomSample, k_sampler, sample_custom
from studio.cache.store import Store
from studio.declare import Extension
from studio.diffusion import tensors
from studio.diffusion.schedules import karras
from studio.errors import Cancelled, NodeError
from studio.events import Picture
from studio.types import Guider, Latent, Noise, Sigmas, SolverChoice
from tests.studio.diffusion.bench import context
from tests.studio.diffusion.echo import MODEL, SD, Echo, Shelf, entry, told

POSITIVE, NEGATIVE = told(entry(0.7)), told(entry(-0.3))
CFG = cfg_guider(MODEL, POSITIVE, NEGATIVE, guidance=4.0)
LEVELS = Sigmas(tuple(karras(SD, 6)))
LATENT = Latent(torch.zeros(2, 4, 8, 8), 8)


class Run:
    """Runs the custom sampler over the denoiser that counts its calls."""

    def __init__(self, store: Store | None = None) -> None:
        tensors.register()
        self.store = store
        self.shelf = Shelf(Echo())
        self.more: dict[tuple[str, str], Extension] = {}

    def __call__(
        self,
        guider: Guider = CFG,
        noise: Noise | None = None,
        sigmas: Sigmas = LEVELS,
        solver: SolverChoice | None = None,
        latent: Latent = LATENT,
        stop: int | None = None,
        **knobs: Any,
    ) -> CustomSample:
        flag = threading.Event()

        def report(done: int, total: int, picture: Picture | None) -> None:
            if done == stop:
                flag.set()

        ctx = context(using=self.shelf, checkpoints=self.store, report=report, cancelled=flag)  # type: ignore[arg-type]
        ctx = replace(ctx, extensions={**ctx.extensions, **self.more})
        self.shelf.denoiser.calls.clear()
        noise, solver = noise or random_noise(seed=3), solver or SolverChoice("euler_ancestral")
        return sample_custom(ctx, noise, guider, solver, sigmas, latent, **knobs)

    @property
    def calls(self) -> int:
        return len(self.shelf.denoiser.calls)


def test_the_same_parts_give_what_the_plain_sampler_gives() -> None:
    ctx = context(using=Shelf(Echo()))  # type: ignore[arg-type]
    knobs: dict[str, Any] = {"seed": 3, "steps": 6, "guidance": 4.0, "solver": "euler_ancestral"}
    plain = k_sampler(ctx, MODEL, POSITIVE, NEGATIVE, LATENT, schedule="karras", **knobs)
    assert torch.equal(Run()().latent.samples, plain.samples)


def test_the_last_prediction_of_a_plain_step_is_the_picture() -> None:
    made = Run()(solver=SolverChoice("euler"))
    assert torch.allclose(made.latent.samples, made.predicted.samples, atol=1e-5)
    early = Run()(solver=SolverChoice("euler"), sigmas=Sigmas(LEVELS.values[:4]))
    assert not torch.allclose(early.latent.samples, early.predicted.samples, atol=0.1)
    assert early.predicted.samples.std() < early.latent.samples.std()


def test_the_prediction_of_every_step_is_kept_on_demand() -> None:
    part = replace(LATENT, first=1, of=4, noise_mask=torch.ones(2, 8, 8))
    assert Run()(latent=part, keep_steps=True).predicted.noise_mask is None
    made = Run()(keep_steps=True)
    assert made.predicted.samples.shape == (12, 4, 8, 8)
    assert torch.equal(made.predicted.samples[-2:], Run()().predicted.samples)


@pytest.mark.parametrize("every", [False, True])
def test_predictions_are_those_of_an_unbroken_run_after_a_stop(every: bool) -> None:
    expected = Run()(keep_steps=every)
    for stop in range(1, 6):
        run = Run(Store(2**22, None))
        with pytest.raises(Cancelled):
            run(stop=stop, keep_steps=every)
        made = run(keep_steps=every)
        assert run.calls <= 6 - stop
        assert torch.equal(made.predicted.samples, expected.predicted.samples)


def test_a_run_that_kept_no_predictions_is_not_resumed_by_one_that_wants_all() -> None:
    run = Run(Store(2**22, None))
    run()
    made = run(keep_steps=True)
    assert run.calls == 6
    assert torch.equal(made.predicted.samples, Run()(keep_steps=True).predicted.samples)


def test_an_unfinished_schedule_goes_on_from_its_end() -> None:
    run = Run(Store(2**22, None))
    run(sigmas=Sigmas(LEVELS.values[:4]), solver=SolverChoice("dpmpp_2m"))
    made = run(solver=SolverChoice("dpmpp_2m"))
    assert run.calls == 3
    assert torch.equal(made.latent.samples, Run()(solver=SolverChoice("dpmpp_2m")).latent.samples)


def test_without_noise_it_begins_with_the_latent() -> None:
    first = Run()(sigmas=Sigmas(LEVELS.values[:4]), solver=SolverChoice("euler"))
    rest = Run()(
        noise=disable_noise(),
        sigmas=Sigmas(LEVELS.values[3:]),
        solver=SolverChoice("euler"),
        latent=first.latent,
    )
    assert torch.allclose(rest.latent.samples, Run()(solver=SolverChoice("euler")).latent.samples, atol=1e-5)


def test_guiders_ask_for_as_much_as_they_need() -> None:
    asked: list[int] = []
    for guider in (
        basic_guider(MODEL, POSITIVE),
        CFG,
        dual_cfg_guider(MODEL, POSITIVE, told(entry(0.1)), NEGATIVE),
    ):
        run = Run()
        run(guider)
        asked.append(len(run.shelf.denoiser.calls[0][1]))
    assert asked == [1, 2, 3]


def halfway(positive: torch.Tensor, negative: torch.Tensor, scale: float) -> torch.Tensor:
    """A way of guiding that a package may bring."""
    return (positive + negative) / 2


def test_guiders_of_unlike_kinds_share_nothing() -> None:
    run = Run(Store(2**22, None))
    run.more["guider", "halfway"] = Extension("guider", "halfway", f"{__name__}:halfway", "Half of it.")
    plain = run().latent.samples
    half = run(replace(CFG, kind="halfway")).latent.samples
    assert run.calls == 6
    assert not torch.equal(plain, half)


def test_options_of_a_solver_act_where_it_has_them() -> None:
    plain = Run()().latent.samples
    still = Run()(solver=SolverChoice("euler_ancestral", {"eta": 0.0, "nothing": 3.0})).latent.samples
    assert not torch.equal(plain, still)
    assert torch.allclose(still, Run()(solver=SolverChoice("euler")).latent.samples, atol=1e-4)


def test_solvers_that_ask_for_the_negative_apart_are_given_it() -> None:
    plain = Run()(
        solver=SolverChoice("euler_cfg_pp"), guider=cfg_guider(MODEL, POSITIVE, NEGATIVE, guidance=1.0)
    )
    alone = Run()(solver=SolverChoice("euler_cfg_pp"), guider=basic_guider(MODEL, POSITIVE))
    assert not torch.allclose(plain.latent.samples, alone.latent.samples, atol=1e-3)


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        (Sigmas((1.0, 2.0, 0.0)), "do not fall"),
        (Sigmas((1.0, 1.0, 0.0)), "do not fall"),
        (Sigmas((1.0, 0.5, -0.5)), "do not fall"),
        (Sigmas((1.0, 0.5, 0.0), flow=True), "another kind of model"),
    ],
)
def test_sigmas_that_lead_nowhere_are_a_sentence(sigmas: Sigmas, message: str) -> None:
    with pytest.raises(NodeError, match=message) as caught:
        Run()(sigmas=sigmas)
    assert caught.value.socket == "sigmas"


def test_turned_round_it_leads_from_the_picture_to_noise_that_leads_back() -> None:
    levels = Sigmas(tuple(karras(SD, 400))[:-1])
    turned = Sigmas(levels.values[::-1])
    euler, guider = SolverChoice("euler"), basic_guider(MODEL, POSITIVE)
    picture = Run()(guider, sigmas=levels, solver=euler).latent
    noise = Run()(guider, disable_noise(), turned, euler, picture).latent
    assert noise.samples.std() > 5
    again = Run()(guider, disable_noise(), levels, euler, noise).latent
    assert torch.allclose(again.samples, picture.samples, atol=0.1)


def test_noise_levels_that_are_nearly_equal_are_named_where_no_numbers_come_of_them() -> None:
    class Broken(Echo):
        def __call__(self, x: torch.Tensor, *args: Any, **named: Any) -> list[torch.Tensor]:
            return [estimate * float("nan") for estimate in super().__call__(x, *args, **named)]

    run = Run()
    run.shelf.denoiser = Broken()
    with pytest.raises(NodeError, match=r"values that are no numbers\. Lower the guidance"):
        run(solver=SolverChoice("euler"))
    close = Sigmas((10.0, 5.0, 5.0 * (1 - 1e-9), 0.0))
    with pytest.raises(NodeError, match=r"steps 2 and 3 are nearly the same: 5 and 5\. Give fewer"):
        run(solver=SolverChoice("euler"), sigmas=close)


@pytest.mark.parametrize("name", ["dpmpp_sde", "ddpm", "seeds_2", "sa_solver", "lms", "euler_ancestral"])
def test_solvers_that_only_go_down_say_so_of_rising_sigmas(name: str) -> None:
    turned = Sigmas(LEVELS.values[-2::-1])
    with pytest.raises(NodeError, match=f"“{name}” only goes from noise to the picture") as caught:
        Run()(noise=disable_noise(), sigmas=turned, solver=SolverChoice(name))
    assert caught.value.socket == "solver"
    assert "euler" in caught.value.remedy


def test_no_steps_leave_the_latent_as_it_is() -> None:
    made = Run()(sigmas=Sigmas((1.0,)))
    assert torch.equal(made.latent.samples, LATENT.samples)
