"""The denoisers of SD3 and Flux: entries together and alone, odd sizes, hints, layers left out, shifts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from studio.diffusion.api import Perturb
from studio.diffusion.conditioning import changed, entry
from studio.diffusion.denoisers.flux import Flux, packed, places, unpacked
from studio.diffusion.denoisers.mmdit import Mmdit
from studio.diffusion.denoisers.transformer import Facts, Transformer
from studio.diffusion.families import flux as flux_family
from studio.diffusion.families import stable_diffusion_3 as sd3_family
from studio.diffusion.schedules import Sampling, flow
from studio.errors import Cancelled, NodeError
from studio.types import ConditioningEntry
from tests.parity import tiny_transformers as tiny
from tests.parity.tiny import CROSS

pytestmark = pytest.mark.usefixtures("without_gradients")
PREVIEW = [[0.0] * 3] * 17


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def never() -> None:
    pass


def sd3(**settings: Any) -> Mmdit:
    return Mmdit(tiny.sd3_transformer(**settings), {}, Facts(8, PREVIEW, {}, 3.0), never)


def flux(**settings: Any) -> Flux:
    facts = Facts(8, PREVIEW, {"distilled_guidance": 3.5}, flux_family._shift("dev", {}))
    return Flux(tiny.flux_transformer(**settings), {}, facts, never)


@pytest.fixture(params=["sd3", "flux"])
def denoiser(request: pytest.FixtureRequest) -> Transformer:
    return sd3() if request.param == "sd3" else flux()


def told(tokens: int, seed: int, denoiser: Transformer) -> ConditioningEntry:
    random = torch.Generator().manual_seed(seed)
    pooled = 2 * CROSS if isinstance(denoiser, Mmdit) else CROSS
    return entry(
        torch.randn(1, tokens, tiny.TEXT_WIDTH, generator=random),
        torch.randn(1, pooled, generator=random),
    )


def x(*size: int) -> torch.Tensor:
    return torch.randn(2, 16, *(size or (8, 6)), generator=torch.Generator().manual_seed(5))


def test_entries_together_give_what_each_gives_alone(denoiser: Transformer) -> None:
    entries = [told(10, 1, denoiser), told(14, 2, denoiser), told(10, 3, denoiser)]
    together = denoiser(x(), 0.6, entries)
    for one, estimate in zip(entries, together, strict=True):
        assert estimate.dtype == torch.float32
        assert torch.allclose(estimate, denoiser(x(), 0.6, [one])[0], atol=1e-5)
    assert not torch.allclose(together[0], together[2], atol=1e-3)


def test_an_odd_size_is_filled_up_and_cut_again(denoiser: Transformer) -> None:
    given = x(7, 5)
    whole = torch.nn.functional.pad(given, (0, 1, 0, 1), mode="circular")
    entries = [told(10, 1, denoiser)]
    found = denoiser(given, 0.6, entries)[0]
    assert found.shape == given.shape
    assert torch.allclose(found, denoiser(whole, 0.6, entries)[0][..., :7, :5], atol=1e-6)


def test_without_noise_nothing_is_changed(denoiser: Transformer) -> None:
    assert torch.equal(denoiser(x(), 0.0, [told(10, 1, denoiser)])[0], x())


def test_a_missing_pooled_text_is_silent(denoiser: Transformer) -> None:
    one = told(10, 1, denoiser)
    assert one.pooled is not None
    silent, none = changed(one, pooled=torch.zeros_like(one.pooled)), changed(one, pooled=None)
    assert torch.equal(denoiser(x(), 0.6, [none])[0], denoiser(x(), 0.6, [silent])[0])


def test_a_conditioning_of_another_model_is_refused(denoiser: Transformer) -> None:
    with pytest.raises(NodeError, match="77 wide, the model takes 80"):
        denoiser(x(), 0.6, [entry(torch.zeros(1, 4, 77), None)])
    with pytest.raises(NodeError, match="pooled conditioning is 5 wide"):
        denoiser(x(), 0.6, [entry(torch.zeros(1, 4, tiny.TEXT_WIDTH), torch.zeros(1, 5))])


@pytest.mark.parametrize("name", ["concat", "unclip"])
def test_hints_for_another_model_are_refused(denoiser: Transformer, name: str) -> None:
    one = changed(told(10, 1, denoiser), hints={name: torch.zeros(1, 80, 8, 6)})
    with pytest.raises(NodeError, match="which this model does not take"):
        denoiser(x(), 0.6, [one])


@pytest.mark.parametrize("kind", ["skip_layers", "identity_attention"])
def test_a_perturbed_call_differs_and_leaves_the_network_as_it_was(denoiser: Transformer, kind: Any) -> None:
    entries = [told(10, 1, denoiser)]
    before = denoiser(x(), 0.6, entries)[0]
    for layers in ((), ("1",)):
        worse = denoiser(x(), 0.6, entries, Perturb(kind, layers))[0]
        assert (worse - before).abs().max() > 1e-3
        assert torch.equal(denoiser(x(), 0.6, entries)[0], before)


def test_layers_of_flux_are_counted_through_or_named() -> None:
    denoiser = flux()
    entries = [told(10, 1, denoiser)]

    def without(*layers: str) -> torch.Tensor:
        return denoiser(x(), 0.6, entries, Perturb("skip_layers", layers))[0]

    assert torch.equal(without("3"), without("single.1"))
    assert torch.equal(without("0"), without("transformer_blocks.0"))
    assert not torch.equal(without("0"), without("1"))
    with pytest.raises(NodeError, match="no layer “4”"):
        without("4")
    with pytest.raises(NodeError, match=r"no layer “down\.1”"):
        without("down.1")


def test_sd3_leaves_layers_out_as_the_library_does() -> None:
    denoiser = sd3()
    one = told(10, 1, denoiser)
    assert one.pooled is not None
    network: Any = denoiser.modules["transformer"]
    given = network(
        hidden_states=x(),
        encoder_hidden_states=one.embeddings.expand(2, -1, -1),
        pooled_projections=one.pooled.expand(2, -1),
        timestep=torch.full((2,), 600.0),
        skip_layers=[1],
        return_dict=False,
    )[0]
    found = denoiser(x(), 0.6, [one], Perturb("skip_layers", ("1",)))[0]
    assert torch.allclose(found, x() - given * 0.6, atol=1e-6)


def test_cancel_acts_between_blocks(denoiser: Transformer) -> None:
    def stop() -> None:
        raise Cancelled

    denoiser.check = stop
    with pytest.raises(Cancelled):
        denoiser(x(), 0.6, [told(10, 1, denoiser)])


def test_guidance_is_told_to_a_distilled_model() -> None:
    denoiser = flux()
    plain = told(10, 1, denoiser)
    usual, strong = (changed(plain, extra={"guidance": value}) for value in (3.5, 30.0))
    together = denoiser(x(), 0.6, [usual, strong])
    assert torch.allclose(together[0], denoiser(x(), 0.6, [plain])[0], atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-4)


def test_halved_numbers_do_not_round_the_time() -> None:
    whole = flux()
    facts = Facts(8, PREVIEW, {}, 1.0)
    half = Flux(tiny.flux_transformer().bfloat16(), {}, facts, never)
    one = told(10, 1, whole)
    for sigma in (0.7, 0.3):
        exact, near = (denoiser(x(), sigma, [one])[0] for denoiser in (whole, half))
        assert (exact - near).abs().max() < 0.03 * exact.std()


def test_fill_takes_a_mask_of_latent_size_too() -> None:
    denoiser = flux(in_channels=4 * (16 + 16 + 64), out_channels=64)
    plain = told(10, 1, denoiser)
    latent, mask = torch.randn(1, 16, 8, 6), (torch.rand(1, 1, 8, 6) > 0.5).float()
    wide = changed(plain, hints={"concat": torch.cat([latent, mask.expand(-1, 64, -1, -1)], dim=1)})
    narrow = changed(plain, hints={"concat": torch.cat([mask, latent], dim=1)})
    found = denoiser(x(), 0.6, [wide, narrow, plain])
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert not torch.allclose(found[0], found[2], atol=1e-3)
    with pytest.raises(NodeError, match="takes 80 channels beside the latent, the conditioning brings 4"):
        denoiser(x(), 0.6, [changed(plain, hints={"concat": torch.zeros(1, 4, 8, 6)})])


def test_a_reference_is_looked_at_whatever_its_size() -> None:
    denoiser = flux()
    plain = told(10, 1, denoiser)
    shown = [changed(plain, hints={"reference": torch.randn(1, 16, *size)}) for size in ((4, 6), (5, 7))]
    found = denoiser(x(), 0.6, [plain, *shown])
    assert [estimate.shape for estimate in found] == [x().shape] * 3
    assert all((found[0] - estimate).abs().max() > 1e-3 for estimate in found[1:])
    assert torch.allclose(found[1], denoiser(x(), 0.6, [shown[0]])[0], atol=1e-5)


def test_packing_is_turned_back() -> None:
    given = x()
    tokens = packed(given)
    assert tokens.shape == (2, 12, 64)
    assert torch.equal(unpacked(tokens, 8, 6), given)
    assert torch.equal(tokens[0, 1, :4], given[0, 0, 0:2, 2:4].flatten())
    assert places(4, 6, 1, torch.device("cpu"))[4].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("size", "exponent"), [((32, 32), 0.5), ((128, 128), 1.15), ((64, 64), 0.63), ((63, 63), 0.63)]
)
def test_the_shift_of_flux_grows_with_the_picture(size: tuple[int, int], exponent: float) -> None:
    found = flux().sampling_for((1, 16, *size))
    assert found.shift == pytest.approx(math.exp(exponent))
    assert found.table == flow(found.shift)
    assert found.prediction == "flow"


def test_a_sampling_that_a_patch_has_set_stays() -> None:
    denoiser = flux()
    denoiser.sampling = Sampling(flow(5.0), "flow", 5.0)
    assert denoiser.sampling_for((1, 16, 64, 64)) is denoiser.sampling
    fixed = sd3()
    assert fixed.sampling_for((1, 16, 64, 64)) is fixed.sampling
    assert fixed.sampling.shift == 3.0


def test_families_know_what_suits_their_variants() -> None:
    assert flux_family._shift("schnell", {}) == 1.0
    assert flux_family._shift("dev", {"use_dynamic_shifting": False, "shift": 3.0}) == 3.0
    assert flux_family._defaults("schnell", "x")["steps"] == 4
    assert flux_family._defaults("fill", "x")["distilled_guidance"] == 30.0
    assert flux_family._defaults("dev", "flux1-kontext-dev.safetensors")["distilled_guidance"] == 2.5
    assert sd3_family._defaults("3.5-large", "sd3.5_large_turbo.safetensors")["steps"] == 4
    assert sd3_family._defaults("3-medium", "x")["guidance"] == 7.0


def test_text_encoders_that_are_not_there_are_silent() -> None:
    low, high = torch.randn(1, 77, 768), torch.randn(1, 77, 1280)
    words = torch.randn(1, 256, 4096)
    outputs = {"l": (low, torch.ones(1, 768)), "g": (high, torch.ones(1, 1280)), "t5": (words, None)}
    embedded, pooled = sd3_family.join(outputs)
    assert embedded.shape == (1, 333, 4096)
    assert torch.equal(embedded[:, :77, :768], low)
    assert torch.equal(embedded[:, :77, 768:2048], high)
    assert not embedded[:, :77, 2048:].any()
    assert torch.equal(embedded[:, 77:], words)
    assert pooled is not None
    assert pooled.sum() == 2048
    without = sd3_family.join({"t5": (words, None)})
    assert without[0].shape == (1, 333, 4096)
    assert not without[0][:, :77].any()
    assert without[1] is not None
    assert without[1].shape == (1, 2048)
    alone = sd3_family.join({"g": outputs["g"]})
    assert torch.equal(alone[0][:, :77, 768:2048], high)
    assert not alone[0][:, 77:].any()
