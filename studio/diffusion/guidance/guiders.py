"""The guider of a run: asks for the estimates that are needed and puts them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from studio.cache import codec
from studio.diffusion.api import Denoiser, Perturb
from studio.diffusion.guidance.effects import Effect, Moment, factor, number
from studio.diffusion.guidance.estimates import ALL, Estimator, Span, acting, acts
from studio.errors import NodeError
from studio.types import Conditioning, ConditioningEntry, Json, Patch

Ranged = tuple[Span, str]
Combine = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
Dress = Callable[[Sequence[Patch]], None]


def classifier_free(positive: torch.Tensor, negative: torch.Tensor, scale: float) -> torch.Tensor:
    """From the negative estimate through the positive one, `scale` times as far (Ho and Salimans, 2022)."""
    return negative + (positive - negative) * scale


@dataclass(frozen=True)
class Effective:
    """A patch of the model with what its name stands for.

    Attributes:
        patch: Data.
        effect: What it does to guidance; None where it changes the denoiser.
    """

    patch: Patch
    effect: Effect | None


class Guided:
    """Estimates the picture under up to three conditionings; see `studio.types.Guider` for the data.

    Attributes:
        state: What it remembers from step to step.
    """

    state: tuple[torch.Tensor, ...] = ()

    def __init__(
        self,
        denoiser: Denoiser,
        told: Mapping[str, Conditioning],
        params: Mapping[str, Json],
        combine: Combine = classifier_free,
        patches: Sequence[Effective] = (),
        dress: Dress | None = None,
    ) -> None:
        """Make a guider.

        Args:
            denoiser: Is asked.
            told: Role → conditioning: ``positive``, perhaps ``negative`` and, between them, ``middle``.
            params: ``guidance``, ``guidance_2`` from the negative to the middle, and ``kind``, the name of
                `combine`; what enters keys.
            combine: Puts the positive and the negative estimate together; see `classifier_free`.
            patches: Of the model, in order.
            dress: Brings the denoiser into the state of the patches it is given; needed where some have
                ranges.
        """
        self._denoiser = denoiser
        self._params = params
        self._scale = number(params, "guidance", 1.0)
        self._told = {role: told[role].entries for role in ("positive", "middle", "negative") if role in told}
        self._combine = combine
        self._patches = patches
        self._dress = dress
        self._dressed: tuple[Patch, ...] | None = None
        self._ask = Estimator(denoiser)
        negative = self._told.get("negative", ())
        # Where both say the same, the negative estimate cancels out: half the work.
        self._same = "middle" not in told and _said(self._told["positive"]) == _said(negative)

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Estimate the picture.

        Raises:
            NodeError: No positive entry acts at this point of the trajectory.
        """
        return self._estimate(x, sigma, both=False)[0]

    def unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture as guided, and as estimated under the negative conditioning alone."""
        return self._estimate(x, sigma, both=True)

    def ask_fewer(self) -> bool:
        """Ask for fewer entries at once from now on; False where it was one alone."""
        return self._ask.ask_fewer()

    @property
    def changes(self) -> str:
        """Names what, in the way the denoiser is asked, moves the bits of what it gives; empty if nothing."""
        return "" if self._ask.most == ALL else f"{self._ask.most} at once"

    def ranged(self) -> Iterator[Ranged]:
        """All that acts on the trajectory, each with its range: what the keys of steps are made of."""
        if len(self._told) > 1 and not self._same:
            yield (0.0, 1.0), f"guidance {codec.digest(dict(self._params))}"
        for item in self._patches:
            yield from _ranged(item)
        for role, entries in self._told.items():
            # Guidance of 1 leaves the negative out, but solvers that ask for it apart may not.
            for entry in () if role == "negative" and self._same else entries:
                yield entry.span, f"{role} {entry.digest}"
                for part in (*entry.controls, *entry.images):
                    both = (max(entry.span[0], part.span[0]), min(entry.span[1], part.span[1]))
                    if both[0] <= both[1]:
                        yield both, f"{role} {entry.digest} with {part.digest}"

    def _estimate(self, x: torch.Tensor, sigma: float, *, both: bool) -> tuple[torch.Tensor, torch.Tensor]:
        progress = self._denoiser.sampling.progress(sigma)
        now = self._wear(progress)
        scale = self._scale_at(progress, now)
        told = self._acting(progress, scale, both=both)
        estimates = dict(zip(told, self._ask(x, sigma, list(told.values())), strict=True))
        positive, negative = estimates["positive"], estimates.get("negative")

        def worse(perturb: Perturb) -> torch.Tensor:
            return self._ask(x, sigma, [told["positive"]], perturb)[0]

        moment = Moment(x, sigma, self._denoiser.sampling, scale, positive, negative, worse, self.state)
        guided = self._combined(moment, estimates.get("middle"), now)
        for item in now:
            if item.effect and item.effect.stage == "after" and item.effect.change:
                guided = item.effect.change(moment, guided, item.patch.params)
        self.state = moment.memory
        return guided, positive if negative is None else negative

    def _combined(
        self, moment: Moment, middle: torch.Tensor | None, now: Sequence[Effective]
    ) -> torch.Tensor:
        positive, negative = moment.positive, moment.negative
        if middle is not None:
            first = middle
            if negative is not None:
                first = classifier_free(middle, negative, number(self._params, "guidance_2", 1.0))
            return first + (positive - middle) * moment.scale
        if negative is None or moment.scale == 1:
            guided = positive
        else:
            guided = self._combine(positive, negative, moment.scale)
        for item in reversed(now):
            if item.effect and item.effect.stage == "combine" and item.effect.change:
                return item.effect.change(moment, guided, item.patch.params)
        return guided

    def _acting(self, progress: float, scale: float, *, both: bool) -> dict[str, list[ConditioningEntry]]:
        told: dict[str, list[ConditioningEntry]] = {}
        for role, entries in self._told.items():
            idle = role == "negative" and "middle" not in self._told and (scale == 1 or self._same)
            if idle and not (both and not self._same):
                continue
            if now := acting(entries, progress):
                told[role] = now
        if "positive" not in told:
            raise NodeError(
                f"No prompt acts {progress:.0%} of the way from noise to picture.",
                "Let a positive prompt act over the whole range.",
                socket="positive",
            )
        return told

    def _scale_at(self, progress: float, now: Sequence[Effective]) -> float:
        """Guidance at a point of the trajectory; 1 where some patch wants it at other times alone."""
        scale = self._scale
        for item in self._patches:
            if item.effect and item.effect.stage == "interval" and item not in now:
                return 1.0
            if item.effect and item.effect.stage == "scale":
                scale *= factor(item.patch.params, progress)
        return scale

    def _wear(self, progress: float) -> list[Effective]:
        """Bring the denoiser into the state of the patches that act now, and return them."""
        now = [item for item in self._patches if acts(item.patch.span, progress)]
        tiled = [item for item in now if item.effect and item.effect.stage == "tiling"]
        self._ask.tiling = _tiling(tiled[-1].patch, self._denoiser.downscale) if tiled else None
        patches = tuple(item.patch for item in now if item.effect is None)
        if self._dress is not None and patches != self._dressed:
            self._dress(patches)
            self._dressed = patches
        return now


def _ranged(item: Effective) -> Iterator[Ranged]:
    (begin, end), patch = item.patch.span, replace(item.patch, span=(0.0, 1.0))
    digest = f"patch {codec.digest(patch.key_part)}"
    if item.effect is None or item.effect.stage != "interval":
        yield (begin, end), digest
        return
    if begin > 0:
        yield (0.0, begin), digest
    if end < 1:
        yield (end, 1.0), digest


def _tiling(patch: Patch, downscale: int) -> tuple[int, int, int]:
    side, overlap = (number(patch.params, name, 0) / downscale for name in ("tile_px", "overlap_px"))
    side = max(1, math.floor(side))
    return side, side, min(math.floor(overlap), side - 1)


def _said(entries: Sequence[ConditioningEntry]) -> list[object]:
    return [
        (entry.digest, entry.span, [(part.digest, part.span) for part in (*entry.controls, *entry.images)])
        for entry in entries
    ]
