from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from studio.diffusion import conditioning
from studio.diffusion.guidance import effects
from studio.diffusion.guidance.effects import Effect
from studio.diffusion.guidance.guiders import Effective, Guided
from studio.errors import NodeError
from studio.types import Conditioning, Patch, Recipe
from tests.studio.diffusion.echo import SD, Echo, entry, told

X = torch.zeros(1, 4, 8, 8)
NETWORK = Recipe("", "identity", "controlnet", "it")
POSITIVE, NEGATIVE = entry(2.0), entry(1.0)
LATE, MIDDLE, EARLY = SD.table[20], SD.table[500], SD.table[980]


def guided(
    denoiser: Echo,
    positive: Conditioning | None = None,
    negative: Conditioning | None = None,
    guidance: float = 3.0,
    patches: Sequence[Effective] = (),
    **more: Any,
) -> Guided:
    roles = {"positive": positive or told(POSITIVE), "negative": negative or told(NEGATIVE)}
    return Guided(denoiser, roles, {"guidance": guidance}, patches=patches, **more)


def effective(effect: Effect, span: tuple[float, float] = (0.0, 1.0), **params: Any) -> Effective:
    return Effective(Patch("it", params=params, span=span), effect)


def value(guider: Guided, sigma: float = MIDDLE) -> float:
    found = guider(X, sigma).unique()
    assert len(found) == 1
    return float(found)


def test_guidance_goes_beyond_the_positive_estimate() -> None:
    denoiser = Echo()
    assert value(guided(denoiser)) == 4.0
    assert len(denoiser.calls) == 1


def test_guidance_of_one_leaves_the_negative_out() -> None:
    denoiser = Echo()
    assert value(guided(denoiser, guidance=1.0)) == 2.0
    assert [len(entries) for _, entries, _ in denoiser.calls] == [1]


def test_a_negative_that_says_the_same_is_left_out() -> None:
    denoiser = Echo()
    assert value(guided(denoiser, negative=told(POSITIVE))) == 2.0
    assert [len(entries) for _, entries, _ in denoiser.calls] == [1]


def test_a_control_on_the_positive_alone_makes_a_difference() -> None:
    denoiser = Echo()
    denoiser.networks = {conditioning.name_of(NETWORK): None}
    control = conditioning.control(NETWORK, torch.rand(1, 3, 8, 8))
    guided(denoiser, told(entry(1.0, controls=(control,))), told(entry(1.0)))(X, 1.0)
    assert [len(entries) for _, entries, _ in denoiser.calls] == [2]


def test_without_a_negative_the_positive_estimate_stands() -> None:
    assert value(Guided(Echo(), {"positive": told(POSITIVE)}, {"guidance": 7.0})) == 2.0


def test_the_negative_estimate_is_given_to_who_asks_even_without_guidance() -> None:
    found, unwanted = guided(Echo(), guidance=1.0).unguided(X, 1.0)
    assert (float(found.mean()), float(unwanted.mean())) == (2.0, 1.0)
    alone = Guided(Echo(), {"positive": told(POSITIVE)}, {}).unguided(X, 1.0)
    assert torch.equal(alone[0], alone[1])


def test_dual_guidance_goes_by_the_middle() -> None:
    roles = {"positive": told(entry(5.0)), "middle": told(entry(2.0)), "negative": told(entry(1.0))}
    denoiser = Echo()
    guider = Guided(denoiser, roles, {"guidance": 7.5, "guidance_2": 1.5})
    assert value(guider) == 1.0 + 1.5 * (2.0 - 1.0) + 7.5 * (5.0 - 2.0)
    assert [len(entries) for _, entries, _ in denoiser.calls] == [3]


def test_outside_its_interval_guidance_is_one() -> None:
    denoiser = Echo()
    guider = guided(denoiser, patches=[effective(effects.INTERVAL, (0.3, 0.7))])
    assert [value(guider, sigma) for sigma in (EARLY, MIDDLE, LATE)] == [2.0, 4.0, 2.0]
    assert [len(entries) for _, entries, _ in denoiser.calls] == [1, 2, 1]


