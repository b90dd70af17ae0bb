"""Memory that is used up in the middle of a run, pretended: finished steps are kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.autoencoder import vae_decode
from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import Checkpoint, load_checkpoint
from nodes.sampling import k_sampler
from studio.cache.store import Store
from studio.diffusion import tensors
from studio.diffusion.denoisers.unet import UNet
from studio.diffusion.memory.modes import Mode
from tests.studio.diffusion.bench import context, store, tiny_model

STEPS = 5


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(context(), path=str(tiny_model(tmp_path_factory.mktemp("models") / "model")))


class Fails:
    """Lets calls of a network fail as if memory were used up, by number of the call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
        self.calls = 0
        real = UNet.__call__

        def call(unet: UNet, *given: Any, **named: Any) -> list[torch.Tensor]:
            self.calls += 1
            if self.calls in numbers:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(unet, *given, **named)

        monkeypatch.setattr(UNet, "__call__", call)


def sampled(ctx: Any, parts: Checkpoint) -> torch.Tensor:
    told = encode_text(ctx, parts.text_encoder, text="a cat")
    latent = empty_latent(width=64, height=64)
    return k_sampler(ctx, parts.model, told, told, latent, steps=STEPS, solver="dpmpp_2m").samples


@pytest.mark.parametrize("at", [(1,), (3,), (5,), (2, 3), (3, 6)])
def test_a_run_goes_on_where_memory_was_used_up(
    parts: Checkpoint, monkeypatch: pytest.MonkeyPatch, at: tuple[int, ...]
) -> None:
    ctx = context(using=store())
    expected = sampled(ctx, parts)
    ctx = context(using=store())
    fails = Fails(monkeypatch, *at)
    torch.testing.assert_close(sampled(ctx, parts), expected)
    assert fails.calls == STEPS + len(at)


def test_what_can_give_up_nothing_more_says_so(parts: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    Fails(monkeypatch, *range(1, 100))
    with pytest.raises(torch.OutOfMemoryError):
        sampled(context(using=store()), parts)


def test_steps_after_it_are_kept_under_other_names(
    parts: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors.register()
    kept = Store(2**28, None)
    ctx = context(using=store(), checkpoints=kept)
    # The text encoder is what goes first; then attention is sliced, which has a name.
    fails = Fails(monkeypatch, 3, 4)
    expected = sampled(ctx, parts)
    assert fails.calls == STEPS + 2
    with ctx.weights.use(ctx, parts.model.recipe) as denoiser:
        item = ctx.weights.shelf.of(denoiser)
        assert item.mode == Mode(sliced=True)
        item.take_off()
    fails.calls = 10
    torch.testing.assert_close(sampled(ctx, parts), expected)
    assert fails.calls == 10 + STEPS - 2  # two steps were finished in full, and are shared


def test_a_picture_is_decoded_though_memory_was_used_up(
    parts: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.diffusion.kl import Kl

    ctx = context(using=store())
    latent = empty_latent(width=64, height=64)
    expected = vae_decode(ctx, parts.vae, latent)
    real, calls = Kl.decode, []

    def decode(vae: Kl, samples: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(vae, samples)

    monkeypatch.setattr(Kl, "decode", decode)
    assert abs(vae_decode(ctx, parts.vae, latent) - expected).max() < 1e-5
    assert len(calls) == 2
