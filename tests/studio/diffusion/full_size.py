"""A program for tests of full size: load a denoiser, sample a little, tell how long and how much it took.

Called as ``python -m tests.studio.diffusion.full_size FILE TOKENS WIDTH POOLED``; prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from nodes.latent import empty_latent
from nodes.loaders import load_diffusion_model
from nodes.sampling import k_sampler
from studio.diffusion.conditioning import entry
from studio.diffusion.weights import WeightsStore
from studio.types import Conditioning
from tests.studio.diffusion.bench import context


def main(file: str, tokens: int, width: int, pooled: int) -> None:
    ctx = context(using=WeightsStore("cpu"))
    model = load_diffusion_model(ctx, path=file)
    start = time.monotonic()
    with ctx.weights.use(ctx, model.recipe) as network:
        load_s, nbytes = time.monotonic() - start, network.nbytes
    told = Conditioning((entry(torch.randn(1, tokens, width), torch.randn(1, pooled)),))
    start = time.monotonic()
    latent = k_sampler(
        ctx, model, told, told, empty_latent(width=128, height=128), steps=2, guidance=1.0, solver="euler"
    )
    said = {
        "load_s": load_s,
        "step_s": (time.monotonic() - start) / 2,
        "weights": nbytes,
        "peak": peak_bytes(),
        "spread": float(latent.samples.std()),
        "shape": list(latent.samples.shape),
    }
    sys.stdout.write(json.dumps(said) + "\n")


def peak_bytes() -> int:
    """The most memory that this process has had resident."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main(sys.argv[1], *(int(value) for value in sys.argv[2:5]))
