"""The thread that writes entries to disk behind the work."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from studio.cache.codec import Encoded
from studio.cache.disk import DiskTier
from studio.types import Json

PENDING_LIMIT_BYTES = 512 << 20
PATIENCE_S = 10.0
"""How long a put waits for a slow disk before its entry is not written at all."""
TOUCH_EVERY_S = 5.0
TOUCH_AGAIN_S = 60.0
"""How long an entry just touched is not touched again."""
TOUCHED_LIMIT = 50_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """An entry on its way to disk, with the value it was made from."""

    value: object
    about: Json
    encoded: Encoded
    nbytes: int


class Writer:
    """Writes and touches entries of a `DiskTier` on a thread of its own. Safe from any thread."""

    def __init__(self, disk: DiskTier) -> None:
        self._disk = disk
        self._change = threading.Condition()
        self._queue: OrderedDict[str, Pending] = OrderedDict()
        self._current: tuple[str, Pending] | None = None
        self._queued_bytes = 0
        self._used: set[str] = set()
        self._touched_s: dict[str, float] = {}
        self._touching = threading.Lock()
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, key: str, item: Pending) -> bool:
        """Queue an entry, in place of one queued under the same key; False if the disk cannot keep up."""
        with self._change:
            self._discard(key)
            room = self._change.wait_for(lambda: self._has_room(item.nbytes) or self._closing, PATIENCE_S)
            if not room:
                _log.warning("The disk of the cache is too slow; a result is kept in memory only.")
            if not room or self._closing:
                return False
            self._discard(key)
            self._queue[key] = item
            self._queued_bytes += item.nbytes
            self._start()
            self._change.notify_all()
            return True

    def get(self, key: str) -> Pending | None:
        """Return an entry that is not on disk yet; takes no lock."""
        item = self._queue.get(key)
        if item is None:
            current = self._current
            if current is not None and current[0] == key:
                return current[1]
        return item

    def used(self, key: str) -> None:
        """Note that an entry was used; written down within seconds. Cheap."""
        self._used.add(key)
        if self._thread is None and not self._closing:
            with self._change:
                self._start()

    def drop(self, key: str) -> None:
        """Forget a queued entry; if it is being written, wait for that."""
        with self._change:
            self._discard(key)
            self._change.wait_for(lambda: self._current is None or self._current[0] != key)

    def drop_all(self) -> None:
        """Forget all queued entries and wait for the one being written."""
        with self._change:
            self._queue.clear()
            self._queued_bytes = 0
            self._used.clear()
            self._change.notify_all()
            self._change.wait_for(lambda: self._current is None)

    def flush(self) -> None:
        """Wait until everything queued is on disk, and every use noted."""
        with self._change:
            self._change.wait_for(lambda: not self._queue and self._current is None)
        self._touch()

    def close(self) -> None:
        """Write what is queued and end the thread; entries put later are refused."""
        with self._change:
            self._closing = True
            self._change.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._touch()

    def _has_room(self, nbytes: int) -> bool:
        return not self._queue or self._queued_bytes + nbytes <= PENDING_LIMIT_BYTES

    def _discard(self, key: str) -> None:
        item = self._queue.pop(key, None)
        if item is not None:
            self._queued_bytes -= item.nbytes
            self._change.notify_all()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._run, name="cache-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._closing, TOUCH_EVERY_S)
                if not self._queue and self._closing:
                    return
                if self._queue:
                    # The current entry is set before it leaves the queue: a reader without the lock sees one.
                    key, item = next(iter(self._queue.items()))
                    self._current = (key, item)
                    self._discard(key)
            # First, so that what was used lately is not trimmed to make room.
            self._touch()
            if self._current is not None:
                self._write(*self._current)

    def _write(self, key: str, item: Pending) -> None:
        try:
            self._disk.store(key, item.about, item.encoded)
        except Exception:  # noqa: BLE001 - the loop of a thread: were it to end, every flush would wait for ever
            _log.warning("A result could not be written to the cache.", exc_info=True)
        finally:
            with self._change:
                self._current = None
                self._change.notify_all()

    def _touch(self) -> None:
        with self._touching:
            now_s = time.monotonic()
            if len(self._touched_s) > TOUCHED_LIMIT:
                self._touched_s.clear()
            # Other threads add meanwhile, so no iteration.
            while self._used:
                key = self._used.pop()
                if now_s - self._touched_s.get(key, -TOUCH_AGAIN_S) >= TOUCH_AGAIN_S:
                    self._touched_s[key] = now_s
                    self._disk.touch(key)
