"""The one place where weights live: loaded by recipe, shared by all who ask for the same one."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.diffusion.device import Place, choose
from studio.errors import NodeError
from studio.models.identity import combined

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Family
    from studio.types import Recipe

_SHARE = 0.6


class WeightsStore:
    """Loaded networks, least recently used first to go. Made where torch may be imported later; used
    from the compute thread alone.

    Nothing is ever fetched from a network.

    Attributes:
        place: Device and number format.
        budget_bytes: How much weights may take before the longest unused are dropped.
    """

    def __init__(self, device: str = "auto", *, budget_bytes: int | None = None) -> None:
        # Read when the libraries are first imported, which is later than this.
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["TRANSFORMERS_OFFLINE"] = "1"
        self.place: Place = choose(device)
        self.budget_bytes = budget_bytes if budget_bytes is not None else _budget_bytes(self.place)
        self._held: dict[str, Any] = {}  # the least recently used first
        self._sizes: dict[str, int] = {}
        self._ready = False

    def numerics(self) -> str:
        """What enters the keys of nodes that use weights."""
        return self.place.numerics

    @property
    def held_bytes(self) -> int:
        """Bytes that loaded weights take."""
        return sum(self._sizes.values())

    @property
    def held(self) -> tuple[Any, ...]:
        """The networks that are loaded now, the one used last first; for looking at, from any thread."""
        return tuple(self._held.values())[::-1]

    @contextmanager
    def use(self, ctx: Context, recipe: Recipe) -> Generator[Any]:
        """Lend the network of a recipe, loaded if need be; while lent, it stops when `ctx` is cancelled.

        Raises:
            NodeError: Its file has gone or changed, or does not fit.
            Cancelled: While loading.
        """
        network = self._get(ctx, recipe)
        network.check = ctx.check
        try:
            yield network
        finally:
            network.check = _never

    def clear(self) -> None:
        """Let go of all weights."""
        self._held.clear()
        self._sizes.clear()
        self._release()

    def _get(self, ctx: Context, recipe: Recipe) -> Any:
        # Where a file lies is no part of what it is: the same weights elsewhere are shared.
        name = repr(replace(recipe, path=""))
        if name in self._held:
            self._held[name] = self._held.pop(name)
            return self._held[name]
        self._prepare()
        expected = _bytes_of(recipe)
        while self._held and self.held_bytes + expected > self.budget_bytes:
            oldest = next(iter(self._held))
            del self._held[oldest], self._sizes[oldest]
            self._release()
        family: Family = ctx.extension("family", recipe.family)
        _check_unchanged(family, recipe)
        network: Any = family.load(recipe, _Loader(self, ctx))
        for patch in recipe.patches:
            ctx.extension("patch", patch.name).apply(network, patch)
        self._held[name] = network
        self._sizes[name] = network.nbytes
        return network

    def _prepare(self) -> None:
        """Choose, once, what makes equal runs give equal bits."""
        if self._ready:
            return
        self._ready = True
        import torch

        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True

    def _release(self) -> None:
        if self.place.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


class _Loader:
    """What families build with; see `studio.diffusion.api.Loader`."""

    def __init__(self, store: WeightsStore, ctx: Context) -> None:
        self.place = store.place
        self._store = store
        self._ctx = ctx

    def check(self) -> None:
        """Stop here if the run was cancelled."""
        self._ctx.check()

    def get(self, recipe: Recipe) -> Any:
        """Another network, held by the same store."""
        return self._store._get(self._ctx, recipe)  # pyright: ignore[reportPrivateUsage]


def _never() -> None:
    """Nobody waits for a network that is not lent."""


def _check_unchanged(family: Family, recipe: Recipe) -> None:
    """See that what lies there is still what the recipe, and every key made of it, stands for."""
    if not recipe.path:
        return  # a family that needs no file: its recipe is all there is
    place = Path(recipe.path)
    parts = family.recognise(place)
    if parts is None or combined(place, parts[recipe.part]) != recipe.identity:
        raise NodeError(
            f"The model at {place} has gone, or is another than when this run began.",
            "Run again, or choose where the model is now.",
        )


def _bytes_of(recipe: Recipe) -> int:
    """Bytes the weights take in their files; known before they are read."""
    place = Path(recipe.path)
    folder = place / recipe.part
    files = folder.glob("*.safetensors") if folder.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.exists())


def _budget_bytes(place: Place) -> int:
    if place.device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(place.device)[1] * _SHARE)
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE)
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
