"""Ways to run a network in little memory, from none to the slowest, and how each is put on and taken off.

Modes that only move weights leave the bits as they are. The others have names (`Mode.changes`), and what
is computed under them is not what is computed without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

_SLICE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Mode:
    """How a network runs.

    Attributes:
        sliced: Attention is computed in slices of heads; pictures of a batch one by one in a VAE.
        tiled: A VAE works tile by tile.
        streamed: Weights come to the device block by block.
        eight_bits: Weights are kept in eight bits and computed with in the usual format.
    """

    sliced: bool = False
    tiled: bool = False
    streamed: bool = False
    eight_bits: bool = False

    @property
    def changes(self) -> str:
        """Names what moves bits; empty where nothing does. Part of what names a result."""
        named = (("sliced", self.sliced), ("tiled", self.tiled), ("fp8", self.eight_bits))
        return "+".join(name for name, is_on in named if is_on)

    @property
    def sentence(self) -> str:
        """What it does, for the log and the person who waits."""
        named = (
            ("attention in slices", self.sliced and not self.tiled),
            ("pictures one by one", self.sliced and self.tiled),
            ("in tiles", self.tiled),
            ("weights brought block by block", self.streamed),
            ("weights in eight bits", self.eight_bits),
        )
        return ", ".join(words for words, is_on in named if is_on) or "whole"


PLAIN = Mode()
DENOISER = (
    PLAIN,
    Mode(sliced=True),
    Mode(streamed=True),
    Mode(sliced=True, streamed=True),
    Mode(sliced=True, streamed=True, eight_bits=True),
)
AUTOENCODER = (PLAIN, Mode(sliced=True), Mode(sliced=True, tiled=True))
OTHERS = (PLAIN, Mode(streamed=True))


def ladder(modules: Mapping[str, nn.Module]) -> tuple[Mode, ...]:
    """The modes of a network, the fastest first."""
    if modules.keys() & {"unet", "transformer"}:
        return DENOISER
    if any(hasattr(module, "enable_tiling") for module in modules.values()):
        return AUTOENCODER
    return OTHERS


def put_on(mode: Mode, module: nn.Module) -> Callable[[], None]:
    """Let a module run in slices or tiles as a mode says; call what is returned to undo it.

    How weights are held is no business of this function.
    """
    tiling: Any = module
    if hasattr(tiling, "enable_tiling"):
        if mode.tiled:
            tiling.enable_tiling()
        if mode.sliced:
            tiling.enable_slicing()

        def whole() -> None:
            tiling.disable_tiling()
            tiling.disable_slicing()

        return whole
    if not mode.sliced:
        return _nothing
    entered: list[Any] = []

    def enter(*_: object) -> None:
        entered.append(SlicedAttention())
        entered[-1].__enter__()

    def leave(*_: object) -> None:
        # The innermost was entered last; a call that was stopped before it began entered none.
        if entered:
            entered.pop().__exit__(None, None, None)

    hooks: list[Any] = [
        module.register_forward_pre_hook(enter),
        module.register_forward_hook(leave, always_call=True),
    ]

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


class SlicedAttention(TorchFunctionMode):
    """While entered, attention whose matrix would be large is computed for some rows and heads at a time."""

    def __init__(self, slice_bytes: int = _SLICE_BYTES) -> None:
        super().__init__()
        self._slice_bytes = slice_bytes

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out a function of torch, attention in slices."""
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        named = {**dict(zip(("query", "key", "value", "attn_mask"), args, strict=False)), **(kwargs or {})}
        query: torch.Tensor = named["query"]
        matrix = math.prod(query.shape[-2:-1]) * named["key"].shape[-2] * 4
        parts = query.shape[0] * query.shape[1] if query.ndim == 4 else 1
        if query.ndim != 4 or parts == 1 or parts * matrix <= self._slice_bytes:
            return func(*args, **(kwargs or {}))
        return self._sliced(func, named, max(1, self._slice_bytes // matrix))

    def _sliced(self, func: Any, named: dict[str, Any], heads: int) -> torch.Tensor:
        query, key, value = named.pop("query"), named.pop("key"), named.pop("value")
        mask: torch.Tensor | None = named.pop("attn_mask", None)
        if mask is not None:
            mask = mask.expand(*query.shape[:2], *mask.shape[-2:])
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        for row in range(query.shape[0]):
            for first in range(0, query.shape[1], heads):
                part = (slice(row, row + 1), slice(first, first + heads))
                chosen = None if mask is None else mask[part]
                out[part] = func(query[part], key[part], value[part], attn_mask=chosen, **named)
        return out


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory, or this process's, is used up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The processor's allocator and some libraries on the device have only words for it.
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said or "CUBLAS_STATUS_ALLOC_FAILED" in said
    )


def _nothing() -> None:
    """There is nothing to undo."""
