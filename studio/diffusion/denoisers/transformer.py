"""The denoiser of every family that is a transformer over a rectified flow: Stable Diffusion 3 and Flux."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from studio.diffusion.api import Check, Perturb
from studio.diffusion.denoisers import hints
from studio.diffusion.files import loading
from studio.diffusion.schedules import Sampling, flow
from studio.errors import NodeError
from studio.types import ConditioningEntry, Json

_BLOCKS = ("JointTransformerBlock", "FluxTransformerBlock", "FluxSingleTransformerBlock")
_PATCH = 2


@dataclass(frozen=True)
class Facts:
    """What a family knows of a transformer beside its weights.

    Attributes:
        downscale: Picture pixels per latent pixel along a side.
        preview: Latent → RGB 0–1, offsets last.
        defaults: What suits it; see `studio.diffusion.api.Denoiser`.
        shift: Of its time, from the tokens of a picture; a number where it is the same for all.
    """

    downscale: int
    preview: Sequence[Sequence[float]]
    defaults: Mapping[str, Json]
    shift: float | Callable[[int], float]


@dataclass(frozen=True, eq=False)
class Told:
    """Entries of equally many tokens, as one call takes them; rows lie entry by entry.

    Attributes:
        entries: Under which x is estimated.
        count: Pictures for each entry.
        tokens: ``[E·count, tokens, width]``.
        pooled: ``[E·count, width]``.
    """

    entries: Sequence[ConditioningEntry]
    count: int
    tokens: torch.Tensor
    pooled: torch.Tensor


class Transformer(ABC):
    """What the two families share; see `studio.diffusion.api.Denoiser` and `Network`.

    Each gives `channels` and `_velocity`, and names the hints that it takes.
    """

    _takes: Sequence[str] = ()

    def __init__(
        self, network: Any, source: Mapping[str, torch.Tensor], facts: Facts, channels: int, check: Check
    ) -> None:
        self.check = check
        self.modules: Mapping[str, torch.nn.Module] = {"transformer": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"transformer": source}
        self.nbytes = loading.nbytes(network)
        self.networks: Mapping[str, Any] = {}
        self.channels = channels
        self.downscale = facts.downscale
        self.preview = torch.tensor(facts.preview)
        self.defaults = facts.defaults
        self._facts = facts
        self._network = network
        bias = network.proj_out.bias
        self.device: torch.device = bias.device
        self._dtype: torch.dtype = bias.dtype
        self._told: dict[tuple[tuple[str, ...], int], Told] = {}
        self._own = self.sampling = self._sampling(1024 * 1024 // (facts.downscale * _PATCH) ** 2)
        loading.stop_inside(network, _BLOCKS, lambda: self.check())

    def sampling_for(self, shape: Sequence[int]) -> Sampling:
        """The sampling for a latent of this shape; `sampling` itself where a patch has replaced it."""
        if self.sampling is not self._own or not callable(self._facts.shift):
            return self.sampling
        return self._sampling(-(-shape[-2] // _PATCH) * -(-shape[-1] // _PATCH))

    def _sampling(self, tokens: int) -> Sampling:
        shift = self._facts.shift(tokens) if callable(self._facts.shift) else self._facts.shift
        return Sampling(flow(shift), "flow", shift)

    def __call__(
        self,
        x: torch.Tensor,
        sigma: float,
        entries: Sequence[ConditioningEntry],
        perturb: Perturb | None = None,
    ) -> list[torch.Tensor]:
        """Estimate the picture under each entry; those of equally many tokens in one call."""
        height, width = x.shape[-2:]
        whole = even(x)
        found: dict[int, torch.Tensor] = {}
        with self._perturbed(perturb):
            for group in self._groups(entries):
                told = self._tell([entries[index] for index in group], len(x))
                rows = whole.to(self._dtype).repeat(len(group), 1, 1, 1)
                velocity = self._velocity(rows, sigma, told)[..., :height, :width].float()
                for index, part in zip(group, velocity.chunk(len(group)), strict=True):
                    found[index] = x - part * sigma
        return [found[index] for index in range(len(entries))]

    def _groups(self, entries: Sequence[ConditioningEntry]) -> Iterator[list[int]]:
        groups: dict[object, list[int]] = {}
        for index, entry in enumerate(entries):
            reference = entry.hints.get("reference")
            shape = None if reference is None else tuple(reference.shape)
            groups.setdefault((entry.embeddings.shape[1], shape), []).append(index)
        yield from groups.values()

    def _tell(self, entries: Sequence[ConditioningEntry], count: int) -> Told:
        """Entries on the device; kept until others are asked for."""
        name = (tuple(entry.digest for entry in entries), count)
        if name in self._told:
            kept = self._told[name]
            return Told(entries, count, kept.tokens, kept.pooled)
        hints.check(entries, self._takes)
        settings = self._network.config
        self._fits(entries, int(settings.joint_attention_dim), int(settings.pooled_projection_dim))
        tokens = torch.cat([entry.embeddings.expand(count, -1, -1) for entry in entries])
        silent = torch.zeros(1, int(settings.pooled_projection_dim))
        pooled = torch.cat(
            [(silent if entry.pooled is None else entry.pooled).expand(count, -1) for entry in entries]
        )
        told = Told(entries, count, tokens.to(self.device, self._dtype), pooled.to(self.device, self._dtype))
        if len(self._told) > 3:
            self._told.clear()
        self._told[name] = told
        return told

    def _fits(self, entries: Sequence[ConditioningEntry], width: int, pooled: int) -> None:
        for entry in entries:
            if entry.embeddings.shape[2] != width:
                raise NodeError(
                    f"The conditioning is {entry.embeddings.shape[2]} wide, the model takes {width}.",
                    "Encode the prompt with the text encoder of the same model.",
                )
            if entry.pooled is not None and entry.pooled.shape[1] != pooled:
                raise NodeError(
                    f"The pooled conditioning is {entry.pooled.shape[1]} wide, the model takes {pooled}.",
                    "Encode the prompt with the text encoder of the same model.",
                )

    @abstractmethod
    def _perturbed(self, perturb: Perturb | None) -> Any:
        """A context in which the network is made worse."""

    @abstractmethod
    def _velocity(self, x: torch.Tensor, sigma: float, told: Told) -> torch.Tensor:
        """What the network gives for rows of even height and width: noise minus picture."""


def even(latents: torch.Tensor) -> torch.Tensor:
    """A latent in whole squares of 2 × 2, which are tokens: what lacks is taken from the other side."""
    fill = (0, latents.shape[3] % _PATCH, 0, latents.shape[2] % _PATCH)
    return pad(latents, fill, mode="circular") if any(fill) else latents
