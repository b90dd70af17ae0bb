"""Controls within a run: what acts late leaves early steps as they were, and a stop is felt inside."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nodes.control import apply_controlnet, load_controlnet
from nodes.latent import empty_latent
from nodes.noise import latent_from_batch
from nodes.sampling import k_sampler
from studio.cache.store import Store
from studio.diffusion import tensors
from studio.diffusion.conditioning import name_of
from studio.diffusion.denoisers.unet import UNet
from studio.diffusion.sampling import guiding
from studio.errors import Cancelled
from studio.types import Conditioning, ControlNet, Guider
from tests.parity import tiny
from tests.parity.both import PROMPT, Ours, picture
from tests.parity.conftest import quiet
from tests.studio.diffusion.bench import context, store
from tests.studio.diffusion.controls import randomised

STEPS = 10
__all__ = ["quiet"]  # pipelines, of which the small model is saved, warn of what nothing here uses


class Bench:
    """A small model with a ControlNet, and a store of checkpoints."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from diffusers import ControlNetModel

        tensors.register()
        pipe = tiny.stable_diffusion()
        pipe.save_pretrained(folder / "model")
        network = ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(4, 8))
        randomised(network).save_pretrained(folder / "control")
        self.weights = store()
        self.ours = Ours(folder / "model")
        self.net: ControlNet = load_controlnet(context(), path=str(folder / "control"))
        self.words = self.ours.told(PROMPT)
        self.calls = 0
        estimate = UNet.__call__

        def counted(denoiser: UNet, *arguments: Any, **more: Any) -> Any:
            self.calls += 1
            return estimate(denoiser, *arguments, **more)

        monkeypatch.setattr(UNet, "__call__", counted)

    def told(self, **knobs: Any) -> Conditioning:
        return apply_controlnet(self.words, None, self.net, picture(), **knobs).positive

    def sampled(self, kept: Store | None, **knobs: Any) -> torch.Tensor:
        self.calls = 0
        ctx = context(using=self.weights, checkpoints=kept)
        return k_sampler(
            ctx,
            self.ours.parts.model,
            self.told(**knobs),
            None,
            empty_latent(width=32, height=32),
            seed=3,
            steps=STEPS,
            solver="euler_ancestral",
            schedule="simple",
        ).samples


@pytest.fixture
def bench(quiet: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_window_that_ends_later_is_computed_from_where_it_ended(bench: Bench) -> None:
    kept = Store(2**24, None)
    bench.sampled(kept, end=0.7)
    assert bench.calls == STEPS
    resumed = bench.sampled(kept, end=0.9)
    assert bench.calls <= 0.35 * STEPS
    assert torch.equal(resumed, bench.sampled(None, end=0.9))


def test_another_strength_or_picture_is_computed_from_where_it_starts(bench: Bench) -> None:
    kept = Store(2**24, None)
    bench.sampled(kept, start=0.5)
    resumed = bench.sampled(kept, start=0.5, strength=0.3)
    assert bench.calls <= 0.6 * STEPS
    assert torch.equal(resumed, bench.sampled(None, start=0.5, strength=0.3))


def test_a_control_without_effect_changes_nothing(bench: Bench) -> None:
    plain = k_sampler(
        context(using=bench.weights),
        bench.ours.parts.model,
        bench.words,
        None,
        empty_latent(width=32, height=32),
        seed=3,
        steps=STEPS,
        solver="euler_ancestral",
        schedule="simple",
    ).samples
    assert torch.allclose(bench.sampled(None, strength=0.0), plain, atol=1e-5)
    assert not torch.allclose(bench.sampled(None), plain, atol=1e-2)


def test_a_stop_is_felt_inside_the_control_network(bench: Bench) -> None:
    flag = threading.Event()
    ctx = replace(context(using=bench.weights), cancelled=flag)
    guider = Guider(bench.ours.parts.model, {"positive": bench.told()}, {"guidance": 1.0})
    with guiding(ctx, guider, empty_latent()) as (denoiser, _):
        network = denoiser.networks[name_of(bench.net.recipe)]
        met: list[int] = []
        network.network.down_blocks[1].register_forward_pre_hook(lambda *_: met.append(1))
        network.network.conv_in.register_forward_hook(lambda *_: flag.set())
        x = torch.randn(1, 4, 16, 16)
        with pytest.raises(Cancelled):
            denoiser(x, 3.0, list(bench.told().entries))
        assert not met


@pytest.mark.parametrize("side_px", [32, 48, 40])
def test_hints_are_fitted_to_any_size(bench: Bench, side_px: int) -> None:
    ctx = context(using=bench.weights)
    canvas = empty_latent(width=side_px, height=32)
    made = k_sampler(ctx, bench.ours.parts.model, bench.told(), None, canvas, seed=1, steps=1, solver="euler")
    assert torch.isfinite(made.samples).all()
    assert made.samples.shape[-1] == side_px // 2


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_picture_alone_follows_the_hint_and_the_mask_of_its_place(bench: Bench, index: int) -> None:
    hints = np.concatenate([picture(seed=seed) for seed in (3, 4, 5)])
    masks = np.stack([np.full((32, 32), level, np.float32) for level in (0.0, 1.0)])
    both = apply_controlnet(bench.words, bench.words, bench.net, hints, strength=3.0, mask=masks)
    whole = empty_latent(width=32, height=32, batch=3)
    among = bench.ours.sampled(*both, latent=whole).samples[index]
    alone = bench.ours.sampled(*both, latent=latent_from_batch(whole, index=index)).samples[0]
    assert torch.allclose(alone, among, atol=1e-4)
