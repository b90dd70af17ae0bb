"""The one place where weights live: loaded by recipe, shared by all, patched as the recipe asks."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cache import codec
from studio.diffusion.device import Place, choose
from studio.diffusion.predict import recipe_bytes
from studio.diffusion.residency import Held, Shelf, State
from studio.errors import NodeError
from studio.models.identity import combined

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion.api import Family
    from studio.diffusion.dressing import Piece, Wardrobe
    from studio.diffusion.lora.changes import Change
    from studio.types import Patch, Recipe

_SHARE = 0.6
_CHANGES_SHARE = 16


class WeightsStore:
    """Loaded networks. Made where torch may be imported later; used from the compute thread alone.

    Networks are shared whatever their patches: lending one brings its weights into the state that its
    recipe asks for, and only what differs is computed. Nothing is ever fetched from a network.

    Attributes:
        place: Device and number format.
        shelf: What is held, and where.
    """

    def __init__(
        self, device: str = "auto", *, budget_bytes: int | None = None, ram_bytes: int | None = None
    ) -> None:
        # Read when the libraries are first imported, which is later than this.
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["TRANSFORMERS_OFFLINE"] = "1"
        self.place: Place = choose(device)
        ram = int(_machine_bytes() * _SHARE) if ram_bytes is None else ram_bytes
        budget = _device_bytes(self.place, ram) if budget_bytes is None else budget_bytes
        self.shelf = Shelf(self.place.device, budget, ram)
        self._changes: dict[str, Mapping[str, Change]] = {}
        self._undo: dict[int, list[tuple[Patch, Any]]] = {}
        self._wardrobe: Wardrobe | None = None

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
            self.shelf.fetch(item)
            self.dress(network, tuple(patch for patch in state if patch.span == (0.0, 1.0)), ctx)
            yield network
        finally:
            if item.lent == 1:
                self._undo_runs(network, 0)
                self._undo.pop(id(network), None)
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
        self._wear(network, [(patch, found) for patch, found in known if _kind(found) == "weights"], ctx)
        self._run_with(network, [(patch, found) for patch, found in known if _kind(found) == "run"])

    def clear(self) -> None:
        """Let go of all weights."""
        self.shelf.drop_all()
        self._changes.clear()
        self._undo.clear()
        self._release()

    def _wear(self, network: Any, patches: list[tuple[Patch, Any]], ctx: Context) -> None:
        modules: Mapping[str, Any] = getattr(network, "modules", {})
        if not modules or (not patches and self._wardrobe is None):
            return  # torch need not be asked for what nobody ever patched
        from studio.diffusion.dressing import Piece, Wardrobe

        self._wardrobe = self._wardrobe or Wardrobe()
        wanted: dict[str, dict[str, list[Piece]]] = {name: {} for name in modules}
        for patch, target in patches:
            strength = patch.params.get("strength", 1.0)
            name, changes = self._changes_of(network, patch, target, ctx)
            for weight, change in changes.items():
                module, _, rest = weight.partition(".")
                piece = Piece(f"{name} {weight}", change, float(strength))  # pyright: ignore[reportArgumentType]
                wanted[module].setdefault(rest, []).append(piece)
        try:
            changed = sum(
                self._wardrobe.wear(module, network.source[name], wanted[name], ctx.check)
                for name, module in modules.items()
            )
        except BaseException:
            _void(network)
            raise
        if changed:
            _void(network)

    def _changes_of(
        self, network: Any, patch: Patch, target: Any, ctx: Context
    ) -> tuple[str, Mapping[str, Change]]:
        """What a patch changes, at any strength; kept, since it is small and strengths are played with."""
        params = {name: value for name, value in patch.params.items() if name != "strength"}
        item = self.shelf.of(network)
        whose = item.name if item is not None else id(network)
        bare = replace(patch, params=params, span=(0.0, 1.0))
        name = codec.digest([bare.key_part, whose])
        found = self._changes.pop(name, None)
        if found is None:
            found = target.changes(patch, network.modules, ctx.check)
            room = self.shelf.ram_bytes // _CHANGES_SHARE - _sum(found)
            while self._changes and sum(_sum(kept) for kept in self._changes.values()) > room:
                del self._changes[next(iter(self._changes))]
        self._changes[name] = found
        return name, found

    def _run_with(self, network: Any, patches: list[tuple[Patch, Any]]) -> None:
        """Apply run-patches in order; those at the front that are applied already stay."""
        applied = self._undo.setdefault(id(network), [])
        shared = 0
        while shared < min(len(applied), len(patches)) and applied[shared][0] == patches[shared][0]:
            shared += 1
        self._undo_runs(network, shared)
        for patch, target in patches[shared:]:
            applied.append((patch, target.apply(network, patch)))

    def _undo_runs(self, network: Any, keep: int) -> None:
        applied = self._undo.get(id(network), [])
        while len(applied) > keep:
            applied.pop()[1]()

    def _borrow(self, ctx: Context, recipe: Recipe, state: State) -> Held:
        bare = _bare(recipe)
        # Where a file lies is no part of what it is: the same weights elsewhere are shared.
        name = repr(bare.key_part)
        item = self.shelf.find(name, state)
        if item is None:
            item = self._load(ctx, recipe, name, state)
        self.shelf.touch(item)
        return item

    def _load(self, ctx: Context, recipe: Recipe, name: str, state: State) -> Held:
        self._prepare()
        family: Family = ctx.extension("family", recipe.family)
        _check_unchanged(family, recipe)
        self.shelf.make_room(recipe_bytes(recipe, self.place.dtype))
        self._release()
        loader = _Loader(self, ctx, state)
        try:
            network = family.load(replace(recipe, patches=()), loader)
        finally:
            for member in loader.members:
                member.pins -= 1
        item = Held(name, network, network.nbytes, tuple(loader.members), state)
        self.shelf.put(item)
        return item

    def member(self, ctx: Context, recipe: Recipe, state: State) -> Held:
        """A network that another is being put together of: not to be taken away before that is done."""
        item = self._borrow(ctx, recipe, state)
        item.pins += 1
        self.shelf.fetch(item)
        return item

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

    def __init__(self, store: WeightsStore, ctx: Context, state: State) -> None:
        self.place = store.place
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
    return _kind(ctx.extension("patch", patch.name)) in ("weights", "run")


def _void(network: Any) -> None:
    """Let a network forget what it computed from weights that have changed."""
    forget = getattr(network, "void", None)
    if forget is not None:
        forget()


def _kind(target: object) -> str:
    return str(getattr(target, "kind", ""))


def _sum(changes: Mapping[str, Change]) -> int:
    return sum(change.nbytes for change in changes.values())


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

    return int(torch.cuda.mem_get_info(place.device)[1] * _SHARE)


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
