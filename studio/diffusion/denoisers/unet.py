"""The denoiser of every family that is a UNet: Stable Diffusion 1, 2, XL and their kin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import interpolate

from studio.diffusion.api import Check, Perturb
from studio.diffusion.conditioning import name_of
from studio.diffusion.denoisers import attention, hints
from studio.diffusion.files import loading
from studio.diffusion.schedules import Sampling
from studio.errors import NodeError
from studio.types import ConditioningEntry, Json

_KEPT = 4
_REPEATED = 4  # times that the tokens of an entry are told, to be as many as another's
_ALONE = ("class_labels", "timestep_cond")
# Single layers rather than blocks: at full size on a CPU a block takes most of a second.
_LAYERS = ("Conv2d", "Attention", "FeedForward")
Added = Callable[[Sequence[ConditioningEntry], tuple[int, int]], Mapping[str, torch.Tensor]]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a UNet and the control networks beside it are given in one call.

    Attributes:
        entries: Under which x is estimated.
        count: Pictures for each entry; rows lie entry by entry.
        x: ``[E·count, C, H, W]``, scaled as the network takes it, without concatenated channels.
        time: Timestep, a tensor without dimensions.
        tokens: ``[E·count, tokens, width]``.
        added: Further arguments of the network (``text_embeds``, ``time_ids``, ``class_labels``).
    """

    entries: Sequence[ConditioningEntry]
    count: int
    x: torch.Tensor
    time: torch.Tensor
    tokens: torch.Tensor
    added: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Facts:
    """What a family knows of a UNet beside its weights.

    Attributes:
        sampling: Its table of sigmas and what it predicts.
        downscale: Picture pixels per latent pixel along a side.
        preview: Latent → RGB 0–1, offsets last.
        defaults: What suits it; see `studio.diffusion.api.Denoiser`.
        added: From entries and the picture's height and width in pixels, further arguments, one row an
            entry: ``text_embeds``, ``time_ids``, ``class_labels`` or ``timestep_cond``.
        idle_concat: What stands for concatenated channels in an entry that brings none, from their shape.
    """

    sampling: Sampling
    downscale: int
    preview: Sequence[Sequence[float]]
    defaults: Mapping[str, Json]
    added: Added | None = None
    idle_concat: Callable[[tuple[int, ...]], torch.Tensor] = torch.zeros


