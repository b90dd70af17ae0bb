"""One estimate of the picture for each conditioning, of all entries that act and wherever they act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from studio.diffusion.api import Denoiser, Perturb
from studio.diffusion.control.residuals import fitted
from studio.diffusion.guidance import regions
from studio.diffusion.guidance.regions import Box
from studio.types import ConditioningEntry, Control

Span = tuple[float, float]
ALL = 2**30
_NOTHING = 1e-37


def acts(span: Span, progress: float) -> bool:
    """Whether what has this range acts at a point of the trajectory; a range up to 1 includes the end."""
    return span[0] <= progress < span[1] or (progress >= 1 and span[1] >= 1)


def acting(entries: Sequence[ConditioningEntry], progress: float) -> list[ConditioningEntry]:
    """The entries that act now, each with those of its controls and image prompts that do."""
    found: list[ConditioningEntry] = []
    for entry in entries:
        if not acts(entry.span, progress):
            continue
        controls = tuple(item for item in entry.controls if acts(item.span, progress))
        images = tuple(item for item in entry.images if acts(item.span, progress))
        if len(controls) < len(entry.controls) or len(images) < len(entry.images):
            entry = replace(entry, controls=controls, images=images)
        found.append(entry)
    return found


class Estimator:
    """Asks a denoiser, each part of x in as few calls as its entries allow.

    Attributes:
        tiling: Height, width and overlap of tiles in latent pixels; None asks for all of x at once.
        most: Entries that are asked for in one call.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.tiling: tuple[int, int, int] | None = None
        self._denoiser = denoiser
        self.most = ALL
        self._together = 0
        self._weights: dict[object, torch.Tensor] = {}
        self._boxes: dict[object, list[Box]] = {}
        self._feathers: dict[object, torch.Tensor] = {}
        self._crops: dict[object, ConditioningEntry] = {}
        self._controls: dict[object, Control] = {}

    def __call__(
        self,
        x: torch.Tensor,
        sigma: float,
        told: Sequence[Sequence[ConditioningEntry]],
        perturb: Perturb | None = None,
    ) -> list[torch.Tensor]:
        """Estimate the picture under each conditioning of `told`, none of which may be empty.

        Where several entries act they are averaged by strength and mask; where none does, the estimate is 0.
        """
        size = (x.shape[-2], x.shape[-1])
        boxes = self._tiles(size)
        asked: dict[Box, list[tuple[int, ConditioningEntry]]] = {}
        for role, entries in enumerate(told):
            for entry in entries:
                for box in boxes or [regions.box_of(entry.area, size)]:
                    if not boxes or entry.area is None or _meet(regions.box_of(entry.area, size), box):
                        asked.setdefault(box, []).append((role, entry))
        alone = {role for role, entries in enumerate(told) if not boxes and _is_plain(entries)}
        sums = [torch.zeros_like(x) for _ in told if len(alone) < len(told)]
        weights = [torch.full_like(x, _NOTHING) for _ in sums]
        found: dict[int, torch.Tensor] = {}
        for box, jobs in asked.items():
            crops = [self._crop(entry, box, size) for _, entry in jobs]
            for (role, entry), estimate in zip(
                jobs, self._ask(box.of(x), sigma, crops, perturb), strict=True
            ):
                if role in alone:
                    found[role] = estimate
                    continue
                weight = self._weight(entry, box, x)
                box.of(sums[role]).add_(estimate * weight)
                box.of(weights[role]).add_(weight)
        return [found[role] if role in alone else sums[role] / weights[role] for role in range(len(told))]

    def _ask(
        self,
        x: torch.Tensor,
        sigma: float,
        entries: Sequence[ConditioningEntry],
        perturb: Perturb | None,
    ) -> list[torch.Tensor]:
        """All in one call, or in as many as memory allows."""
        found: list[torch.Tensor] = []
        while len(found) < len(entries):
            part = entries[len(found) : len(found) + self.most]
            self._together = len(part)
            found += self._denoiser(x, sigma, part, perturb)
        return found

    def ask_fewer(self) -> bool:
        """Ask for half as many entries at once as in the last call; False where that was for one alone."""
        if self._together < 2:
            return False
        self.most = self._together // 2
        return True

    def _tiles(self, size: regions.Size) -> list[Box]:
        """The boxes of tiles, their feathers noted; none where x is no larger than one."""
        if self.tiling is None or (size[0] <= self.tiling[0] and size[1] <= self.tiling[1]):
            return []
        if (size, self.tiling) not in self._boxes:
            made = regions.tiles(size, self.tiling[:2], self.tiling[2])
            self._boxes[size, self.tiling] = [box for box, _ in made]
            self._feathers |= {
                (box, size, self.tiling): weight.to(self._denoiser.device) for box, weight in made
            }
        return self._boxes[size, self.tiling]

    def _weight(self, entry: ConditioningEntry, box: Box, x: torch.Tensor) -> torch.Tensor:
        size = (x.shape[-2], x.shape[-1])
        name = (entry.digest, box, size, len(x), self.tiling)
        if name not in self._weights:
            weight = box.of(regions.weight_of(entry, x))
            feather = self._feathers.get((box, size, self.tiling))
            self._weights[name] = weight if feather is None else weight * feather
        return self._weights[name]

    def _crop(self, entry: ConditioningEntry, box: Box, size: regions.Size) -> ConditioningEntry:
        if box.covers(size):
            return entry
        acting_now = tuple(item.digest for item in (*entry.controls, *entry.images))
        name = (entry.digest, acting_now, box, size)
        if name not in self._crops:
            whole = replace(entry, controls=tuple(self._whole(item, size) for item in entry.controls))
            self._crops[name] = regions.cropped(whole, box, size)
        return self._crops[name]

    def _whole(self, control: Control, size: regions.Size) -> Control:
        """A control whose picture is that of all of x: boxes are cut from what would be seen at once."""
        name = (control.digest, size)
        if name not in self._controls:
            rows, columns = (side * self._denoiser.downscale for side in size)
            self._controls[name] = replace(control, hint=fitted(control.hint, rows, columns))
        return self._controls[name]


def _is_plain(entries: Sequence[ConditioningEntry]) -> bool:
    """One entry alone, everywhere: its estimate is the conditioning's."""
    return len(entries) == 1 and entries[0].mask is None and entries[0].area is None


def _meet(one: Box, other: Box) -> bool:
    return (
        one.top < other.top + other.height
        and other.top < one.top + one.height
        and one.left < other.left + other.width
        and other.left < one.left + one.width
    )