def test_guidance_may_fade() -> None:
    guider = guided(Echo(), patches=[effective(effects.OVER_STEPS, first=1.0, last=0.0)])
    half = 1 + 3 * (1 - SD.progress(MIDDLE))
    assert value(guider) == pytest.approx(half)


def test_the_model_is_asked_once_more_for_a_perturbed_estimate() -> None:
    denoiser = Echo()
    guider = guided(denoiser, patches=[effective(effects.PERTURBED, (0.0, 0.7), scale=2.0, layers=["mid"])])
    x = torch.ones(1, 4, 8, 8)
    seen = 0.5 / (1 + MIDDLE**2)
    assert torch.allclose(guider(x, MIDDLE), torch.tensor(4.0 + seen + 2.0 * seen * 0.5))
    assert [perturb and perturb.layers for _, _, perturb in denoiser.calls] == [None, ("mid",)]
    guider(x, LATE)
    assert len(denoiser.calls) == 3


def test_what_guidance_remembers_can_be_taken_and_given_back() -> None:
    patch = effective(effects.PROJECTED, momentum=-0.5, eta=1.0)
    first = guided(Echo(), patches=[patch])
    first(X, EARLY)
    second = guided(Echo(), patches=[patch])
    second.state = first.state
    assert torch.equal(first(X, MIDDLE), second(X, MIDDLE))
    assert not torch.equal(first(X, MIDDLE), guided(Echo(), patches=[patch])(X, MIDDLE))


def test_the_denoiser_is_dressed_only_when_what_acts_changes() -> None:
    worn: list[tuple[str, ...]] = []
    always, late = Patch("always"), Patch("late", span=(0.5, 1.0))
    guider = guided(
        Echo(),
        patches=[Effective(always, None), Effective(late, None), effective(effects.INTERVAL)],
        dress=lambda patches: worn.append(tuple(patch.name for patch in patches)),
    )
    for sigma in (EARLY, SD.table[900], LATE, SD.table[10]):
        guider(X, sigma)
    assert worn == [("always",), ("always", "late")]


def test_a_prompt_that_does_not_act_is_a_sentence() -> None:
    with pytest.raises(NodeError, match="No prompt acts") as caught:
        guided(Echo(), told(entry(1.0, span=(0.0, 0.5))))(X, LATE)
    assert caught.value.socket == "positive"


def test_everything_that_acts_is_told_with_its_range() -> None:
    control = conditioning.control(NETWORK, torch.rand(1, 3, 8, 8), span=(0.0, 0.4))
    positive = entry(2.0, span=(0.2, 1.0), controls=(control,))
    patches = [effective(effects.PERTURBED, (0.1, 0.6), scale=2.0), effective(effects.INTERVAL, (0.3, 0.7))]
    found = list(guided(Echo(), told(positive), patches=patches).ranged())
    assert sorted(span for span, _ in found) == [
        (0.0, 0.3),
        (0.0, 1.0),
        (0.0, 1.0),
        (0.1, 0.6),
        (0.2, 0.4),
        (0.2, 1.0),
        (0.7, 1.0),
    ]
    assert len({digest for _, digest in found}) == 6


def test_a_window_changes_the_range_and_not_the_digest() -> None:
    def said(end: float) -> dict[str, tuple[float, float]]:
        control = conditioning.control(NETWORK, torch.ones(1, 3, 8, 8), span=(0.0, end))
        guider = guided(
            Echo(),
            told(entry(2.0, controls=(control,))),
            patches=[effective(effects.PERTURBED, (0.0, end), scale=2.0)],
        )
        return {digest: span for span, digest in guider.ranged()}

    one, other = said(0.5), said(0.8)
    assert one.keys() == other.keys()
    assert sum(one[digest] != other[digest] for digest in one) == 2
