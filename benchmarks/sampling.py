"""The starter model beside diffusers' own pipeline: same weights, number format, steps, guidance and size."""

from __future__ import annotations

import logging
import math
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Pairs, Row, estimate, interleaved
from nodes.autoencoder import vae_decode
from nodes.conditioning import encode_text
from nodes.control import apply_controlnet, load_controlnet
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint
from nodes.sampling import k_sampler
from studio.cache.store import Store
from studio.context import Context, RunFacts
from studio.diffusion import tensors
from studio.diffusion.noise import initial
from studio.diffusion.weights import WeightsStore
from studio.paths import assets_dir
from studio.registry import discover
from tests.stand_ins import controlnet

PROMPT, SEED, STEPS, GUIDANCE, SIDE_PX = "a penguin in the snow, glossy", 1, 20, 4.0, 128
PAIRS, FEW, LONG = 9, 5, 30
SAME = {"float32": 1e-3}


def context(weights: WeightsStore, checkpoints: Store | None = None) -> Context:
    """A run of its own for calls to nodes."""
    return Context(
        "it",
        RunFacts("benchmark", datetime(2026, 1, 1), Path(tempfile.gettempdir())),
        threading.Event(),
        lambda done, total, preview: None,
        lambda path: None,
        weights=weights,
        checkpoints=checkpoints,
        extensions=discover().extensions,
    )


class Ours:
    """The nodes of the starter workflow, called as the executor calls them."""

    def __init__(self) -> None:
        self.weights = WeightsStore("cpu")
        self._ctx = context(self.weights)
        self._parts = load_checkpoint(self._ctx)

    def picture(self, steps: int = STEPS, batch: int = 1) -> np.ndarray[Any, Any]:
        """Prompt to pixels."""
        ctx, parts = self._ctx, self._parts
        positive, negative = (encode_text(ctx, parts.text_encoder, text=text) for text in (PROMPT, ""))
        canvas = empty_latent(width=SIDE_PX, height=SIDE_PX, batch=batch)
        latent = k_sampler(
            ctx,
            parts.model,
            positive,
            negative,
            canvas,
            seed=SEED,
            steps=steps,
            guidance=GUIDANCE,
            solver="euler",
            schedule="simple",
        )
        return vae_decode(ctx, parts.vae, latent)


class Theirs:
    """diffusers' StableDiffusionPipeline with its Euler scheduler."""

    def __init__(self, dtype: str) -> None:
        for name in ("diffusers", "transformers"):
            logging.getLogger(name).setLevel(logging.ERROR)
        from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

        folder = assets_dir() / "starter"
        self._pipe: Any = StableDiffusionPipeline.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, dtype)
        )
        self._pipe.set_progress_bar_config(disable=True)
        self._dtype = getattr(torch, dtype)
        self._pipe.scheduler = EulerDiscreteScheduler.from_config(
            self._pipe.scheduler.config, timestep_spacing="trailing"
        )

    def picture(self, steps: int = STEPS, batch: int = 1) -> np.ndarray[Any, Any]:
        """Prompt to pixels."""
        self._pipe.scheduler.set_timesteps(steps)
        high = float(self._pipe.scheduler.sigmas[0])
        noise = initial((batch, 4, SIDE_PX // 8, SIDE_PX // 8), SEED) * (math.sqrt(1 + high**2) / high)
        return self._pipe(
            [PROMPT] * batch,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            latents=noise.to(self._dtype),
            height=SIDE_PX,
            width=SIDE_PX,
            output_type="np",
        ).images


def run(full: bool) -> list[Row]:
    """Time one picture, a batch of four, and a step (the difference of two counts of steps)."""
    tensors.register()
    ours = Ours()
    dtype = ours.weights.place.dtype
    theirs = Theirs(dtype)
    difference = float(np.abs(ours.picture() - theirs.picture()).max())
    if difference > SAME.get(dtype, 0.2):
        raise AssertionError(f"The pictures differ by {difference:.3g}: this compares nothing.")
    where = f"starter, {SIDE_PX}², {STEPS} steps, {dtype}, {torch.get_num_threads()} threads"
    pairs = 3 * PAIRS if full else PAIRS
    one = interleaved(lambda: _run(ours), lambda: _run(theirs), pairs)
    half = STEPS // 2
    four = interleaved(lambda: _run(ours, half, 4), lambda: _run(theirs, half, 4), PAIRS)
    return [
        _row(f"a picture ({where})", one),
        _row(f"a picture of a batch of four, {half} steps", four, 1 / 4),
        _row("a step", _steps(ours, theirs)),
        _late_change(),
    ]


def _late_change() -> Row:
    """A run of 30 steps whose ControlNet ends a little earlier than in the run before, beside that run."""
    with tempfile.TemporaryDirectory(prefix="latent-studio-benchmark-") as folder:
        weights, place = WeightsStore("cpu"), controlnet(Path(folder) / "control")
        times: list[tuple[float, float]] = []
        for _ in range(1 + FEW):
            ctx = context(weights, Store(2**28, None))
            times.append((_controlled(ctx, place, 0.9), _controlled(ctx, place, 0.8)))
    # The first pair loads the networks.
    full, late = (estimate(part) for part in zip(*times[1:], strict=True))
    ratio = estimate([after / before for before, after in times[1:]])
    what = f"{LONG} steps again with a ControlNet's window ending at 80 % for 90 %, beside the first run"
    return Row("sampling", what, late, "s", full, ratio, "ratio <= 0.35")


def _controlled(ctx: Context, place: Path, end: float) -> float:
    """Seconds of a run under a ControlNet that acts up to `end`."""
    parts = load_checkpoint(ctx)
    told = [encode_text(ctx, parts.text_encoder, text=text) for text in (PROMPT, "")]
    hint = np.random.default_rng(0).random((1, SIDE_PX, SIDE_PX, 3), np.float32)
    led = apply_controlnet(*told, load_controlnet(ctx, path=str(place)), hint, end=end)
    canvas = empty_latent(width=SIDE_PX, height=SIDE_PX)
    start = time.perf_counter()
    k_sampler(ctx, parts.model, led.positive, led.negative, canvas, seed=SEED, steps=LONG, guidance=GUIDANCE)
    return time.perf_counter() - start


def _run(side: Ours | Theirs, steps: int = STEPS, batch: int = 1) -> None:
    side.picture(steps, batch)


def _steps(ours: Ours, theirs: Theirs) -> Pairs:
    """Seconds per step, without what a picture costs once."""

    def per_step(side: Ours | Theirs) -> float:
        times: list[float] = []
        for steps in (FEW, STEPS):
            start = time.perf_counter()
            side.picture(steps)
            times.append(time.perf_counter() - start)
        return (times[1] - times[0]) / (STEPS - FEW)

    return interleaved(lambda: per_step(ours), lambda: per_step(theirs), PAIRS)


def _row(what: str, pairs: Pairs, factor: float = 1.0) -> Row:
    return Row(
        "sampling",
        what,
        pairs.ours.scaled(factor),
        "s",
        pairs.peer.scaled(factor),
        pairs.ratio,
        "ratio <= 1.0",
    )
