"""Choosing how a network runs, so that it fits: by prediction before, by what happens meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import nn

from studio.diffusion.memory import streaming, tracing
from studio.diffusion.memory.modes import PLAIN, Mode, is_out_of_memory, ladder, put_on

if TYPE_CHECKING:
    from studio.diffusion.device import Place
    from studio.diffusion.memory.residency import Held, Shelf

T = TypeVar("T")
Shape = tuple[int, ...]
_TILE_PX = 512
_OVERHEAD_BYTES = 64 * 2**20
# For a pixel of a latent: half as much again as the hungriest, a VAE in 16 bits, takes for one.
_AMPLE_BYTES = 160 * 2**10
_log = logging.getLogger(__name__)


class Fitting:
    """Puts lent networks into the fastest mode that is predicted to fit. Belongs to the compute thread."""

    def __init__(self, shelf: Shelf, place: Place, *, moves: bool = True) -> None:
        """Choose among all modes, or, where weights lie in the device's memory anyway, those that stay."""
        self._shelf, self._place, self._moves = shelf, place, moves

    def fit(self, item: Held, shape: Shape | None = None) -> None:
        """Choose the mode of a lent network, and bring there what of it belongs on the device.

        Args:
            item: Lent.
            shape: Of the latent it will be given, ``[rows, C, H, W]``; None where that is not known yet:
                then nothing is chosen that moves bits.
        """
        for part in item.all():
            modules: Mapping[str, nn.Module] = getattr(part.network, "modules", {})
            if not part.nbytes:
                continue
            if not modules:
                self._shelf.fetch(part)
                continue
            if self._is_ample(part, shape):
                part.working_bytes = 0
                self._put_on(part, PLAIN, modules, 0)
                continue
            room = self._shelf.room_for(part)
            mode = self._chosen(part, self._rungs(modules), shape, room)
            part.working_bytes = self.working_bytes(part, mode, shape)
            self._put_on(part, mode, modules, room - part.working_bytes)
            self._shelf.make_room(self._shelf.call_bytes, keep=part)

    def step_down(self, item: Held) -> bool:
        """Make room after memory was used up: what is not lent goes first, then modes get slower.

        Returns:
            False if there is nothing left to give up.
        """
        if self._shelf.clear_device():
            return True
        for part in item.all():
            modules: Mapping[str, nn.Module] = getattr(part.network, "modules", {})
            rungs = self._rungs(modules) if part.nbytes and modules else ()
            now = rungs.index(part.mode) if part.mode in rungs else 0
            if now + 1 < len(rungs):
                part.rung = now + 1
                mode = rungs[part.rung]
                _log.info("memory did not suffice: %s goes on with %s", ", ".join(modules), mode.sentence)
                # What is left is not known, or it would have been foreseen: as little as can be.
                self._put_on(part, mode, modules, 0)
                return True
        return False

    def working_bytes(self, part: Held, mode: Mode, shape: Shape | None) -> int:
        """What a call is predicted to take beside weights; 0 where its size is not known."""
        if shape is None:
            return 0
        modules: Mapping[str, nn.Module] = part.network.modules
        tile = _TILE_PX // int(getattr(part.network, "downscale", 8))
        if mode.tiled:
            shape = (1, *shape[1:-2], min(shape[-2], tile), min(shape[-1], tile))
        elif mode.sliced and any(hasattr(module, "enable_tiling") for module in modules.values()):
            shape = (1, *shape[1:])
        # Elsewhere attention is one operation that never holds its matrix.
        whole = self._place.device == "mps"
        slices = (8 if mode.sliced else 1) if whole else 0
        found = max(tracing.working_bytes(module, shape, slices=slices) for module in modules.values())
        return found + _OVERHEAD_BYTES if found else 0

    def predicted_bytes(self, part: Held, mode: Mode, shape: Shape) -> int:
        """What a network is predicted to take on the device, weights and a call together."""
        return self._need(part, mode, shape)

    def _is_ample(self, part: Held, shape: Shape | None) -> bool:
        """Whether there is so much room that nothing need be predicted, and nothing taken away."""
        if part.rung or shape is None or (part.mode is not None and part.mode.eight_bits):
            return False
        more = part.nbytes - part.here_bytes + self._shelf.call_bytes
        call = _AMPLE_BYTES * shape[0] * shape[-2] * shape[-1]
        return self._shelf.used_bytes + more + call <= self._shelf.device_bytes

    def _chosen(self, part: Held, rungs: tuple[Mode, ...], shape: Shape | None, room: int) -> Mode:
        """The first mode that is predicted to fit; if none is, the first of those that need the least."""
        if part.mode is not None and part.mode.eight_bits:
            # What was lost in eight bits is not found again.
            return part.mode
        allowed = rungs[part.rung :]
        if shape is None:
            allowed = tuple(mode for mode in allowed if not mode.changes) or allowed[:1]
        needs = {mode: self._need(part, mode, shape) for mode in allowed}
        fits = (mode for mode in allowed if needs[mode] <= room and self._fits_beside(part, mode))
        return next(fits, min(allowed, key=lambda mode: needs[mode]))

    def _rungs(self, modules: Mapping[str, nn.Module]) -> tuple[Mode, ...]:
        return tuple(mode for mode in ladder(modules) if self._moves or not mode.streamed)

    def _need(self, part: Held, mode: Mode, shape: Shape | None) -> int:
        weights = part.nbytes
        if mode.streamed:
            dtype = self._dtype()
            weights = sum(streaming.least_bytes(module, dtype) for module in part.network.modules.values())
        return weights + self.working_bytes(part, mode, shape)

    def _fits_beside(self, part: Held, mode: Mode) -> bool:
        """Whether RAM has room for what comes and goes: eight bits are for where it has none."""
        kept = part.nbytes // self._dtype().itemsize if mode.eight_bits else part.nbytes
        return not mode.streamed or kept <= self._shelf.ram_bytes

    def _put_on(self, part: Held, mode: Mode, modules: Mapping[str, nn.Module], room: int) -> None:
        if mode == part.mode and (not mode.streamed or part.here_bytes <= room):
            return
        part.take_off()
        if mode.eight_bits:
            for module in modules.values():
                streaming.eight_bits(module)
            part.nbytes = sum(_nbytes(module) for module in modules.values())
        if not mode.streamed:
            self._shelf.fetch(part)
        else:
            self._stream(part, modules, room)
        part.undo += [put_on(mode, module) for module in modules.values()]
        part.mode = mode

    def _stream(self, part: Held, modules: Mapping[str, nn.Module], room: int) -> None:
        for module in modules.values():
            # What stays is chosen anew: from RAM, where all of it can lie.
            module.to("cpu")
        part.here_bytes = 0
        largest = sum(streaming.least_bytes(module, self._dtype()) for module in modules.values())
        self._shelf.make_room(min(part.nbytes, max(room, largest)), keep=part)
        for module in modules.values():
            stream = streaming.Stream(
                module,
                self._place.device,
                max(0, room) // len(modules),
                self._dtype(),
                copies=self._place.device == "cpu",
            )
            part.here_bytes += stream.resident_bytes + stream.passing_bytes
            part.undo.append(stream.release)
        # Blocks that pass through are at home, too: never is all of it here.
        part.here_bytes = min(part.here_bytes, part.nbytes - 1)

    def _dtype(self) -> torch.dtype:
        return getattr(torch, self._place.dtype)


def stepping_down(step_down: Callable[[], bool], work: Callable[[], T]) -> T:
    """Carry something out, again and again with less memory while memory does not suffice.

    Args:
        step_down: Gives up something; False if nothing is left to give up.
        work: Goes on from the last step that was kept, each time it is called.

    Raises:
        Exception: What `work` raises; that memory is used up only when nothing is left to give up.
    """
    while True:
        failed = None
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Its frames hold the tensors that must go first.
            failed = error.with_traceback(None)
        if not step_down():
            raise failed


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in cast("Any", module).state_dict().values())
