"""Where loaded networks lie: on the device, beside it in RAM, or nowhere, within budgets of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studio.types import Patch

if TYPE_CHECKING:
    from studio.diffusion.memory.modes import Mode

State = tuple[Patch, ...]


@dataclass(eq=False)
class Held:
    """A loaded network.

    Attributes:
        name: Of its recipe without patches; several may have the same.
        network: What its family built.
        nbytes: Its weights; those of its members are counted there.
        members: Networks it is put together of.
        state: Patches under which it is lent.
        lent: How often it is lent now; members are lent with it.
        pins: Reasons to keep it though it is not lent: what is being built of it.
        here_bytes: What of its weights lies on the device; the rest lies beside it in RAM.
        working_bytes: What a call is expected to take beside weights, while it is lent.
        mode: How it runs; None where nobody has chosen: whole.
        rung: The least rung of its modes' ladder it may run on, since memory did not suffice above.
        undo: Take its mode off, the last first.
    """

    name: str
    network: Any
    nbytes: int
    members: tuple[Held, ...] = ()
    state: State = ()
    lent: int = 0
    pins: int = 0
    here_bytes: int = 0
    working_bytes: int = 0
    mode: Mode | None = None
    rung: int = 0
    undo: list[Callable[[], None]] = field(default_factory=list["Callable[[], None]"])

    def all(self) -> Iterator[Held]:
        """It and its members, members first."""
        for member in self.members:
            yield from member.all()
        yield self

    def is_free_for(self, state: State) -> bool:
        """Whether it can be lent under these patches now."""
        return all(not item.lent or item.state == state for item in self.all())

    @property
    def is_coarse(self) -> bool:
        """Its weights lost bits, though no call has ever used memory up."""
        return self.mode is not None and self.mode.eight_bits and not self.rung

    def take_off(self) -> None:
        """Run whole again, wherever the weights lie."""
        while self.undo:
            self.undo.pop()()
        self.mode = None


@dataclass(eq=False)
class Shelf:
    """Loaded networks, the one used longest ago first. Belongs to the compute thread.

    On a processor the device is RAM: what does not fit is dropped, and its mapped file read again.

    Attributes:
        device: Where networks compute, as torch calls it.
        device_bytes: What weights and calls may take there.
        ram_bytes: What weights that are parked beside the device may take.
    """

    device: str
    device_bytes: int
    ram_bytes: int
    _items: list[Held] = field(default_factory=list["Held"])

    @property
    def items(self) -> tuple[Held, ...]:
        """All that is held, the one used last first."""
        return tuple(reversed(self._items))

    @property
    def used_bytes(self) -> int:
        """What lies on the device."""
        return sum(item.here_bytes for item in self._items)

    @property
    def parked_bytes(self) -> int:
        """What lies beside it."""
        return sum(item.nbytes - item.here_bytes for item in self._items)

    @property
    def call_bytes(self) -> int:
        """What calls of all that is lent are expected to take beside weights."""
        return sum(item.working_bytes for item in self._items if item.lent)

    def find(self, name: str, state: State) -> Held | None:
        """One of that name that can be lent under these patches; rather one that was lent so before."""
        free = [item for item in self.items if item.name == name and item.is_free_for(state)]
        return next((item for item in free if item.state == state), free[0] if free else None)

    def of(self, network: Any) -> Held | None:
        """What holds a network; None for one that is held by nobody here."""
        return next((item for item in self._items if item.network is network), None)

    def put(self, item: Held) -> None:
        """Hold a network that was loaded just now."""
        self._items.append(item)

    def touch(self, item: Held) -> None:
        """Take note that a network and its members are used."""
        for used in item.all():
            self._items.remove(used)
            self._items.append(used)

    def room_for(self, item: Held) -> int:
        """Bytes that a network may take on the device beside all others that are lent."""
        taken = (
            other.here_bytes + (other.working_bytes if other.lent else 0)
            for other in self._items
            if other is not item and self.is_needed(other)
        )
        return self.device_bytes - sum(taken)

    def fetch(self, item: Held) -> None:
        """Bring a network to the device whole."""
        if item.here_bytes < item.nbytes:
            self.make_room(item.nbytes - item.here_bytes, keep=item)
            item.take_off()
            _move(item.network, self.device)
            item.here_bytes = item.nbytes

    def make_room(self, nbytes: int, keep: Held | None = None) -> bool:
        """Take away what is not lent, the longest unused first, until so much fits on the device.

        Returns:
            Whether it does now.
        """
        for item in tuple(self._items):
            if self.used_bytes + nbytes <= self.device_bytes:
                break
            if item is not keep and item.here_bytes and not self.is_needed(item):
                self._take_away(item)
        self._trim(keep)
        return self.used_bytes + nbytes <= self.device_bytes

    def clear_device(self) -> bool:
        """Take everything away that is not lent; False if there was nothing."""
        found = [item for item in self._items if item.here_bytes and not self.is_needed(item)]
        for item in found:
            if item in self._items:
                self._take_away(item)
        self._trim(None)
        return bool(found)

    def drop(self, item: Held) -> None:
        """Let go of a network and of what is put together of it."""
        self._items = [other for other in self._items if item not in other.all()]

    def drop_all(self) -> None:
        """Let go of everything."""
        self._items.clear()

    def is_needed(self, item: Held) -> bool:
        """Whether it, or something put together of it, is lent or being built."""
        return any((other.lent or other.pins) and item in other.all() for other in self._items)

    def _trim(self, keep: Held | None) -> None:
        """Drop what is parked beyond the budget of RAM, the longest unused first."""
        kept = keep.nbytes - keep.here_bytes if keep is not None else 0
        for item in tuple(self._items):
            if self.parked_bytes - kept <= self.ram_bytes:
                break
            if item is not keep and item.here_bytes < item.nbytes and not self.is_needed(item):
                self.drop(item)

    def _take_away(self, item: Held) -> None:
        if self.device == "cpu" or item.nbytes > self.ram_bytes:
            self.drop(item)
            return
        item.take_off()
        _move(item.network, "cpu")
        item.here_bytes = 0


def _move(network: Any, device: str) -> None:
    for module in getattr(network, "modules", {}).values():
        module.to(device)
    void = getattr(network, "void", None)
    if void is not None:
        void()
