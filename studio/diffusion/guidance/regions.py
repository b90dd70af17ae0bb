"""Where things act: boxes and weights of conditioning entries over a latent, and tiles of large ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import interpolate

from studio.types import ConditioningEntry, Control, ImagePrompt

Size = tuple[int, int]
_FEATHER = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a latent, in latent pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """The part of ``[…, H, W]``."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def covers(self, size: Size) -> bool:
        """Whether it is all there is."""
        return (self.height, self.width) == size


def box_of(area: tuple[float, float, float, float] | None, size: Size) -> Box:
    """The box of an entry's area (parts of the picture) over a latent of `size`; None = all of it."""
    if area is None:
        return Box(0, 0, *size)
    top, left = (min(round(part * side), side - 1) for part, side in zip(area[:2], size, strict=True))
    height, width = (
        min(max(1, round(part * side)), side - start)
        for part, side, start in zip(area[2:], size, (top, left), strict=True)
    )
    return Box(top, left, height, width)


def weight_of(entry: ConditioningEntry, x: torch.Tensor) -> torch.Tensor:
    """How much an entry counts everywhere, ``[N or 1, 1, (1,) H, W]``: its strength, under mask and area.

    An area without a mask fades out over 8 latent pixels wherever it does not end at the picture's edge.
    """
    size = (x.shape[-2], x.shape[-1])
    box = box_of(entry.area, size)
    plane = x.new_zeros(1, *size) if entry.mask is None else fitted_mask(entry.mask.to(x.device), size)
    weight = torch.zeros_like(plane)
    if entry.mask is not None:
        box.of(weight).add_(box.of(plane) * entry.strength)
    else:
        rows = _faded(box.height, box.top > 0, box.top + box.height < size[0], _FEATHER)
        columns = _faded(box.width, box.left > 0, box.left + box.width < size[1], _FEATHER)
        box.of(weight).add_((rows[:, None] * columns * entry.strength).to(x.device))
    return to_batch(weight, len(x)).view(-1, *(1,) * (x.ndim - 3), *size)


def fitted_mask(mask: torch.Tensor, size: Size) -> torch.Tensor:
    """A mask ``[N, H, W]`` at a latent's size."""
    if mask.shape[-2:] == size:
        return mask
    return interpolate(mask[:, None], size=size, mode="bilinear")[:, 0]


def tiles(size: Size, tile: Size, overlap: int) -> list[tuple[Box, torch.Tensor]]:
    """Overlapping boxes that cover a latent, each with its weights ``[h, w]``, feathered inside of it.

    Args:
        size: Of the latent.
        tile: Of a box; boxes are moved inside where they would reach over the edge.
        overlap: Latent pixels that neighbours share at least.
    """
    places: list[list[tuple[int, int]]] = []
    for side, length in zip(size, tile, strict=True):
        length = min(length, side)
        shared = min(overlap, length - 1)
        count = 1 if side <= length else -(-(side - shared) // (length - shared))
        room = side - length
        starts = [round(index * room / max(count - 1, 1)) for index in range(count)]
        places.append([(start, length) for start in dict.fromkeys(starts)])
    found: list[tuple[Box, torch.Tensor]] = []
    for top, height in places[0]:
        for left, width in places[1]:
            rows = _faded(height, top > 0, top + height < size[0], overlap)
            columns = _faded(width, left > 0, left + width < size[1], overlap)
            found.append((Box(top, left, height, width), rows[:, None] * columns))
    return found


def _faded(length: int, before: bool, behind: bool, over: int) -> torch.Tensor:
    """Ones that rise from the start, and fall to the end, over some places each."""
    plain = torch.ones(length)
    over = min(over, length)
    if over == 0:
        return plain
    slope = torch.arange(1, over + 1) / over
    if before:
        plain[:over] *= slope
    if behind:
        plain[length - over :] *= slope.flip(0)
    return plain


def cropped(entry: ConditioningEntry, box: Box, size: Size) -> ConditioningEntry:
    """What an entry tells of a box alone: pictures and masks that it carries are cropped with it."""
    if box.covers(size):
        return entry
    name = f"{box.top} {box.left} {box.height} {box.width} of {size[0]} {size[1]}"
    hints = {key: _cut(hint, box, size) if key == "concat" else hint for key, hint in entry.hints.items()}
    return replace(
        entry,
        # What is computed from the words alone is the same for every box, and kept by this name.
        digest=f"{entry.digest} {name}" if "concat" in hints else entry.digest,
        hints=hints,
        controls=tuple(_control(control, box, size, name) for control in entry.controls),
        images=tuple(_image(image, box, size, name) for image in entry.images),
    )


def _control(control: Control, box: Box, size: Size, name: str) -> Control:
    return replace(
        control,
        hint=_cut(control.hint, box, size),
        mask=None if control.mask is None else _cut(control.mask, box, size),
        digest=f"{control.digest} {name}",
    )


def _image(image: ImagePrompt, box: Box, size: Size, name: str) -> ImagePrompt:
    if image.mask is None:
        return image
    return replace(image, mask=_cut(image.mask, box, size), digest=f"{image.digest} {name}")


def _cut(picture: torch.Tensor, box: Box, size: Size) -> torch.Tensor:
    """The part of a picture of any size that lies under a box."""
    rows, columns = picture.shape[-2] / size[0], picture.shape[-1] / size[1]
    top, left = round(box.top * rows), round(box.left * columns)
    height, width = max(1, round(box.height * rows)), max(1, round(box.width * columns))
    return picture[..., top : top + height, left : left + width]


def to_batch(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Rows repeated, from the first on, until there are `count`; a single one is left to broadcasting."""
    if len(rows) in (1, count):
        return rows
    order: Sequence[int] = [index % len(rows) for index in range(count)]
    return rows[torch.tensor(order, device=rows.device)]
