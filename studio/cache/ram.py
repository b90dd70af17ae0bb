"""Outputs held in memory under a budget."""

from __future__ import annotations

import heapq
import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Held(Generic[T]):
    """One thing in memory, and what it is worth."""

    value: T
    nbytes: int
    worth: float
    turn: int


class RamTier(Generic[T]):
    """Things by key under a byte budget; what is cheapest to make again per byte goes first.

    Among equals the oldest goes first. What was just put stays, unless it alone exceeds the budget.
    Safe from any thread.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.nbytes = 0
        self._held: dict[str, Held[T]] = {}
        self._cheapest: list[tuple[float, int, str]] = []
        self._turn = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str) -> T | None:
        """Return what is held under `key`; takes no lock, one look into a dict."""
        held = self._held.get(key)
        return None if held is None else held.value

    def put(self, key: str, value: T, *, nbytes: int, seconds: float) -> bool:
        """Hold `value`, which took `seconds` to make; say whether it fitted.

        Whatever was under `key` is gone, whether it fitted or not.
        """
        with self._lock:
            self._drop(key)
            if nbytes > self.budget_bytes:
                return False
            self._turn += 1
            held = Held(value, nbytes, seconds / max(nbytes, 1), self._turn)
            while self.nbytes + nbytes > self.budget_bytes:
                self._evict_cheapest()
            self._held[key] = held
            self.nbytes += nbytes
            heapq.heappush(self._cheapest, (held.worth, held.turn, key))
            if len(self._cheapest) > 2 * len(self._held) + 64:
                self._cheapest = [(item.worth, item.turn, name) for name, item in self._held.items()]
                heapq.heapify(self._cheapest)
            return True

    def drop(self, key: str) -> None:
        """Let go of `key`, if it is held."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._held.clear()
            self._cheapest.clear()
            self.nbytes = 0

    def _drop(self, key: str) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.nbytes -= held.nbytes

    def _evict_cheapest(self) -> None:
        """Drop one thing; the heap may name some that are gone or were replaced since."""
        _worth, turn, key = heapq.heappop(self._cheapest)
        held = self._held.get(key)
        if held is not None and held.turn == turn:
            self._drop(key)
