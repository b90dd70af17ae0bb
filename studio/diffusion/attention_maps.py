"""Where a model looks for the words of a prompt: its cross-attention over a picture, made visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.nn.functional import interpolate

from studio.diffusion.canvas import fitted
from studio.diffusion.denoisers.watching import watching
from studio.diffusion.guidance.estimates import acting
from studio.diffusion.noise import initial
from studio.diffusion.text.chunks import chunks
from studio.diffusion.text.prompt import encode
from studio.errors import NodeError
from studio.types import ConditioningEntry, Image, Latent, Mask, Model, TextEncoder

if TYPE_CHECKING:
    from studio.context import Context

Apart = Literal["nothing", "layers", "steps"]


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at; the node's knobs.

    Attributes:
        text: The prompt.
        words: Of the prompt, with commas between.
        layers: Parts of the names of the layers, with commas between; empty = all.
        start: Part of the way from noise to picture at which the first look is taken.
        end: Part of the way at which the last one is.
        steps: How many looks are taken.
        apart: What gets maps of its own; the rest is averaged.
        seed: Of the noise put over the latent.
    """

    text: str
    words: str
    layers: str
    start: float
    end: float
    steps: int
    apart: Apart
    seed: int


def attention_maps(
    ctx: Context, model: Model, text_encoder: TextEncoder, latent: Latent, look: Look
) -> tuple[Image, Mask]:
    """Maps of every word, one behind the other, all pictures of the batch for each: as colours and as values.

    The latent gets noise as at the point of the way that is looked at, and the model is asked once for each.
    Each map is the mean over heads, layers and looks of the attention to a word's tokens (Tang et al., “What
    the DAAM”, 2022), scaled to 0–1.

    Raises:
        NodeError: The prompt has no such word, or no layer has such a name.
        Cancelled: Inside a step.
    """
    told = encode(text_encoder, look.text, ctx).entries
    places = _places(ctx, text_encoder, look, int(told[0].embeddings.shape[1]))
    with ctx.weights.use(ctx, model.recipe) as denoiser, torch.inference_mode():
        latent = fitted(latent, denoiser)
        found = _gathered(ctx, denoiser, latent, told, places, look)
    if not found:
        raise NodeError(
            f"No layer has “{look.layers}” in its name.",
            "Leave the layers empty for all, or name blocks such as mid_block or up_blocks.1.",
            socket="layers",
        )
    maps = torch.cat(list(found.values())).flatten(0, 1)
    side = tuple(int(pixels) * latent.downscale for pixels in latent.samples.shape[-2:])
    values = _scaled(interpolate(maps[:, None], size=side, mode="bilinear")[:, 0])
    mask: Mask = values.cpu().numpy().copy()
    return _coloured(mask), mask


def _gathered(
    ctx: Context,
    denoiser: Any,
    latent: Latent,
    told: Sequence[ConditioningEntry],
    places: Sequence[Sequence[int]],
    look: Look,
) -> dict[str, torch.Tensor]:
    """By what gets maps of its own: sums ``[words, N, H, W]`` over all looks."""
    samples = latent.samples.to(denoiser.device)
    noise = initial(tuple(samples.shape), look.seed).to(denoiser.device)
    size = (int(samples.shape[-2]), int(samples.shape[-1]))
    wanted = [part.strip() for part in look.layers.split(",") if part.strip()]
    found: dict[str, torch.Tensor] = {}
    for step, progress in enumerate(np.linspace(look.start, look.end, look.steps)):
        sigma = _sigma(denoiser, float(progress))

        def note(layer: str, weights: torch.Tensor, step: int = step) -> None:
            if wanted and not any(part in layer for part in wanted):
                return
            name = {"nothing": "", "layers": layer, "steps": str(step)}[look.apart]
            seen = _seen(weights, places, size)
            found[name] = found[name] + seen if name in found else seen

        kept = 1 - sigma if denoiser.sampling.flow else 1.0
        with watching(denoiser, int(told[0].embeddings.shape[1]), note):
            denoiser(samples * kept + noise * sigma, sigma, acting(told, float(progress))[:1])
        ctx.progress(step + 1, look.steps)
    return found


def _sigma(denoiser: Any, progress: float) -> float:
    sampling = denoiser.sampling
    # The time of a flow begins at 0, where there is no noise; that of a table at its first entry.
    last = len(sampling.table) - (0 if sampling.flow else 1)
    return sampling.sigma((1 - progress) * last)


def _places(ctx: Context, text_encoder: TextEncoder, look: Look, length: int) -> list[list[int]]:
    """For every word, the places of its tokens among `length` embeddings."""
    words = [word.strip() for word in look.words.split(",") if word.strip()]
    if not words:
        raise NodeError("No word is named.", "Name words of the prompt, with commas between.", socket="words")
    found: list[list[int]] = [[] for _ in words]
    with ctx.weights.use(ctx, text_encoder.recipe) as encoder:
        networks, behind = encoder.networks, length
        # T5's tokens come last, and what lies before them are CLIP's.
        for name in [name for name in ("t5", "l", "g", "h") if name in networks]:
            tokenizer = networks[name].tokenizer
            told = [[token for token, _ in chunk] for chunk in chunks(look.text, tokenizer)]
            start = behind - sum(map(len, told)) if name == "t5" else 0
            for places, word in zip(found, words, strict=True):
                there = (start + place for place in _found(told, tokenizer.tokens(word)))
                places += [place for place in there if start <= place < behind]
            behind = start
            if name != "t5":
                break
    for word, places in zip(words, found, strict=True):
        if not places:
            raise NodeError(
                f"The prompt has no “{word}”.", "Name words just as the prompt has them.", socket="words"
            )
    return found


def _found(told: Sequence[Sequence[int]], word: Sequence[int]) -> list[int]:
    places: list[int] = []
    for number, chunk in enumerate(told):
        for start in range(len(chunk) - len(word) + 1):
            if word and list(chunk[start : start + len(word)]) == list(word):
                places += [number * len(chunk) + start + index for index in range(len(word))]
    return places


def _seen(weights: torch.Tensor, places: Sequence[Sequence[int]], size: tuple[int, int]) -> torch.Tensor:
    """From ``[N, heads, pixels, tokens]`` to ``[words, N, H, W]``."""
    mean = weights.float().mean(1)
    words = torch.stack([mean[..., list(chosen)].sum(-1) for chosen in places])
    halved = 0
    while -(-size[0] // 2**halved) * -(-size[1] // 2**halved) > words.shape[-1]:
        halved += 1
    rows = -(-size[0] // 2**halved)
    planes = words.view(*words.shape[:2], rows, words.shape[-1] // rows)
    return interpolate(planes, size=size, mode="bicubic").clamp(min=0)


def _scaled(maps: torch.Tensor) -> torch.Tensor:
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


def _coloured(values: Mask) -> Image:
    """From black over red and yellow to white."""
    return np.stack([(values * 3 - place).clip(0, 1) for place in range(3)], axis=-1).astype(np.float32)
