"""Stable Diffusion 1 at full size, random weights: loading, a step, memory, a LoRA, beside diffusers."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks._full_size import RANK, lora_file, single_file
from benchmarks.measure import Pairs, Row, estimate, exact, interleaved
from benchmarks.sampling import PROMPT, context
from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint
from nodes.lora import load_lora_for_model
from nodes.sampling import k_sampler
from studio.context import Context
from studio.diffusion.weights import WeightsStore

SIDE_PX, STEPS, FEW = 256, 3, 1
LOADS, PAIRS, CHANGES = 3, 3, 5


def run(full: bool) -> list[Row]:
    """Load, sample a few steps and change a LoRA; `full` takes more pairs."""
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="latent-studio-benchmark-") as folder:
        place = single_file(Path(folder))
        loading = interleaved(lambda: _load_ours(place), lambda: _load_theirs(place), LOADS)
        rows = [_row("load a single file of 2 GB (fp16 → fp32)", loading)]
        rows += _sampled(place, 3 * PAIRS if full else PAIRS)
        gc.collect()
        ours, theirs = (_peak(side, place) for side in ("ours", "theirs"))
        what, ratio = "peak memory of a picture", exact(ours / theirs)
        rows.append(Row("families", what, exact(ours), "GB", exact(theirs), ratio, "ratio <= 1.0"))
    return rows


def _sampled(place: Path, pairs: int) -> list[Row]:
    ours, theirs = Ours(place), Theirs(place)
    steps = interleaved(lambda: _step(ours), lambda: _step(theirs), pairs)
    threads = torch.get_num_threads()
    what = f"a step with guidance, {SIDE_PX}², {ours.weights.place.dtype}, {threads} threads"
    lora = lora_file(place.parent)
    ours.change(lora, 1.0)
    changed = estimate([ours.change(lora, 0.5 + 0.1 * number) for number in range(CHANGES)])
    changing = Row(
        "families", f"change the strength of a LoRA of rank {RANK}", changed, "s", aim="ours <= 0.3"
    )
    return [_row(what, steps), changing]


class Ours:
    """Our nodes over the file."""

    def __init__(self, place: Path) -> None:
        self.weights = WeightsStore("cpu")
        self.ctx: Context = context(self.weights)
        self.parts = load_checkpoint(self.ctx, path=str(place))
        told = [encode_text(self.ctx, self.parts.text_encoder, text=text) for text in (PROMPT, "")]
        self.positive, self.negative = told

    def sample(self, steps: int, model: Any = None) -> torch.Tensor:
        """Noise to latent."""
        return k_sampler(
            self.ctx,
            model or self.parts.model,
            self.positive,
            self.negative,
            empty_latent(width=SIDE_PX, height=SIDE_PX),
            steps=steps,
            solver="euler",
            schedule="simple",
        ).samples

    def change(self, path: Path, strength: float) -> float:
        """Seconds until the denoiser has a LoRA at another strength."""
        patched = load_lora_for_model(self.ctx, self.parts.model, path=str(path), strength=strength)
        start = time.perf_counter()
        with self.weights.use(self.ctx, patched.recipe):
            return time.perf_counter() - start


class Theirs:
    """diffusers' pipeline over the same file."""

    def __init__(self, place: Path) -> None:
        from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

        self.pipe: Any = StableDiffusionPipeline.from_single_file(
            place, config=str(place.parent / "config"), local_files_only=True, torch_dtype=torch.float32
        )
        self.pipe.set_progress_bar_config(disable=True)
        self.pipe.scheduler = EulerDiscreteScheduler.from_config(
            self.pipe.scheduler.config, timestep_spacing="trailing"
        )

    def sample(self, steps: int) -> torch.Tensor:
        """Noise to latent."""
        return self.pipe(
            PROMPT,
            num_inference_steps=steps,
            guidance_scale=7.0,
            height=SIDE_PX,
            width=SIDE_PX,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
        ).images


def _step(side: Ours | Theirs) -> float:
    """Seconds per step, without what a picture costs once."""
    times: list[float] = []
    for steps in (FEW, STEPS):
        start = time.perf_counter()
        side.sample(steps)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / (STEPS - FEW)


def _load_ours(place: Path) -> None:
    weights = WeightsStore("cpu")
    ctx = context(weights)
    parts = load_checkpoint(ctx, path=str(place))
    for part in parts:
        with weights.use(ctx, part.recipe):
            pass
    del weights, ctx
    gc.collect()


def _load_theirs(place: Path) -> None:
    Theirs(place)
    gc.collect()


def _peak(side: str, place: Path) -> float:
    """Gigabytes that a process of its own takes at most for one picture of one step."""
    code = (
        "import logging, resource, sys; from pathlib import Path; from benchmarks import families as it;"
        "[logging.getLogger(name).setLevel(logging.ERROR) for name in ('diffusers', 'transformers')];"
        f"(it.Ours if {side == 'ours'} else it.Theirs)(Path({str(place)!r})).sample(1);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1]) / 2**20


def _row(what: str, pairs: Pairs) -> Row:
    return Row("families", what, pairs.ours, "s", pairs.peer, pairs.ratio, "ratio <= 1.0")
