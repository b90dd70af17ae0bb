"""Small pieces of JSON by name, shared with other processes through the disk tier."""

from __future__ import annotations

import json
from dataclasses import dataclass

from studio.cache import codec
from studio.cache.codec import Encoded
from studio.cache.disk import DiskTier
from studio.cache.ram import RamTier
from studio.cache.writer import Pending, Writer
from studio.types import Json

BUDGET_BYTES = 64 << 20
_PREFIX = "record:"


@dataclass(frozen=True, slots=True)
class _Held:
    """A record in memory, as text, and the time of its file when it was read or put (None: no file)."""

    text: str
    written_ns: int | None


class Records:
    """Records in memory and, with a disk tier, in its files; the newest of either counts.

    Safe from any thread.
    """

    def __init__(self, disk: DiskTier | None, writer: Writer | None) -> None:
        self._disk = disk
        self._writer = writer
        self._held: RamTier[_Held] = RamTier(BUDGET_BYTES)

    def get(self, name: str) -> Json:
        """Return a fresh copy of the record, or None."""
        key = _PREFIX + name
        held = self._held.get(key)
        if self._disk is None or self._writer is None:
            return None if held is None else json.loads(held.text)
        written_ns = None if self._writer.get(key) is not None else self._disk.used_ns(key)
        self._writer.used(key)
        if held is None or (written_ns is not None and written_ns != held.written_ns):
            held = self._read(self._disk, key, written_ns) or held
        return None if held is None else json.loads(held.text)

    def _read(self, disk: DiskTier, key: str, written_ns: int | None) -> _Held | None:
        found = disk.load(key)
        if found is None:
            return None
        try:
            text = codec.decode(found[1].header, found[1].buffers)
        except ValueError:
            text = None
        if not isinstance(text, str):
            disk.remove(key)
            return None
        held = _Held(text, written_ns)
        self._held.put(key, held, nbytes=len(text) + codec.VALUE_BYTES, seconds=0.0)
        return held

    def put(self, name: str, value: Json) -> None:
        """Keep `value`; one that is there already is not written again."""
        key = _PREFIX + name
        text = json.dumps(value, separators=(",", ":"))
        written_ns = None if self._disk is None else self._disk.used_ns(key)
        held = self._held.get(key)
        if held is not None and held.text == text and self._is_safe(key, held, written_ns):
            return
        nbytes = len(text) + codec.VALUE_BYTES
        self._held.put(key, _Held(text, written_ns), nbytes=nbytes, seconds=0.0)
        if self._writer is not None:
            self._writer.put(key, Pending(None, None, Encoded(text, []), nbytes))

    def _is_safe(self, key: str, held: _Held, written_ns: int | None) -> bool:
        """Say whether what is held is what is on disk, or on its way there."""
        waiting = self._writer is not None and self._writer.get(key) is not None
        return waiting or (written_ns is not None and written_ns == held.written_ns)

    def clear(self) -> None:
        """Forget what is in memory."""
        self._held.clear()
