"""The one place where weights live: loaded by recipe, shared by all, patched as the recipe asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from studio.diffusion.device import Place, choose
from studio.diffusion.memory.dresser import Dresser, kind, void
from studio.diffusion.memory.predict import recipe_bytes
from studio.diffusion.memory.residency import Held, Shelf, State
from studio.errors import NodeError
from studio.models.identity import combined

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Family
    from studio.types import Patch, Recipe

_SHARE = 0.6
_DEVICE_SHARE = 0.94
T = TypeVar("T")
_CHANGES_SHARE = 16


class WeightsStore:
    """Loaded networks. Made where torch may be imported later; used from the compute thread alone.

    Networks are shared whatever their patches: lending one brings its weights into the state that its
    recipe asks for, and only what differs is computed. Nothing is ever fetched from a network.

    Attributes:
        place: Device and number format.
        shelf: What is held, and where.

    Args:
        device: A name that `studio.diffusion.device.choose` takes.
        budget_bytes: What weights and calls may take on the device; None for a share of what it has.
        ram_bytes: What weights beside the device may take; None for a share of the machine's memory.
        is_tight: Networks run in modes for little memory where the budget asks for it; None does so
            everywhere but on a processor, whose memory is large and mapped.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        budget_bytes: int | None = None,
        ram_bytes: int | None = None,
        is_tight: bool | None = None,
    ) -> None:
        # Read when the libraries are first imported, which is later than this.
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["TRANSFORMERS_OFFLINE"] = "1"
        self.place: Place = choose(device)
        ram = int(_machine_bytes() * _SHARE) if ram_bytes is None else ram_bytes
        budget = _device_bytes(self.place, ram) if budget_bytes is None else budget_bytes
        self.shelf = Shelf(self.place.device, budget, ram)
        self._is_tight = self.place.device != "cpu" if is_tight is None else is_tight
        self._dresser = Dresser(ram // _CHANGES_SHARE)

    def numerics(self) -> str:
        """What enters the keys of nodes that use weights."""
        return self.place.numerics

    @property
    def held_bytes(self) -> int:
        """Bytes that loaded weights take."""
        return self.shelf.used_bytes + self.shelf.parked_bytes

    @property
    def held(self) -> tuple[Any, ...]:
        """The networks that are loaded now, the one used last first; for looking at, from any thread."""
        return tuple(item.network for item in self.shelf.items)

    @contextmanager
    def use(self, ctx: Context, recipe: Recipe) -> Generator[Any]:
        """Lend the network of a recipe, loaded if need be; while lent, it stops when `ctx` is cancelled.

        Several may be lent at once; what is lent is never taken away. Patches that act over the whole
        trajectory are worn from the start, the others when `dress` is asked for them.

        Raises:
            NodeError: Its file or a patch's has gone or changed, or does not fit.
            Cancelled: While loading.
        """
        state = tuple(item for item in _patches(recipe) if _acts_here(ctx, item))
        item = self._borrow(ctx, recipe, state)
        network = item.network
        try:
            for lent in item.all():
                lent.lent += 1
                lent.state = state
                lent.network.check = ctx.check
            self._fit(item, None)
            self.dress(network, tuple(patch for patch in state if patch.span == (0.0, 1.0)), ctx)
            yield network
        finally:
            if item.lent == 1:
                self._dresser.undo_runs(network)
            for lent in item.all():
                lent.lent -= 1
                if not lent.lent:
                    lent.network.check = _never

    def dress(self, network: Any, patches: State, ctx: Context) -> None:
        """Bring a lent network into the state of an ordered tuple of patches, exactly and no other.

        Args:
            network: As lent.
            patches: All that act now, whatever their spans say; of kinds that are not the store's, none.
            ctx: Whose extensions know them.

        Raises:
            NodeError: A patch's file has gone or changed, or does not fit.
            Cancelled: Between weights; each is in the old state or in the new.
        """
        known = [(patch, ctx.extension("patch", patch.name)) for patch in patches]
        item = self.shelf.of(network)
        whose = item.name if item is not None else str(id(network))
        worn = [(patch, found) for patch, found in known if kind(found) == "weights"]
        self._dresser.wear(network, whose, worn, ctx.check)
        self._dresser.run_with(network, [(patch, found) for patch, found in known if kind(found) == "run"])

    def fit(self, network: Any, shape: tuple[int, ...]) -> None:
        """Choose how a lent network runs, now that it is known what it will be given.

        Args:
            network: As lent.
            shape: Of the latent, rows for all conditionings together, ``[rows, C, H, W]``.
        """
        item = self.shelf.of(network)
        if item is not None:
            self._fit(item, shape)

    def changes(self, network: Any) -> str:
        """Names what, in the way a network runs now, moves the bits of what it gives; empty if nothing."""
        item = self.shelf.of(network)
        modes = [part.mode.changes for part in item.all() if part.mode is not None] if item else []
        return "+".join(sorted({change for change in modes if change}))

    def step_down(self, network: Any) -> bool:
        """Make room for a lent network after memory was used up; False if nothing is left to give up."""
        item = self.shelf.of(network)
        if item is None:
            return False
        from studio.diffusion.memory.fitting import Fitting

        found = Fitting(self.shelf, self.place, moves=self._is_tight).step_down(item)
        void(network)
        self._release()
        return found

    def stepping_down(self, network: Any, work: Callable[[], T]) -> T:
        """Carry something out with a lent network, in slower modes while memory does not suffice.

        Args:
            network: As lent.
            work: Goes on from the last step that was kept, each time it is called.

        Raises:
            Exception: What `work` raises; that memory is used up only when nothing is left to give up.
        """
        from studio.diffusion.memory.fitting import stepping_down

        return stepping_down(lambda: self.step_down(network), work)

    def clear(self) -> None:
        """Let go of all weights."""
        self.shelf.drop_all()
        self._dresser.forget()
        self._release()

    def _borrow(self, ctx: Context, recipe: Recipe, state: State) -> Held:
        bare = _bare(recipe)
        # Where a file lies is no part of what it is: the same weights elsewhere are shared.
        name = repr(bare.key_part)
        item = self.shelf.find(name, state)
        if item is not None and not item.lent and any(part.is_coarse for part in item.all()):
            # What lost bits for a run that was large begins anew; where memory was used up, it stays.
            self.shelf.drop(item)
            item = None
        if item is None:
            item = self._load(ctx, recipe, name, state)
        self.shelf.touch(item)
        return item

    def _load(self, ctx: Context, recipe: Recipe, name: str, state: State) -> Held:
        self._prepare()
        family: Family = ctx.extension("family", recipe.family)
        _check_unchanged(family, recipe)
        fits = self.shelf.make_room(recipe_bytes(recipe, self.place.dtype))
        self._release()
        # What does not fit whole is loaded beside the device, and `Fitting` brings what it can.
        loader = _Loader(self, ctx, state, self.place if fits else replace(self.place, device="cpu"))
        try:
            network = family.load(replace(recipe, patches=()), loader)
        finally:
            for member in loader.members:
                member.pins -= 1
        here = network.nbytes if loader.place.device == self.place.device else 0
        item = Held(name, network, network.nbytes, tuple(loader.members), state, here_bytes=here)
        if not here and hasattr(network, "device"):
            import torch

            network.device = torch.device(self.place.device)
        self.shelf.put(item)
        return item

    def member(self, ctx: Context, recipe: Recipe, state: State) -> Held:
        """A network that another is being put together of: not to be taken away before that is done."""
        item = self._borrow(ctx, recipe, state)
        item.pins += 1
        return item

    def _fit(self, item: Held, shape: tuple[int, ...] | None) -> None:
        if not self._is_tight:
            for part in item.all():
                self.shelf.fetch(part)
            return
        from studio.diffusion.memory.fitting import Fitting

        Fitting(self.shelf, self.place).fit(item, shape)

    def _prepare(self) -> None:
        """Choose what makes equal runs give equal bits."""
        import torch

        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True

    def _release(self) -> None:
        if self.place.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


class _Loader:
    """What families build with; see `studio.diffusion.api.Loader`."""

    def __init__(self, store: WeightsStore, ctx: Context, state: State, place: Place) -> None:
        self.place = place
        self.members: list[Held] = []
        self._store, self._ctx, self._state = store, ctx, state

    def check(self) -> None:
        """Stop here if the run was cancelled."""
        self._ctx.check()

    def get(self, recipe: Recipe) -> Any:
        """Another network, held by the same store."""
        item = self._store.member(self._ctx, recipe, self._state)
        self.members.append(item)
        return item.network


def _patches(recipe: Recipe) -> State:
    """Patches of a recipe; those of its members first."""
    inner = [patch for member in recipe.members for patch in _patches(member)]
    return (*inner, *recipe.patches)


def _bare(recipe: Recipe) -> Recipe:
    return replace(recipe, path="", patches=(), members=tuple(_bare(member) for member in recipe.members))


def _acts_here(ctx: Context, patch: Patch) -> bool:
    return kind(ctx.extension("patch", patch.name)) in ("weights", "run")


def _never() -> None:
    """Nobody waits for a network that is not lent."""


def _check_unchanged(family: Family, recipe: Recipe) -> None:
    """See that what lies there is still what the recipe, and every key made of it, stands for."""
    if not recipe.path:
        return  # a family that needs no file: its recipe is all there is
    place = Path(recipe.path)
    parts = family.recognise(place)
    if parts is None or recipe.part not in parts or combined(place, parts[recipe.part]) != recipe.identity:
        raise NodeError(
            f"The model at {place} has gone, or is another than when this run began.",
            "Run again, or choose where the model is now.",
        )


def _device_bytes(place: Place, ram: int) -> int:
    if not place.device.startswith("cuda"):
        return ram
    import torch

    free, total = torch.cuda.mem_get_info(place.device)
    # What another store of this process let go of is free to torch, though the driver does not know.
    free += torch.cuda.memory_reserved(place.device)
    limit = torch.cuda.get_per_process_memory_fraction(place.device) * total
    return int(min(free, limit) * _DEVICE_SHARE)


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
