from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint, load_vae
from nodes.previews import tiny_preview
from nodes.sampling import k_sampler
from studio.errors import NodeError
from studio.events import Picture
from studio.paths import assets_dir
from tests.studio.diffusion import checkpoints
from tests.studio.diffusion.bench import context, store

STARTER = str(assets_dir() / "starter")


def test_a_tiny_vae_shows_what_is_sampled_and_changes_nothing(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path / "tiny.safetensors", ("", checkpoints.tiny_vae().state_dict()))
    parts, vae = load_checkpoint(context(), path=STARTER), load_vae(context(), path=str(path))
    using, samples, sizes = store(), dict[str, torch.Tensor](), dict[str, set[tuple[int, int]]]()
    for name, model in (("tiny", tiny_preview(parts.model, vae)), ("plain", parts.model)):
        pictures: list[Picture | None] = []
        ctx = context(using=using, report=functools.partial(_keep, pictures))
        told = encode_text(ctx, parts.text_encoder, text="a fox")
        blank = empty_latent(width=64, height=64)
        samples[name] = k_sampler(ctx, model, told, told, blank, steps=2, guidance=1.0).samples
        sizes[name] = {(picture.width, picture.height) for picture in pictures if picture is not None}
    assert torch.equal(samples["tiny"], samples["plain"])
    assert sizes == {"tiny": {(64, 64)}, "plain": {(8, 8)}}


def _keep(pictures: list[Picture | None], done: int, total: int, picture: Picture | None) -> None:
    pictures.append(picture)


def test_a_tiny_vae_of_other_channels_is_refused(tmp_path: Path) -> None:
    tensors = checkpoints.tiny_vae(16).state_dict()
    path = checkpoints.save(tmp_path / "tiny.safetensors", ("", tensors))
    parts, vae = load_checkpoint(context(), path=STARTER), load_vae(context(), path=str(path))
    model = tiny_preview(parts.model, vae)
    with (
        pytest.raises(NodeError, match="is for latents of 16 channels, the model's have 4"),
        store().use(context(), model.recipe),
    ):
        raise AssertionError("lent all the same")


def test_a_usual_vae_is_refused() -> None:
    parts = load_checkpoint(context(), path=STARTER)
    with pytest.raises(NodeError, match="no tiny one"):
        tiny_preview(parts.model, parts.vae)
