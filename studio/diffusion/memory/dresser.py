"""Patches on loaded networks: those of weights worn, those of the run applied, what they need kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studio.cache import codec

if TYPE_CHECKING:
    from studio.diffusion.lora.changes import Change
    from studio.diffusion.memory.dressing import Piece, Wardrobe
    from studio.types import Patch

Check = Callable[[], None]
Known = Sequence[tuple["Patch", Any]]


class Dresser:
    """Brings networks into the state of patches, as `dressing` describes. For the compute thread."""

    def __init__(self, kept_bytes: int) -> None:
        """Keep no more of what patches change than so many bytes, the longest unused first to go."""
        self._kept_bytes = kept_bytes
        self._changes: dict[str, Mapping[str, Change]] = {}
        self._undo: dict[int, list[tuple[Patch, Any]]] = {}
        self._wardrobe: Wardrobe | None = None

    def wear(self, network: Any, whose: str, patches: Known, check: Check) -> None:
        """Bring the weights of a network into the state of patches of the kind “weights”, in order.

        Args:
            network: With `modules` and `source`; one without is left as it is.
            whose: Names its weights as loaded: what a patch changes is kept under that name.
            patches: With what is registered for them.
            check: Called every 64 MB; may raise.
        """
        modules: Mapping[str, Any] = getattr(network, "modules", {})
        if not modules or (not patches and self._wardrobe is None):
            return  # torch need not be asked for what nobody ever patched
        from studio.diffusion.memory.dressing import Piece, Wardrobe

        self._wardrobe = self._wardrobe or Wardrobe()
        wanted: dict[str, dict[str, list[Piece]]] = {name: {} for name in modules}
        for patch, target in patches:
            strength = patch.params.get("strength", 1.0)
            name, changes = self._changes_of(network, whose, patch, target, check)
            for weight, change in changes.items():
                module, _, rest = weight.partition(".")
                piece = Piece(f"{name} {weight}", change, float(strength))  # pyright: ignore[reportArgumentType]
                wanted[module].setdefault(rest, []).append(piece)
        try:
            changed = sum(
                self._wardrobe.wear(module, network.source[name], wanted[name], check)
                for name, module in modules.items()
            )
        except BaseException:
            void(network)
            raise
        if changed:
            void(network)

    def _changes_of(
        self, network: Any, whose: str, patch: Patch, target: Any, check: Check
    ) -> tuple[str, Mapping[str, Change]]:
        """What a patch changes, at any strength; kept, since it is small and strengths are played with."""
        params = {name: value for name, value in patch.params.items() if name != "strength"}
        bare = replace(patch, params=params, span=(0.0, 1.0))
        name = codec.digest([bare.key_part, whose])
        found = self._changes.pop(name, None)
        if found is None:
            found = target.changes(patch, network.modules, check)
            room = self._kept_bytes - _sum(found)
            while self._changes and sum(_sum(kept) for kept in self._changes.values()) > room:
                del self._changes[next(iter(self._changes))]
        self._changes[name] = found
        return name, found

    def run_with(self, network: Any, patches: Known) -> None:
        """Apply run-patches in order; those at the front that are applied already stay."""
        applied = self._undo.setdefault(id(network), [])
        shared = 0
        while shared < min(len(applied), len(patches)) and applied[shared][0] == patches[shared][0]:
            shared += 1
        self._undo_to(network, shared)
        for patch, target in patches[shared:]:
            applied.append((patch, target.apply(network, patch)))

    def undo_runs(self, network: Any) -> None:
        """Undo all patches of the run."""
        self._undo_to(network, 0)
        self._undo.pop(id(network), None)

    def forget(self) -> None:
        """Let go of all that is kept."""
        self._changes.clear()
        self._undo.clear()

    def _undo_to(self, network: Any, keep: int) -> None:
        applied = self._undo.get(id(network), [])
        while len(applied) > keep:
            applied.pop()[1]()


def kind(target: object) -> str:
    """Kind of a registered patch: ``weights``, ``run``, or another that is not for weights stores."""
    return str(getattr(target, "kind", ""))


def void(network: Any) -> None:
    """Let a network forget what it computed from weights that have changed."""
    forget = getattr(network, "void", None)
    if forget is not None:
        forget()


def _sum(changes: Mapping[str, Change]) -> int:
    return sum(change.nbytes for change in changes.values())
