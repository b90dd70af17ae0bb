"""The cache that executor and nodes see: outputs by key, in memory and on disk, and small records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from studio.cache import classes, codec, header
from studio.cache.disk import DiskTier
from studio.cache.header import ABSENT, Header, OutputHeader
from studio.cache.ram import RamTier
from studio.cache.records import Records
from studio.cache.writer import Pending, Writer
from studio.types import Json

__all__ = ["ABSENT", "Header", "OutputHeader", "Sizes", "Store"]

KNOWN_HEADERS = 50_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How full the cache is.

    Attributes:
        ram_bytes: Held in memory.
        ram_entries: Calls held in memory.
        ram_limit_bytes: The budget.
        disk_bytes: On disk, as far as this process knows.
        disk_entries: Files on disk.
        disk_limit_bytes: The cap; 0 without a disk tier.
        path: Folder of the disk tier, or empty.
        trouble: A sentence, if nothing can be written to disk; else empty.
    """

    ram_bytes: int
    ram_entries: int
    ram_limit_bytes: int
    disk_bytes: int = 0
    disk_entries: int = 0
    disk_limit_bytes: int = 0
    path: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Call:
    header: Header
    outputs: dict[str, object]


class Store:
    """Outputs by key. Values are shared, never copied: who loads them never writes to them.

    Safe from any thread. Several stores, in any number of processes, may share one folder on disk.
    """

    def __init__(self, ram_budget_bytes: int, disk: DiskTier | None) -> None:
        self._ram: RamTier[_Call] = RamTier(ram_budget_bytes)
        self._disk = disk
        self._writer = None if disk is None else Writer(disk)
        self._on_disk: dict[str, Header] = {}
        self._unreadable: dict[str, int] = {}
        self._records = Records(disk, self._writer)

    def header(self, key: str) -> Header | None:
        """Say what is cached under `key` without loading it; None if nothing is.

        Costs about a microsecond for what is in memory, else the reading of a file's head.
        """
        call = self._ram.get(key)
        if call is not None:
            if self._writer is not None:
                self._writer.used(key)
            return call.header
        return self._header_on_disk(key)

    def _header_on_disk(self, key: str) -> Header | None:
        if self._disk is None or self._writer is None:
            return None
        pending = self._writer.get(key)
        if pending is not None:
            return cast("_Call", pending.value).header
        known = self._on_disk.get(key)
        if known is not None and self._disk.used_ns(key) is None:
            known = None
            self._on_disk.pop(key, None)
        elif known is None and not self._is_unreadable(key):
            known = self._read_header(self._disk, key)
        if known is not None:
            self._writer.used(key)
        return known

    def _read_header(self, disk: DiskTier, key: str) -> Header | None:
        about = disk.about(key)
        if about is None:
            return None
        try:
            found = header.from_json(about)
        except ValueError:
            disk.remove(key)
            return None
        if len(self._on_disk) >= KNOWN_HEADERS:
            self._on_disk.clear()
        self._on_disk[key] = found
        return found

    def load(self, key: str) -> dict[str, object] | None:
        """Return the outputs by name; None, from then on, if they are absent or damaged."""
        call = self._ram.get(key)
        if call is None and self._writer is not None:
            pending = self._writer.get(key)
            call = None if pending is None else cast("_Call", pending.value)
        if call is None:
            call = self._load_from_disk(key)
        if call is None:
            return None
        if self._writer is not None:
            self._writer.used(key)
        return dict(call.outputs)

    def _load_from_disk(self, key: str) -> _Call | None:
        found = None if self._disk is None or self._is_unreadable(key) else self._disk.load(key)
        if self._disk is None or found is None:
            self._on_disk.pop(key, None)
            return None
        about, encoded = found
        try:
            known = header.from_json(about)
            decoded = codec.decode(encoded.header, encoded.buffers)
            if not isinstance(decoded, dict):
                raise ValueError("no outputs by name")
            outputs = cast("dict[str, object]", decoded)
            if outputs.keys() != known.outputs.keys():
                raise ValueError("not the outputs that the head names")
            nbytes = codec.nbytes(outputs)
        except codec.UnknownNameError:
            # Another process may have the package that this one lacks: the file stays, for it.
            self._unreadable[key] = len(classes.records)
            self._on_disk.pop(key, None)
            return None
        except ValueError:
            self.forget(key)
            return None
        call = _Call(known, outputs)
        if not codec.is_raw(outputs):
            # Else torch is not loaded yet, and those who ask later must not get bytes for tensors.
            self._ram.put(key, call, nbytes=nbytes, seconds=known.seconds)
        return call

    def _is_unreadable(self, key: str) -> bool:
        """Whether loading met a class that nobody registered, nor any other since."""
        return self._unreadable.get(key) == len(classes.records)

    def put(self, key: str, outputs: Mapping[str, object], *, seconds: float, keep: bool) -> Header:
        """Hold the outputs of a call that took `seconds`; `keep` writes them to disk as well, later.

        Their numpy arrays are read-only from here on, as they will be when they come from disk.

        Raises:
            TypeError: A value cannot be stored; the message is a sentence. Nothing is held then.
        """
        made = header.of(outputs, seconds)
        call = _Call(made, dict(outputs))
        codec.freeze(call.outputs)
        if keep and self._writer is not None and not self._is_kept(key):
            encoded = codec.encode(call.outputs)
            self._writer.put(key, Pending(call, header.to_json(made), encoded, made.nbytes))
            self._unreadable.pop(key, None)
        self._ram.put(key, call, nbytes=made.nbytes, seconds=seconds)
        return made

    def _is_kept(self, key: str) -> bool:
        return self._header_on_disk(key) is not None

    def forget(self, key: str) -> None:
        """Let go of `key` everywhere."""
        if self._writer is not None:
            self._writer.drop(key)
        self._ram.drop(key)
        self._on_disk.pop(key, None)
        if self._disk is not None:
            self._disk.remove(key)

    def record(self, name: str) -> Json:
        """Return a copy of the JSON last put under `name`, here or by another process; None without one."""
        return self._records.get(name)

    def put_record(self, name: str, value: Json) -> None:
        """Keep a small piece of JSON under `name`, in memory at once and on disk soon."""
        self._records.put(name, value)

    def sizes(self) -> Sizes:
        """Say how full the cache is; the first call counts the files on disk."""
        ram = (self._ram.nbytes, len(self._ram), self._ram.budget_bytes)
        if self._disk is None:
            return Sizes(*ram)
        disk = self._disk
        return Sizes(*ram, *disk.sizes(), disk.limit_bytes, str(disk.root), disk.trouble)

    def clear(self) -> None:
        """Empty memory and disk, records included; safe beside other processes."""
        if self._writer is not None:
            self._writer.drop_all()
        self._ram.clear()
        self._records.clear()
        self._on_disk.clear()
        self._unreadable.clear()
        if self._disk is not None:
            self._disk.clear()

    def flush(self) -> None:
        """Wait until everything to be kept is on disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is waiting and end the writer thread; entries put later stay in memory only."""
        if self._writer is not None:
            self._writer.close()
