"""A network whose weights do not fit on the device: blocks are brought there for their own call alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

_FINEST = 32
_EIGHT_BITS = torch.float8_e4m3fn


@dataclass(eq=False)
class _Block:
    """A module that comes and goes as one.

    Attributes:
        module: It.
        here: Bytes of it that were brought and are on the device now.
        away: Its weights at home, while others stand in for them: layer, name, weight.
    """

    module: nn.Module
    here: int = 0
    away: list[tuple[nn.Module, str, nn.Parameter]] = field(
        default_factory=list["tuple[nn.Module, str, nn.Parameter]"]
    )


class Stream:
    """Holds what fits of a module on a device, and brings the rest there block by block.

    Between calls all weights that come and go are at home, where patches find them. Bits are those of a
    module held whole.

    Attributes:
        resident_bytes: What stays on the device.
        passing_bytes: The largest block that comes and goes.
        peak_bytes: Most that lay there at once since it was made.
    """

    def __init__(
        self, module: nn.Module, device: str, room_bytes: int, dtype: torch.dtype, *, copies: bool = False
    ) -> None:
        """Take a module into care; see `release`.

        Args:
            module: Its weights lie anywhere.
            device: Where it computes.
            room_bytes: What of it may lie there at once.
            dtype: In which it computes; weights kept in eight bits are turned into it on their way.
            copies: Bring copies even where the device is where the weights are: for trying it out.
        """
        self._module, self._device, self._dtype = module, torch.device(device), dtype
        self._copies = copies
        self._here = 0
        blocks = list(blocks_of(module))
        grown = {id(block): _grown(block, dtype) for block in blocks}
        # The first block stays: networks ask their first weight where they are.
        largest = max((grown[id(block)] for block in blocks[1:]), default=0)
        self.resident_bytes = self._fix_rest(blocks)
        self.passing_bytes = 0
        self._blocks: list[_Block] = []
        for index, block in enumerate(blocks):
            size, needs = _nbytes(block), grown[id(block)] - _nbytes(block)
            if index == 0 or self.resident_bytes + size + needs + largest <= room_bytes:
                block.to(self._device)
                self.resident_bytes += size
                if not needs:
                    continue
            self._blocks.append(_Block(block))
            self.passing_bytes = max(self.passing_bytes, grown[id(block)])
        self.peak_bytes = self.resident_bytes
        self._hooks: list[Any] = []
        for block in self._blocks:
            self._hooks.append(block.module.register_forward_pre_hook(self._bring(block)))
            self._hooks.append(block.module.register_forward_hook(self._return(block), always_call=True))

    @property
    def blocks(self) -> int:
        """How many blocks come and go."""
        return len(self._blocks)

    def release(self) -> None:
        """Leave all weights at home, and calls as they were."""
        for hook in self._hooks:
            hook.remove()
        for block in self._blocks:
            self._send_home(block)

    def _fix_rest(self, blocks: list[nn.Module]) -> int:
        """Bring weights and tables that belong to no block to the device for good."""
        count = 0
        passing = {id(tensor) for block in blocks for tensor in cast("Any", block).parameters()}
        for layer in _outside(self._module, {id(block) for block in blocks}):
            for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
                if id(tensor) in passing:
                    continue
                moved = tensor.to(self._device)
                count += moved.nbytes
                if isinstance(tensor, nn.Parameter):
                    setattr(layer, name, nn.Parameter(moved, requires_grad=False))
                else:
                    setattr(layer, name, moved)
        return count

    def _bring(self, block: _Block) -> Any:
        def bring(*_: object) -> None:
            if block.away:
                return
            before = self._here
            with torch.inference_mode(mode=False), torch.no_grad():
                for layer in block.module.modules():
                    for name, home in list(layer.named_parameters(recurse=False)):
                        there = self._there(home)
                        if there is home:
                            continue
                        block.away.append((layer, name, home))
                        # A packed weight stays of its own kind, which its layer knows it by.
                        is_weight = isinstance(there, nn.Parameter)
                        setattr(layer, name, there if is_weight else nn.Parameter(there, requires_grad=False))
                        self._here += there.nbytes
                for layer in block.module.modules():
                    for name, table in list(layer.named_buffers(recurse=False)):
                        if table.device != self._device:
                            setattr(layer, name, table.to(self._device))
            self.peak_bytes = max(self.peak_bytes, self.resident_bytes + self._here)
            block.here = self._here - before

        return bring

    def _there(self, home: nn.Parameter) -> torch.Tensor:
        dtype = self._dtype if home.dtype == _EIGHT_BITS else home.dtype
        if home.device == self._device and dtype == home.dtype and not self._copies:
            return home
        return home.detach().to(self._device, dtype, copy=True)

    def _return(self, block: _Block) -> Any:
        def back(*_: object) -> None:
            self._send_home(block)

        return back

    def _send_home(self, block: _Block) -> None:
        self._here -= block.here
        block.here = 0
        for layer, name, home in block.away:
            setattr(layer, name, home)
        block.away.clear()


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """Modules that hold a small part of the weights each, and nearly all of them between them, in order."""
    layers = [layer for layer in cast("Any", module).modules() if not list(layer.children())]
    finest = max(_nbytes(module) // _FINEST, max((_nbytes(layer) for layer in layers), default=0))
    yield from _split(module, finest, set())


def least_bytes(module: nn.Module, dtype: torch.dtype) -> int:
    """The least that a module can do with on a device when its blocks come and go; see `Stream`."""
    blocks = list(blocks_of(module))
    tables = sum(table.nbytes for table in cast("Any", module).buffers())
    rest = _nbytes(module) - sum(_nbytes(block) for block in blocks) + tables
    first = _nbytes(blocks[0]) if blocks else 0
    return rest + first + max((_grown(block, dtype) for block in blocks[1:]), default=0)


def _split(module: nn.Module, finest: int, seen: set[int]) -> Iterator[nn.Module]:
    for child in module.children():
        # Weights that two modules share come and go with the first.
        own = {id(tensor) for tensor in cast("Any", child).parameters()} - seen
        # A list is never called, and so could not be brought.
        is_called = not isinstance(child, (nn.ModuleList, nn.ModuleDict))
        if own and is_called and _nbytes(child) <= finest:
            seen |= own
            yield child
        elif own:
            yield from _split(child, finest, seen)


def _outside(module: nn.Module, blocks: set[int]) -> Iterator[nn.Module]:
    """Modules that are in no block."""
    yield module
    for child in module.children():
        if id(child) not in blocks:
            yield from _outside(child, blocks)


def eight_bits(module: nn.Module) -> None:
    """Keep the weights of linear layers and convolutions in eight bits (e4m3).

    What is lost stays lost until the module is loaded again. Biases, norms and embeddings stay as they are.
    """
    with torch.inference_mode(mode=False), torch.no_grad():
        for layer in cast("Any", module).modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer.weight.dtype.is_floating_point:
                limit = torch.finfo(_EIGHT_BITS).max
                small = layer.weight.detach().clamp(-limit, limit).to(_EIGHT_BITS)
                layer.weight = nn.Parameter(small, requires_grad=False)


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in cast("Any", module).parameters())


def _grown(module: nn.Module, dtype: torch.dtype) -> int:
    """Bytes of a block while it computes."""
    return sum(
        tensor.numel() * dtype.itemsize if tensor.dtype == _EIGHT_BITS else tensor.nbytes
        for tensor in cast("Any", module).parameters()
    )
