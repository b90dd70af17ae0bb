"""Cancelling a full-size model in the middle of a step."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from benchmarks._full_size import single_file
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint
from nodes.sampling import k_sampler
from studio.diffusion.conditioning import entry
from studio.errors import Cancelled
from studio.types import Conditioning
from tests.studio.diffusion.bench import context, store

ANSWER_S, INTO_S = 1.0, (1.0, 2.3, 4.1, 6.7)


@pytest.mark.slow
def test_cancel_inside_a_step_at_512_answers_within_a_second(tmp_path: Path) -> None:
    weights, cancelled = store(), threading.Event()
    ctx = context(using=weights, cancelled=cancelled)
    model = load_checkpoint(ctx, path=str(single_file(tmp_path))).model
    told = Conditioning((entry(torch.randn(1, 77, 768)),))
    none = Conditioning((entry(torch.randn(1, 77, 768)),))
    with weights.use(ctx, model.recipe):
        pass
    answers: list[float] = []
    for into_s in INTO_S:
        cancelled.clear()
        pressed: list[float] = []

        def press(pressed: list[float] = pressed) -> None:
            pressed.append(time.perf_counter())
            cancelled.set()

        threading.Timer(into_s, press).start()
        with pytest.raises(Cancelled):
            k_sampler(ctx, model, told, none, empty_latent(), steps=20)
        answers.append(time.perf_counter() - pressed[0])
    print("answered after", [f"{answer:.2f} s" for answer in answers])
    assert max(answers) < ANSWER_S
