"""What control networks add to a UNet in one call: each is run once for all entries it acts with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.nn.functional import interpolate

from studio.diffusion.conditioning import name_of
from studio.errors import NodeError
from studio.models.control_header import title_of
from studio.types import ConditioningEntry, Control

if TYPE_CHECKING:
    from studio.diffusion.denoisers.unet import Batch

_KEPT = 8
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Residuals:
    """What one network adds, to the rows it was run for.

    Attributes:
        down: To what the down blocks hand across, ``[rows, C, h, w]`` each; empty where it adds inside.
        mid: To the middle; None where it adds nothing there.
        inside: To the down blocks themselves, as T2I-Adapters do.
    """

    down: tuple[torch.Tensor, ...] = ()
    mid: torch.Tensor | None = None
    inside: tuple[torch.Tensor, ...] = ()


class Kept:
    """What was made of the hints of the last few controls, so that steps need not make it again."""

    def __init__(self) -> None:
        self._made: dict[object, Any] = {}

    def of(self, name: object, make: Callable[[], Made]) -> Made:
        """What bears a name, made if it is not there."""
        if name not in self._made:
            while len(self._made) >= _KEPT:
                del self._made[next(iter(self._made))]
            self._made[name] = make()
        return self._made[name]


def residuals(networks: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    """Sum what the controls of all entries add, as arguments of `UNet2DConditionModel`.

    Args:
        networks: `name_of` a recipe → loaded control network.
        batch: The call that the UNet is given.

    Raises:
        NodeError: A network was made for another kind of model.
    """
    down: list[torch.Tensor] = []
    mid: list[torch.Tensor] = []
    inside: list[torch.Tensor] = []
    for control, entries in shared(batch.entries):
        network = networks[name_of(control.recipe)]
        part = _rows_of(batch, entries)
        check_width(network, part.tokens.shape[-1])
        hint = hint_for(control, network, batch)
        given = network.residuals(control, hint, part)
        rows = _numbers(entries, batch.count)
        middle = () if given.mid is None else (given.mid,)
        for sums, parts in ((down, given.down), (mid, middle), (inside, given.inside)):
            add(sums, _weighed(parts, control, batch.count), rows, len(batch.x))
    arguments: dict[str, Any] = {}
    if down:
        arguments["down_block_additional_residuals"] = tuple(down)
        arguments["mid_block_additional_residual"] = mid[0] if mid else None
    if inside:
        arguments["down_intrablock_additional_residuals"] = inside
    return arguments


def shared(entries: Sequence[ConditioningEntry]) -> Iterator[tuple[Control, list[int]]]:
    """Controls, each with the entries it acts with; one that an entry bears twice comes twice."""
    found: dict[tuple[str, int], tuple[Control, list[int]]] = {}
    for index, entry in enumerate(entries):
        seen: dict[str, int] = {}
        for control in entry.controls:
            turn = seen[control.digest] = seen.get(control.digest, -1) + 1
            found.setdefault((control.digest, turn), (control, []))[1].append(index)
    yield from found.values()


def check_width(network: Any, width: int) -> None:
    """Refuse a network that was made for another kind of model.

    Raises:
        NodeError: Its tokens are of another width.
    """
    if network.width and network.width != width:
        raise NodeError(
            f"The ControlNet was made for {title_of(network.width)}, the model is {title_of(width)}.",
            f"Choose a ControlNet for {title_of(width)}.",
            socket="positive",
        )


def hint_for(control: Control, network: Any, batch: Batch) -> torch.Tensor:
    """The picture at the size the network takes it, ``[count, 3, H, W]`` 0–1, kept from step to step."""
    height, width = (side * network.factor for side in batch.x.shape[-2:])

    def make() -> torch.Tensor:
        hint = fitted(control.hint, height, width).to(batch.x.device, batch.x.dtype)
        if len(hint) not in (1, batch.count):
            hint = hint[torch.arange(batch.count) % len(hint)]
        return hint.expand(batch.count, -1, -1, -1)

    return network.hints.of((control.digest, height, width, batch.count), make)


def fitted(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize ``[N, C, h, w]``, proportions kept: what does not fit is cut off, the same on both sides.

    Values below 0 mark pixels to repaint, and are not blended with those beside them.
    """
    if picture.shape[-2:] == (height, width):
        return picture
    factor = max(height / picture.shape[-2], width / picture.shape[-1])
    rows, columns = (max(1, round(side * factor)) for side in picture.shape[-2:])
    rows, columns = max(rows, height), max(columns, width)
    if bool((picture < 0).any()):
        enlarged = interpolate(picture, size=(rows, columns), mode="nearest-exact")
    else:
        enlarged = interpolate(picture, size=(rows, columns), mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (rows - height) // 2, (columns - width) // 2
    return enlarged[..., top : top + height, left : left + width]


def _rows_of(batch: Batch, entries: Sequence[int]) -> Batch:
    """The part of a call that belongs to some entries."""
    if len(entries) == len(batch.entries):
        return batch
    rows = _numbers(entries, batch.count).to(batch.x.device)
    return replace(
        batch,
        entries=[batch.entries[index] for index in entries],
        x=batch.x[rows],
        tokens=batch.tokens[rows],
        added={name: values[rows] for name, values in batch.added.items()},
    )


def _numbers(entries: Sequence[int], count: int) -> torch.Tensor:
    return (torch.tensor(entries)[:, None] * count + torch.arange(count)).flatten()


def _weighed(parts: Iterable[torch.Tensor], control: Control, count: int) -> list[torch.Tensor]:
    """Times strength and mask, which is fitted to each part; its rows lie entry by entry, `count` each."""
    weighed: list[torch.Tensor] = []
    for part in parts:
        made = part if control.strength == 1 else part * control.strength
        if control.mask is not None:
            mask = interpolate(control.mask[:, None], size=part.shape[-2:], mode="area")
            mask = mask[torch.arange(len(part)) % count % len(mask)]
            made = made * mask.to(made)
        weighed.append(made)
    return weighed


def add(
    sums: list[torch.Tensor], parts: Sequence[torch.Tensor], rows: torch.Tensor, rows_in_all: int
) -> None:
    """Add tensors to sums of one row for each of the call; `parts` have one for each of `rows`."""
    for index, given in enumerate(parts):
        part = given
        if len(rows) < rows_in_all:
            empty = given.new_zeros((rows_in_all, *given.shape[1:]))
            part = empty.index_copy(0, rows.to(given.device), given)
        if index < len(sums):
            sums[index] = sums[index] + part
        else:
            sums.append(part)
