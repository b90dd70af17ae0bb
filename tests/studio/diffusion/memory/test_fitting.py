"""Budgets that are pretended on the processor: what is chosen, what is taken away, what stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.autoencoder import vae_decode
from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import Checkpoint, load_checkpoint
from nodes.sampling import k_sampler
from studio.diffusion.device import Place
from studio.diffusion.memory.fitting import Fitting, stepping_down
from studio.diffusion.memory.modes import DENOISER, Mode
from studio.diffusion.weights import WeightsStore
from tests.studio.diffusion.bench import context, tiny_model


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(context(), path=str(tiny_model(tmp_path_factory.mktemp("models") / "model")))


def tight(budget_bytes: int, ram_bytes: int = 2**30) -> WeightsStore:
    store = WeightsStore("cpu", budget_bytes=budget_bytes, ram_bytes=ram_bytes, is_tight=True)
    store.place = Place("cpu", "float32", "test", "For tests.")
    return store


def sampled(store: WeightsStore, parts: Checkpoint) -> torch.Tensor:
    ctx = context(using=store)
    told = encode_text(ctx, parts.text_encoder, text="a cat")
    against = encode_text(ctx, parts.text_encoder, text="a dog")
    latent = empty_latent(width=64, height=64)
    return k_sampler(ctx, parts.model, told, against, latent, steps=3, solver="euler").samples


@pytest.fixture
def small_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.diffusion.memory import fitting

    monkeypatch.setattr(fitting, "_OVERHEAD_BYTES", 1000)


def test_with_room_enough_everything_runs_whole(parts: Checkpoint) -> None:
    store = tight(2**28)
    with store.use(context(using=store), parts.model.recipe) as denoiser:
        item = store.shelf.of(denoiser)
        assert item is not None
        assert item.mode == Mode()
        assert item.here_bytes == item.nbytes
        store.fit(denoiser, (2, 4, 64, 64))
        assert item.mode == Mode()
        assert item.working_bytes > 0
        assert store.changes(denoiser) == ""


def test_with_room_to_spare_nothing_need_be_predicted(
    parts: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.diffusion.memory import tracing

    monkeypatch.delattr(tracing, "working_bytes")
    store = tight(2**40)
    with store.use(context(using=store), parts.model.recipe) as denoiser:
        store.fit(denoiser, (2, 4, 64, 64))
        item = store.shelf.of(denoiser)
        assert item is not None
        assert item.mode == Mode()


@pytest.mark.usefixtures("small_overhead")
def test_where_weights_do_not_fit_they_come_block_by_block_with_equal_bits(parts: Checkpoint) -> None:
    whole = tight(2**28)
    expected = sampled(whole, parts)
    [unet] = [item for item in whole.shelf.items if "unet" in item.network.modules]
    room = unet.nbytes // 2 + unet.working_bytes
    store = tight(room)
    assert torch.equal(sampled(store, parts), expected)
    with store.use(context(using=store), parts.model.recipe) as denoiser:
        item = store.shelf.of(denoiser)
        assert item is not None
        store.fit(denoiser, (2, 4, 32, 32))
        assert item.mode == Mode(streamed=True)
        assert item.here_bytes + item.working_bytes <= room
        assert store.changes(denoiser) == ""


@pytest.mark.usefixtures("small_overhead")
def test_text_encoders_make_room_for_the_denoiser(parts: Checkpoint) -> None:
    whole = tight(2**28)
    sampled(whole, parts)
    sizes = {next(iter(item.network.modules), ""): item for item in whole.shelf.items if item.nbytes}
    unet, text = sizes["unet"], sizes["clip_l"]
    store = tight(unet.nbytes + unet.working_bytes + text.nbytes // 2)
    assert torch.equal(sampled(store, parts), sampled(whole, parts))
    assert all("clip_l" not in item.network.modules for item in store.shelf.items if item.here_bytes)


def test_a_smaller_picture_lets_it_run_whole_again(parts: Checkpoint) -> None:
    store = tight(2**28)
    with store.use(context(using=store), parts.model.recipe) as denoiser:
        item = store.shelf.of(denoiser)
        assert item is not None
        fitting = Fitting(store.shelf, store.place)
        shapes = ((2, 4, 8, 8), (2, 4, 128, 128))
        small, large = (fitting.predicted_bytes(item, Mode(), shape) for shape in shapes)
        assert small < large
        store.shelf.device_bytes = (small + large) // 2
        store.fit(denoiser, shapes[1])
        assert item.mode is not None
        assert item.mode != Mode()
        store.fit(denoiser, shapes[0])
        assert item.mode == Mode()
        assert item.here_bytes == item.nbytes


def test_eight_bits_are_for_where_ram_is_short_too_and_bits_come_back(parts: Checkpoint) -> None:
    whole = tight(2**28)
    with whole.use(context(using=whole), parts.model.recipe) as denoiser:
        size = denoiser.nbytes
    store = tight(size // 2)
    ctx = context(using=store)
    with store.use(ctx, parts.model.recipe) as denoiser:
        item = store.shelf.of(denoiser)
        assert item is not None
        assert item.mode == Mode(streamed=True)  # while the size is not known, nothing is lost
        store.shelf.device_bytes = size // 2 + 2**30
        item.nbytes, store.shelf.ram_bytes = 2**31, 2**30  # as if it were much larger
        store.fit(denoiser, (2, 4, 8, 8))
        assert item.mode == DENOISER[-1]
        assert store.changes(denoiser) == "sliced+fp8"
        store.shelf.device_bytes = 2**32
        store.fit(denoiser, (2, 4, 8, 8))
        assert item.mode == DENOISER[-1]
    with store.use(ctx, parts.model.recipe) as fresh:
        assert fresh is not denoiser
        assert store.changes(fresh) == ""


def test_stepping_down_goes_rung_by_rung_and_stays_there(parts: Checkpoint) -> None:
    store = tight(2**28)
    ctx = context(using=store)
    with store.use(ctx, parts.vae.recipe):
        pass
    with store.use(ctx, parts.model.recipe) as denoiser:
        item = store.shelf.of(denoiser)
        assert item is not None
        assert store.step_down(denoiser)  # what is not lent goes first
        assert len([other for other in store.shelf.items if other.here_bytes]) == 1
        seen: list[Mode | None] = []
        while store.step_down(denoiser):
            seen.append(item.mode)
        assert tuple(seen) == DENOISER[1:]
        assert store.changes(denoiser) == "sliced+fp8"
        given = denoiser(torch.zeros(1, 4, 8, 8), 1.0, encoded(ctx, parts))
        assert bool(torch.isfinite(given[0]).all())
    with store.use(ctx, parts.model.recipe) as again:
        assert again is denoiser
        assert item.mode == DENOISER[-1]


def encoded(ctx: Any, parts: Checkpoint) -> Any:
    return encode_text(ctx, parts.text_encoder, text="a cat").entries


def test_a_decoder_that_runs_out_of_memory_works_in_tiles(parts: Checkpoint) -> None:
    store = tight(2**28)
    ctx = context(using=store)
    latent = empty_latent(width=64, height=64, batch=2)
    expected = vae_decode(ctx, parts.vae, latent)
    with store.use(ctx, parts.vae.recipe) as network:
        assert store.step_down(network)
        assert store.changes(network) == "sliced"
    given = vae_decode(ctx, parts.vae, latent)
    assert given.shape == expected.shape
    assert abs(given - expected).max() < 1e-5


def test_work_is_tried_again_with_less_until_it_succeeds_or_nothing_is_left() -> None:
    left, tries = [1, 2], []

    def give_up() -> bool:
        return bool(left) and bool(left.pop())

    def work(needed: int) -> str:
        tries.append(len(left))
        if len(left) > needed:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    assert stepping_down(give_up, lambda: work(0)) == "done"
    assert tries == [2, 1, 0]
    with pytest.raises(torch.OutOfMemoryError):
        stepping_down(give_up, lambda: work(-1))
    with pytest.raises(ValueError, match="mine"):
        stepping_down(lambda: True, lambda: (_ for _ in ()).throw(ValueError("mine")))


def test_what_lies_beside_the_device_is_dropped_beyond_its_budget(tmp_path: Path) -> None:
    from studio.diffusion.memory.residency import Held, Shelf

    class Network:
        modules: dict[str, torch.nn.Module] = {}

    shelf = Shelf("meta", device_bytes=100, ram_bytes=150)
    items = [Held(str(n), Network(), 100) for n in range(4)]
    for item in items:
        shelf.put(item)
        shelf.fetch(item)
    assert [item.here_bytes for item in items] == [0, 0, 0, 100]
    assert shelf.items == (items[3], items[2])
    assert shelf.parked_bytes == 100
