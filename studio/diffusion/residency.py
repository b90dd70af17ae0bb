"""Where loaded networks lie: on the device, beside it in RAM, or nowhere, within budgets of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from studio.types import Patch

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
        parked: Its weights lie in RAM beside the device.
        pins: Reasons to keep it though it is not lent: what is being built of it.
    """

    name: str
    network: Any
    nbytes: int
    members: tuple[Held, ...] = ()
    state: State = ()
    lent: int = 0
    parked: bool = False
    pins: int = 0

    def all(self) -> Iterator[Held]:
        """It and its members, members first."""
        for member in self.members:
            yield from member.all()
        yield self

    def is_free_for(self, state: State) -> bool:
        """Whether it can be lent under these patches now."""
        return all(not item.lent or item.state == state for item in self.all())


@dataclass(eq=False)
class Shelf:
    """Loaded networks, the one used longest ago first. Belongs to the compute thread.

    On a processor the device is RAM: what does not fit is dropped, and its mapped file read again.

    Attributes:
        device: Where networks compute, as torch calls it.
        device_bytes: What weights may take there.
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
        return sum(item.nbytes for item in self._items if not item.parked)

    @property
    def parked_bytes(self) -> int:
        """What lies beside it."""
        return sum(item.nbytes for item in self._items if item.parked)

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

    def fetch(self, item: Held) -> None:
        """Bring a parked network and its members back to the device."""
        for wanted in item.all():
            if wanted.parked:
                self.make_room(wanted.nbytes, keep=tuple(item.all()))
                _move(wanted.network, self.device)
                wanted.parked = False

    def make_room(self, nbytes: int, keep: tuple[Held, ...] = ()) -> bool:
        """Take away what is not lent, the longest unused first, until so much fits on the device.

        Returns:
            Whether it does now.
        """
        for item in tuple(self._items):
            if self.used_bytes + nbytes <= self.device_bytes:
                break
            if item in keep or item.parked or not item.nbytes or self._is_needed(item):
                continue
            if self.device != "cpu" and item.nbytes <= self.ram_bytes:
                _move(item.network, "cpu")
                item.parked = True
            else:
                self._drop(item)
        while self.parked_bytes > self.ram_bytes:
            self._drop(next(item for item in self._items if item.parked))
        return self.used_bytes + nbytes <= self.device_bytes

    def drop_all(self) -> None:
        """Let go of everything."""
        self._items.clear()

    def _is_needed(self, item: Held) -> bool:
        return any((other.lent or other.pins) and item in other.all() for other in self._items)

    def _drop(self, item: Held) -> None:
        """Let go of a network and of what is put together of it."""
        self._items = [other for other in self._items if item not in other.all()]


def _move(network: Any, device: str) -> None:
    for module in getattr(network, "modules", {}).values():
        module.to(device)
    void = getattr(network, "void", None)
    if void is not None:
        void()
