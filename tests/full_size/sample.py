"""Load one file and sample two steps, in a process of its own; says how long and how much memory it took."""

from __future__ import annotations

import json
import resource
import sys
import time

import torch

from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint, load_diffusion_model
from nodes.sampling import k_sampler
from studio.diffusion.conditioning import entry
from studio.types import Conditioning
from tests.studio.diffusion.bench import context, store

WORDS = {"sd1": (77, 768, 0), "sdxl": (77, 2048, 1280), "sd3": (154, 4096, 2048), "flux": (128, 4096, 768)}
SIDE_PX = {"sd1": 256, "sdxl": 512, "sd3": 256, "flux": 256}


def main(family: str, path: str) -> None:
    """Print one line of JSON."""
    ctx = context(using=store())
    start = time.perf_counter()
    model = load_checkpoint(ctx, path=path).model if family == "sd1" else load_diffusion_model(ctx, path=path)
    recipes_s = time.perf_counter() - start
    with ctx.weights.use(ctx, model.recipe):
        load_s = time.perf_counter() - start
    tokens, width, pooled = WORDS[family]
    told = Conditioning((entry(torch.randn(1, tokens, width), torch.randn(1, pooled) if pooled else None),))
    side_px = SIDE_PX[family]
    start = time.perf_counter()
    latent = k_sampler(
        ctx,
        model,
        told,
        None,
        empty_latent(width=side_px, height=side_px),
        steps=2,
        guidance=1.0,
        solver="euler",
        schedule="simple",
    )
    assert latent.samples.isfinite().all()
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told_of = {"recipes_s": recipes_s, "load_s": load_s, "two_steps_s": time.perf_counter() - start}
    print(json.dumps({**told_of, "peak_gb": peak_gb, "shape": list(latent.samples.shape)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