class UNet:
    """The denoiser; see `studio.diffusion.api.Denoiser` and `Network`."""

    def __init__(
        self,
        network: Any,
        source: Mapping[str, torch.Tensor],
        facts: Facts,
        check: Check,
    ) -> None:
        self.check = check
        self.modules: Mapping[str, torch.nn.Module] = {"unet": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"unet": source}
        self.nbytes = loading.nbytes(network)
        self.networks: Mapping[str, Any] = {}
        self.sampling = facts.sampling
        self.channels = int(network.config.out_channels)
        self.downscale = facts.downscale
        self.preview = torch.tensor(facts.preview)
        self.defaults = facts.defaults
        self.attention = attention.AttentionRun()
        self._facts = facts
        self._network = network
        takes = {
            "concat": int(network.config.in_channels) > self.channels,
            "unclip": network.config.class_embed_type is not None,
        }
        self._takes = [name for name, taken in takes.items() if taken]
        weight = network.conv_in.weight
        self.device, self._dtype = weight.device, weight.dtype
        self._told: dict[tuple[str | int, ...], torch.Tensor] = {}
        loading.stop_inside(network, _LAYERS, lambda: self.check())
        attention.install(network, self.attention)

    def void(self) -> None:
        """Forget what was computed from weights that have changed."""
        self.attention.void()

    def __call__(
        self,
        x: torch.Tensor,
        sigma: float,
        entries: Sequence[ConditioningEntry],
        perturb: Perturb | None = None,
    ) -> list[torch.Tensor]:
        """Estimate the picture under each entry, all in one call where their lengths allow it."""
        found: dict[int, torch.Tensor] = {}
        for group in _groups([entry.embeddings.shape[1] for entry in entries]):
            together = self._together(x, sigma, [entries[index] for index in group], perturb)
            found |= zip(group, together, strict=True)
        return [found[index] for index in range(len(entries))]

    def _together(
        self, x: torch.Tensor, sigma: float, entries: Sequence[ConditioningEntry], perturb: Perturb | None
    ) -> list[torch.Tensor]:
        """The estimates of one call."""
        scale = 1 / math.sqrt(sigma**2 + 1)
        batch = self._batch(x * scale, sigma, entries)
        with self._attending(batch, perturb):
            given = self._network(
                self._concatenated(batch),
                batch.time,
                batch.tokens,
                return_dict=False,
                **_arguments(batch.added),
                **self._residuals(batch),
            )[0].float()
        return [self._estimate(x, part, sigma, scale) for part in given.chunk(len(entries))]

    def _batch(self, scaled: torch.Tensor, sigma: float, entries: Sequence[ConditioningEntry]) -> Batch:
        hints.check(entries, self._takes)
        count = len(scaled)
        rows = torch.cat([scaled] * len(entries)) if len(entries) > 1 else scaled
        time = torch.tensor(self.sampling.timestep(sigma), device=self.device)
        added: dict[str, torch.Tensor] = {}
        if self._facts.added is not None:
            size_px = (scaled.shape[-2] * self.downscale, scaled.shape[-1] * self.downscale)
            for name, values in self._facts.added(entries, size_px).items():
                # Whole numbers name a class; all else is in the network's own format.
                told = values.to(self.device, self._dtype if values.is_floating_point() else values.dtype)
                added[name] = told.repeat_interleave(count, dim=0)
        return Batch(entries, count, rows.to(self._dtype), time, self._tokens(entries, count), added)

    def _attending(self, batch: Batch, perturb: Perturb | None) -> attention.Attending:
        run = self.attention
        run.check(perturb)
        shown = [
            self._shown(prompt, index) for index, entry in enumerate(batch.entries) for prompt in entry.images
        ]
        run.name = tuple(entry.digest for entry in batch.entries)
        run.tokens = batch.tokens[:: batch.count]
        run.count = batch.count
        run.size = (batch.x.shape[-2], batch.x.shape[-1])
        run.shown = shown
        run.perturb = perturb
        return attention.Attending(run)

    def _shown(self, prompt: Any, index: int) -> attention.Shown:
        adapter = self.networks[name_of(prompt.recipe)]
        tokens = adapter.tokens(prompt.embeds).to(self.device, self._dtype)
        mask = None if prompt.mask is None else prompt.mask.to(self.device)
        return attention.Shown(prompt.digest, adapter, tokens, prompt.strength, mask, index)

    def _residuals(self, batch: Batch) -> dict[str, Any]:
        if not any(entry.controls for entry in batch.entries):
            return {}
        from studio.diffusion.control.residuals import residuals

        return residuals(self.networks, batch)

    def _concatenated(self, batch: Batch) -> torch.Tensor:
        """X with the channels beside it that this kind of model takes."""
        missing = int(self._network.config.in_channels) - batch.x.shape[1]
        if missing <= 0:
            return batch.x
        size = batch.x.shape[-2:]
        parts: list[torch.Tensor] = []
        for entry in batch.entries:
            hint = entry.hints.get("concat")
            if hint is None:
                hint = self._facts.idle_concat((1, missing, *size))
            if hint.shape[1] != missing:
                raise NodeError(
                    f"The model takes {missing} channels beside the latent, the conditioning "
                    f"brings {hint.shape[1]}.",
                    "Use the conditioning node made for this kind of model.",
                    socket="positive",
                )
            if hint.shape[-2:] != size:
                hint = interpolate(hint.float(), size=size, mode="bilinear")
            if len(hint) not in (1, batch.count):
                hint = hint[torch.arange(batch.count) % len(hint)]
            parts.append(hint.to(batch.x).expand(batch.count, -1, -1, -1))
        return torch.cat([batch.x, torch.cat(parts)], dim=1)

    def _estimate(self, x: torch.Tensor, given: torch.Tensor, sigma: float, scale: float) -> torch.Tensor:
        if self.sampling.prediction == "v_prediction":
            return x * scale**2 - given * (sigma * scale)
        if self.sampling.prediction == "sample":
            return given
        return x - given * sigma

    def _tokens(self, entries: Sequence[ConditioningEntry], count: int) -> torch.Tensor:
        """Embeddings of all entries, one after the other; kept until others are asked for."""
        name = (*(entry.digest for entry in entries), count)
        if name not in self._told:
            # Attention over tokens repeated is attention over them once, so that lengths can be made equal.
            tokens = math.lcm(*(entry.embeddings.shape[1] for entry in entries))
            parts = [entry.embeddings.repeat(1, tokens // entry.embeddings.shape[1], 1) for entry in entries]
            width = int(self._network.config.cross_attention_dim)
            for part in parts:
                if part.shape[2] != width:
                    raise NodeError(
                        f"The conditioning is {part.shape[2]} wide, the model takes {width}.",
                        "Encode the prompt with the text encoder of the same model.",
                    )
            both = torch.cat([part.expand(count, -1, -1) for part in parts])
            while len(self._told) >= _KEPT:
                del self._told[next(iter(self._told))]
            self._told[name] = both.to(self.device, self._dtype)
        return self._told[name]


def _groups(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of entries that go in one call: all, unless their tokens would be repeated too often."""
    if math.lcm(*lengths) <= _REPEATED * min(lengths):
        return [list(range(len(lengths)))]
    return [
        [index for index, own in enumerate(lengths) if own == length] for length in dict.fromkeys(lengths)
    ]


def _arguments(added: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """As UNet2DConditionModel takes them: some alone, the rest together."""
    alone = {name: values for name, values in added.items() if name in _ALONE}
    rest = {name: values for name, values in added.items() if name not in _ALONE}
    return {**alone, "added_cond_kwargs": rest} if rest else dict(alone)
