"""Every solver over a real network, through the sampler node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import Checkpoint, load_checkpoint
from nodes.sampling import k_sampler
from tests.studio.diffusion.bench import context, tiny_model
from tests.studio.diffusion.solvers.following import SOLVERS


@pytest.fixture(scope="module")
def zero_snr(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder: Path = tiny_model(tmp_path_factory.mktemp("model"), "v_prediction")
    settings = folder / "scheduler" / "scheduler_config.json"
    told = {**json.loads(settings.read_text()), "rescale_betas_zero_snr": True}
    settings.write_text(json.dumps(told))
    return load_checkpoint(context(), path=str(folder))


@pytest.mark.parametrize("name", SOLVERS)
def test_v_prediction_without_any_signal_at_the_start_gives_numbers(zero_snr: Checkpoint, name: str) -> None:
    ctx = context()
    positive, negative = (encode_text(ctx, zero_snr.text_encoder, text=text) for text in ("a fox", ""))
    canvas = empty_latent(width=16, height=16)
    with ctx.weights.use(ctx, zero_snr.model.recipe) as denoiser:
        assert denoiser.sampling.high > 4000
    for schedule in ("normal", "karras"):
        made = k_sampler(
            ctx,
            zero_snr.model,
            positive,
            negative,
            canvas,
            steps=5,
            guidance=1.5,
            solver=name,
            schedule=schedule,
        )
        assert bool(torch.isfinite(made.samples).all())
