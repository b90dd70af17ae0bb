"""The whole way of a sampler node: what is stored is shared by runs that agree, bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch

from nodes.guidance import (
    adaptive_projected_guidance,
    guidance_interval,
    guidance_over_steps,
    perturbed_attention,
    rescale_guidance,
    skip_layer_guidance,
    zero_star_guidance,
)
from nodes.model_patches import differential_diffusion, tiled_diffusion
from nodes.sampling import k_sampler, k_sampler_advanced
from studio.cache.store import Store
from studio.diffusion import conditioning, tensors
from studio.errors import Cancelled
from studio.events import Picture
from studio.types import Conditioning, Latent, Model, Patch, Recipe
from tests.studio.diffusion.bench import context
from tests.studio.diffusion.echo import MODEL, Echo, Shelf, entry, told

POSITIVE, NEGATIVE = told(entry(0.7), entry(0.2, area=(0.0, 0.0, 0.5, 1.0))), told(entry(-0.3))
STEPS = 8
NETWORK = Recipe("", "net", "controlnet", "echo")
KNOBS: dict[str, Any] = {
    "seed": 3,
    "steps": STEPS,
    "guidance": 4.0,
    "solver": "euler_ancestral",
    "schedule": "karras",
}


@pytest.fixture(autouse=True)
def _stored() -> None:
    tensors.register()


@pytest.fixture
def store() -> Store:
    return Store(2**24, None)


class Run:
    """Runs a sampler node over the denoiser that counts its calls."""

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.shelf = Shelf(Echo())

    @property
    def calls(self) -> int:
        return len(self.shelf.denoiser.calls)

    def __call__(
        self,
        model: Model = MODEL,
        positive: Conditioning = POSITIVE,
        negative: Conditioning | None = NEGATIVE,
        *,
        latent: Latent | None = None,
        stop: int | None = None,
        node: Callable[..., Latent] = k_sampler,
        **knobs: Any,
    ) -> torch.Tensor:
        flag = threading.Event()

        def report(done: int, total: int, picture: Picture | None) -> None:
            if stop is not None and done >= stop:
                flag.set()

        ctx = context(using=self.shelf, checkpoints=self.store, report=report, cancelled=flag)  # type: ignore[arg-type]
        latent = latent or Latent(torch.zeros(2, 4, 16, 16), 8)
        self.shelf.denoiser.calls.clear()
        settings = {**KNOBS, **knobs}
        return node(ctx, model, positive, negative, latent, **settings).samples


MODELS: dict[str, Model] = {
    "plain": MODEL,
    "rescale": rescale_guidance(MODEL),
    "perturbed": perturbed_attention(MODEL, start=0.2, end=0.7),
    "skip_layer": skip_layer_guidance(MODEL, start=0.0, end=0.5),
    "projected": adaptive_projected_guidance(MODEL),
    "zero_star": zero_star_guidance(MODEL),
    "interval": guidance_interval(MODEL, start=0.2, end=0.6),
    "over_steps": guidance_over_steps(MODEL),
    "tiled": tiled_diffusion(MODEL, tile=64, overlap=32),
    "differential": differential_diffusion(MODEL),
    "all": perturbed_attention(rescale_guidance(adaptive_projected_guidance(guidance_interval(MODEL)))),
}


@pytest.mark.parametrize("name", MODELS)
def test_stopped_at_any_step_it_resumes_bit_for_bit(name: str) -> None:
    mask = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(1))
    latent = Latent(torch.full((2, 4, 16, 16), 0.1), 8, mask if name == "differential" else None)
    model, unbroken = MODELS[name], Run(None)
    expected = unbroken(model, latent=latent)
    for stop in range(1, STEPS):
        run = Run(Store(2**24, None))
        with pytest.raises(Cancelled):
            run(model, latent=latent, stop=stop)
        assert torch.equal(run(model, latent=latent), expected)
        assert run.calls < unbroken.calls


SOLVERS = [name for kind, name in context().extensions if kind == "solver"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_resumes_bit_for_bit(solver: str) -> None:
    model = MODELS["all"]
    expected = Run(None)(model, solver=solver)
    for stop in (1, 4, STEPS - 1):
        run = Run(Store(2**24, None))
        with suppress(Cancelled):  # those that choose their own steps may be done by then
            run(model, solver=solver, stop=stop)
        assert torch.equal(run(model, solver=solver), expected)


def test_guiders_that_differ_share_nothing_and_give_other_pictures(store: Store) -> None:
    found = [Run(store)(MODELS[name]) for name in MODELS if name != "differential"]
    assert all(not torch.equal(a, b) for k, a in enumerate(found) for b in found[:k])


def test_a_later_end_of_a_controls_window_runs_only_the_steps_after(store: Store) -> None:
    def controlled(end: float) -> Conditioning:
        hint = conditioning.control(NETWORK, torch.full((1, 3, 8, 8), 0.5), span=(0.0, end))
        return told(entry(0.7, controls=(hint,)))

    knobs = {"steps": 30, "solver": "dpmpp_2m", "schedule": "normal"}
    run = Run(store)
    run(positive=controlled(0.8), **knobs)
    assert run.calls == 30
    later = run(positive=controlled(0.9), **knobs)
    assert run.calls <= 7
    assert torch.equal(later, Run(None)(positive=controlled(0.9), **knobs))
    assert run.shelf.denoiser.networks == {}


def test_a_patch_that_ends_later_runs_only_the_steps_after(store: Store) -> None:
    run = Run(store)
    knobs: dict[str, Any] = {"steps": 20, "schedule": "normal", "positive": told(entry(0.7))}
    run(perturbed_attention(MODEL, end=0.5), **knobs)
    later = run(perturbed_attention(MODEL, end=0.75), **knobs)
    assert run.calls == 10 + 5
    assert torch.equal(later, Run(None)(perturbed_attention(MODEL, end=0.75), **knobs))


def test_weights_that_change_on_the_way_are_worn_as_they_act(monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.diffusion import lending

    # What the patch is called is all that matters here.
    monkeypatch.setattr(lending, "effect_of", lambda ctx, patch: None)
    recipe = replace(MODEL.recipe, patches=(Patch("always"), Patch("late", span=(0.5, 1.0))))
    run = Run(None)
    run(Model(recipe))
    assert run.shelf.worn == [("always",), ("always", "late")]


def test_steps_after_a_switch_that_moves_later_go_on_from_before_it(store: Store) -> None:
    run = Run(store)
    knobs: dict[str, Any] = {"node": k_sampler_advanced, "steps": 20, "leftover_noise": True}
    run(end_step=10, **knobs)
    assert run.calls == 2 * 10
    later = run(end_step=13, **knobs)
    assert run.calls == 2 * 3
    assert torch.equal(later, Run(None)(end_step=13, **knobs))
    run(end_step=13, **knobs)
    assert run.calls == 0


def test_two_parts_with_leftover_noise_are_one_way() -> None:
    knobs: dict[str, Any] = {"node": k_sampler_advanced, "solver": "euler", "steps": 12}
    whole = Run(None)(**knobs)
    first = Run(None)(end_step=7, leftover_noise=True, **knobs)
    both = Run(None)(latent=Latent(first, 8), start_step=7, add_noise=False, **knobs)
    assert torch.allclose(both, whole, atol=1e-5)
    clean = Run(None)(end_step=7, **knobs)
    assert clean.std() < first.std()


def test_a_part_without_steps_leaves_the_latent_as_it_is() -> None:
    latent = Latent(torch.rand(1, 4, 16, 16), 8)
    run = Run(None)
    found = run(latent=latent, node=k_sampler_advanced, start_step=20)
    assert torch.equal(found, latent.samples)
    assert torch.equal(run(latent=latent, node=k_sampler_advanced, start_step=5, end_step=3), latent.samples)


def test_the_advanced_form_over_all_steps_is_the_plain_one() -> None:
    assert torch.equal(Run(None)(node=k_sampler_advanced), Run(None)())


def test_where_memory_does_not_allow_it_entries_are_asked_for_one_by_one(store: Store) -> None:
    expected = Run(None)(positive=told(entry(0.7)))
    run = Run(store)
    run.shelf.denoiser.most = 1
    assert torch.equal(run(positive=told(entry(0.7))), expected)
    assert [len(entries) for _, entries, _ in run.shelf.denoiser.calls] == [1] * 2 * STEPS
    # Asked for all at once the bits may be others: nothing is taken from that run.
    again = Run(store)
    again(positive=told(entry(0.7)))
    assert again.calls == STEPS


def test_where_nothing_helps_it_says_so() -> None:
    run = Run(None)
    run.shelf.denoiser.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        run()


def test_a_sampler_needs_no_negative() -> None:
    assert torch.equal(Run(None)(negative=None), Run(None)(guidance=1.0))


@pytest.mark.parametrize("solver", ["euler_ancestral", "dpmpp_sde"])
def test_a_picture_of_a_batch_is_made_again_alone(solver: str) -> None:
    whole = Run(None)(latent=Latent(torch.zeros(4, 4, 16, 16), 8), solver=solver)
    one = Latent(torch.zeros(2, 4, 16, 16), 8, first=1, of=4)
    assert torch.allclose(Run(None)(latent=one, solver=solver), whole[1:3], atol=1e-5)


def test_a_picture_alone_is_told_what_it_is_told_among_the_others() -> None:
    masks = torch.stack([torch.full((16, 16), level) for level in (0.0, 0.5, 1.0)])
    positive = told(entry(0.7, mask=masks), entry(-0.2))
    whole = Run(None)(latent=Latent(torch.zeros(4, 4, 16, 16), 8), positive=positive)
    for index in range(4):
        one = Latent(torch.zeros(1, 4, 16, 16), 8, first=index, of=4)
        alone = Run(None)(latent=one, positive=positive)
        assert torch.allclose(alone, whole[index : index + 1], atol=1e-5)


def test_a_grey_mask_frees_dark_places_late() -> None:
    mask = torch.tensor([0.0, 0.3, 0.7, 1.0]).repeat_interleave(4).expand(1, 16, 16)
    latent = Latent(torch.full((1, 4, 16, 16), 3.0), 8, mask)
    knobs = {"solver": "euler", "steps": 20, "schedule": "normal", "positive": told(entry(0.0))}
    found = Run(None)(differential_diffusion(MODEL), latent=latent, **knobs)
    changes = [(found[..., k : k + 4] - 3).abs().mean() for k in range(0, 16, 4)]
    assert changes[0] < 1e-5
    assert changes[0] < changes[1] < changes[2] <= changes[3]


def test_a_soft_mask_blends() -> None:
    mask = torch.full((1, 16, 16), 0.5)
    latent = Latent(torch.full((1, 4, 16, 16), 3.0), 8, mask)
    knobs = {"solver": "euler", "positive": told(entry(0.0))}
    changes = [
        float((Run(None)(latent=replace(latent, noise_mask=mask * part), **knobs) - 3).abs().mean())
        for part in (0.2, 1.0, 2.0)
    ]
    assert changes[0] < changes[1] < changes[2]
