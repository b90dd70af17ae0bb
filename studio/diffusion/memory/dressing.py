"""Bringing a network's weights into the state of an ordered tuple of patches, and back, exactly.

A patched weight is computed in float32 from the tensor it was loaded from and cast once, never from a
weight patched before: the same patches give the same bits whatever was worn in between, and none give
the weight as loaded. Only weights whose patches change are computed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from studio.diffusion.lora.changes import Change, LowRank
from studio.types import Patch

_LOOK_BYTES = 64 * 2**20
_CACHE_BYTES = 2**19
Check = Callable[[], None]


class WeightsPatch(Protocol):
    """A registered patch that changes weights.

    Attributes:
        kind: ``weights``; a patch of another kind is none of the store's business.
    """

    kind: Literal["weights"]

    def changes(self, patch: Patch, modules: Mapping[str, nn.Module], check: Check) -> Mapping[str, Change]:
        """Changes by name of the weight, ``network.layer.weight``.

        The parameter ``strength`` (1 where it is missing) is applied by the store and must not matter here.
        """
        ...


@dataclass(frozen=True)
class Piece:
    """A change that a weight wears.

    Attributes:
        name: Names the change: equal names are equal changes.
        change: What it does.
        strength: Factor of it.
    """

    name: str
    change: Change = field(compare=False)
    strength: float


@dataclass(eq=False)
class _Worn:
    """What the weights of one module wear.

    Attributes:
        pieces: By name of the weight within the module.
        originals: Weights as loaded that cannot be made again from their source: quantised ones.
    """

    pieces: dict[str, tuple[Piece, ...]] = field(default_factory=dict[str, "tuple[Piece, ...]"])
    originals: dict[str, nn.Parameter] = field(default_factory=dict[str, "nn.Parameter"])


class Wardrobe:
    """What the modules of a process wear. Belongs to the compute thread."""

    def __init__(self) -> None:
        self._worn: WeakKeyDictionary[nn.Module, _Worn] = WeakKeyDictionary()
        self._scratch = torch.empty(0)

    def wear(
        self,
        module: nn.Module,
        source: Mapping[str, torch.Tensor],
        wanted: Mapping[str, Sequence[Piece]],
        check: Check,
    ) -> int:
        """Bring a module's weights into a state; what it wears besides is taken off.

        Args:
            module: A network; its parameters are replaced, and never written to unless made here.
            source: Name of a weight → the tensor it was loaded from.
            wanted: Name of a weight → what it is to wear, in order.
            check: Called every 64 MB; may raise, which leaves every weight in the old or the new state.

        Returns:
            How many weights changed.
        """
        worn = self._worn.setdefault(module, _Worn())
        since, count = 0, 0
        # Computed outside of inference mode, so that a later run may write into the same memory.
        with torch.inference_mode(mode=False), torch.no_grad():
            for name in sorted(worn.pieces.keys() | wanted.keys()):
                pieces = tuple(piece for piece in wanted.get(name, ()) if piece.strength)
                if pieces == worn.pieces.get(name, ()):
                    continue
                since += self._change(module, name, source[name], pieces, worn)
                count += 1
                if since >= _LOOK_BYTES:
                    check()
                    since = 0
        return count

    def _change(
        self,
        module: nn.Module,
        name: str,
        source: torch.Tensor,
        pieces: tuple[Piece, ...],
        worn: _Worn,
    ) -> int:
        path, _, leaf = name.rpartition(".")
        layer = cast("Any", module.get_submodule(path))
        now: nn.Parameter = getattr(layer, leaf)
        is_ours = name in worn.pieces
        if not pieces:
            original = worn.originals.pop(name, None)
            if original is None:
                original = nn.Parameter(as_loaded(source, now), requires_grad=False)
            setattr(layer, leaf, original)
            worn.pieces.pop(name, None)
            return source.nbytes
        if is_quantised(now):
            worn.originals[name] = now
        if is_ours:
            self._compute(now.data, source, pieces)
        else:
            fresh = _room_for(source, now)
            self._compute(fresh, source, pieces)
            setattr(layer, leaf, nn.Parameter(fresh, requires_grad=False))
        worn.pieces[name] = pieces
        return source.nbytes

    def _compute(self, out: torch.Tensor, source: torch.Tensor, pieces: Sequence[Piece]) -> None:
        """The patched weight, into memory that is ours."""
        if all(isinstance(piece.change, LowRank) for piece in pieces) and not is_quantised(source):
            self._compute_by_rows(
                out, source, [(cast("LowRank", item.change), item.strength) for item in pieces]
            )
            return
        direct = out.dtype == torch.float32 and out.is_contiguous()
        weight = out if direct else self._room(out)
        weight.copy_(plain(source))
        changed = weight
        for piece in pieces:
            changed = piece.change.apply(changed, piece.strength)
        if changed.data_ptr() != out.data_ptr():
            out.copy_(changed)

    def _compute_by_rows(
        self, out: torch.Tensor, source: torch.Tensor, changes: Sequence[tuple[LowRank, float]]
    ) -> None:
        """The same, a few rows at a time: it waits for memory, and rows that stay in cache are read once."""
        rows, columns = len(out), out[0].numel()
        step = max(1, _CACHE_BYTES // (4 * columns)) if out.device.type == "cpu" else rows
        direct = out.dtype == torch.float32 and out.is_contiguous()
        factors = [(item.up.to(out.device), item.down.to(out.device), strength) for item, strength in changes]
        for begin in range(0, rows, step):
            part = slice(begin, begin + step)
            weight = out[part] if direct else self._room(out[part])
            weight.copy_(source[part])
            flat = weight.view(len(weight), columns)
            for up, down, strength in factors:
                flat.addmm_(up[part], down, alpha=strength)
            if not direct:
                out[part].copy_(weight)

    def _room(self, like: torch.Tensor) -> torch.Tensor:
        """Float32 memory of that shape, used again and again."""
        if self._scratch.numel() < like.numel() or self._scratch.device != like.device:
            self._scratch = torch.empty(like.numel(), device=like.device)
        return self._scratch[: like.numel()].view(like.shape)

    def wears(self, module: nn.Module) -> Mapping[str, tuple[Piece, ...]]:
        """What a module wears now, by weight."""
        worn = self._worn.get(module)
        return {} if worn is None else worn.pieces


def as_loaded(source: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The weight as `studio.diffusion.files.loading.give` makes it: the source itself where that fits."""
    last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.preserve_format
    return source.to(like.device, like.dtype, memory_format=layout)


def is_quantised(tensor: torch.Tensor) -> bool:
    """Whether it holds packed numbers, which only its own layer can read."""
    return hasattr(tensor, "quant_type") or not tensor.dtype.is_floating_point


def plain(source: torch.Tensor) -> torch.Tensor:
    """Its numbers, unpacked if need be."""
    if not is_quantised(source):
        return source
    utils: Any = importlib.import_module("diffusers.quantizers.gguf.utils")
    return utils.dequantize_gguf_tensor(source)


def _room_for(source: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """Memory for a patched weight: as the weight is now, or as computed where that is packed."""
    if not is_quantised(now):
        return torch.empty_like(now)
    unpacked = plain(source)
    dtype = torch.float32 if now.device.type == "cpu" else torch.bfloat16
    return torch.empty(unpacked.shape, dtype=dtype, device=now.device)
