"""Entries on disk: one file each, shared by any number of processes, capped by last use.

Nothing is locked. A file appears whole by a rename and disappears by being unlinked, which hurts nobody
who has it open; a process that loses such a race has a miss, and a miss is always right. Time of last use
is the file's modification time. Each process keeps its own running total and counts again now and then.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from studio.cache import entry
from studio.cache.codec import Encoded
from studio.types import Json

BLOCK_BYTES = 4096
TRIM_TO = 0.9
"""Share of the cap that a trim leaves, so that not every write trims."""
COUNT_AGAIN_AFTER = 1 / 16
"""Share of the cap that a process writes before it looks again at what others wrote."""
REST_S = 60.0
"""After a failed write, how long before the next is tried."""
ATTEMPTS = 3
"""How often a write begins again when a folder or its temporary file is gone."""
STALE_S = 3600.0
"""Age at which a temporary file is nobody's, whoever's it was."""

_log = logging.getLogger(__name__)
_HOST = hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class _File:
    used_ns: int
    nbytes: int
    path: str


class DiskTier:
    """A folder of entries under a cap in bytes; it is made when first written to. Safe from any thread.

    Attributes:
        trouble: A sentence, if the folder cannot be written; else empty.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root
        self.limit_bytes = limit_bytes
        self.trouble = ""
        self._entries = str(root / "entries")
        self._temporary = root / "tmp"
        self._lock = threading.Lock()
        self._total: tuple[int, int] | None = None
        self._unseen_bytes = 0
        self._rest_until_s = 0.0

    def path(self, key: str) -> str:
        """Return where the entry of `key` lies, if there is one."""
        name = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"{self._entries}{os.sep}{name[:2]}{os.sep}{name[2:]}.entry"

    def used_ns(self, key: str) -> int | None:
        """Return when the entry was last written or used; None if there is none. It may be damaged."""
        try:
            return os.stat(self.path(key)).st_mtime_ns
        except OSError:
            return None

    def about(self, key: str) -> Json:
        """Return what the writer said about an entry, from its head alone; None if there is none."""
        path = self.path(key)
        with self._miss(path):
            return entry.read_head(path, key).about
        return None

    def load(self, key: str) -> tuple[Json, Encoded] | None:
        """Return what was said about an entry, and its content, checked; None if there is none."""
        path = self.path(key)
        with self._miss(path):
            head, encoded = entry.read(path, key, self.limit_bytes)
            return head.about, encoded
        return None

    @contextlib.contextmanager
    def _miss(self, path: str) -> Generator[None]:
        """Turn what is wrong with a file into a miss; what is no entry of ours is taken away."""
        try:
            yield
        except FileNotFoundError:
            pass
        except ValueError:
            self._unlink(path)
        except MemoryError:
            _log.warning("There is not enough memory to load %s; it is computed again.", path)
        except OSError:
            # Links are refused when opening; whatever else cannot be read may be read by others.
            if os.path.islink(path):
                self._unlink(path)

    def store(self, key: str, about: Json, encoded: Encoded) -> bool:
        """Write an entry in place of any before; say whether it is there now. Never raises for the disk."""
        if time.monotonic() < self._rest_until_s:
            return False
        try:
            pieces = entry.pack(key, about, encoded)
        except ValueError:
            return False
        nbytes = _blocks(sum(len(piece) for piece in pieces))
        if nbytes > self.limit_bytes:
            return False
        if self._total is None:
            self._count()
        before = self._size(key)
        try:
            self._write(self.path(key), pieces)
        except OSError as error:
            self._fail(error)
            return False
        self.trouble = ""
        self._account(nbytes - (before or 0), 0 if before else 1)
        return True

    def touch(self, key: str) -> None:
        """Note that the entry was used now; without effect where that cannot be written."""
        with contextlib.suppress(OSError):
            os.utime(self.path(key))

    def remove(self, key: str) -> None:
        """Take the entry away, if it is there."""
        self._unlink(self.path(key))

    def sizes(self) -> tuple[int, int]:
        """Return bytes and number of entries, as last counted plus what this process did since."""
        return self._total or self._count()

    def clear(self) -> None:
        """Take every entry away that is there now."""
        for file in self._files():
            self._remove_file(file.path)
        self._count()

    def _size(self, key: str) -> int | None:
        try:
            return _blocks(os.stat(self.path(key)).st_size)
        except OSError:
            return None

    def _write(self, path: str, pieces: list[entry.Buffer]) -> None:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(FileNotFoundError):
                self._publish(path, pieces)
                return
            # The folders are not there yet, or someone took them or the temporary file away meanwhile.
            self._temporary.mkdir(parents=True, exist_ok=True)
            os.makedirs(os.path.dirname(path), exist_ok=True)
        self._publish(path, pieces)

    def _publish(self, path: str, pieces: list[entry.Buffer]) -> None:
        temporary = self._temporary / f"{_HOST}-{os.getpid()}-{next(_numbers)}"
        try:
            with open(temporary, "wb") as file:
                file.writelines(pieces)
            os.replace(temporary, path)
        except PermissionError:
            # Windows: another process has the same entry open, so it is there already.
            if not os.path.exists(path):
                raise
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _fail(self, error: OSError) -> None:
        self._rest_until_s = time.monotonic() + REST_S
        reason = error.strerror or type(error).__name__
        sentence = (
            f"The cache folder {self.root} cannot be written ({reason}); results are kept in memory only. "
            "Free some space there or choose another folder."
        )
        if not self.trouble:
            _log.warning("%s", sentence)
        self.trouble = sentence

    def _account(self, nbytes: int, entries: int) -> None:
        with self._lock:
            before, count = self._total or (0, 0)
            self._total = (max(0, before + nbytes), max(0, count + entries))
            self._unseen_bytes += max(0, nbytes)
            over = self._total[0] > self.limit_bytes
            unseen = self._unseen_bytes > self.limit_bytes * COUNT_AGAIN_AFTER
        if over or unseen:
            self._trim()

    def _trim(self) -> None:
        """Count anew, and if that is over the cap, take away what was used longest ago."""
        files = self._files()
        nbytes, entries = self._counted(files)
        if nbytes <= self.limit_bytes:
            return
        self._sweep()
        for file in sorted(files, key=lambda file: file.used_ns):
            if nbytes <= self.limit_bytes * TRIM_TO:
                break
            if not _used_since(file):
                self._remove_file(file.path)
                nbytes -= file.nbytes
                entries -= 1
        with self._lock:
            self._total = (nbytes, entries)

    def _count(self) -> tuple[int, int]:
        self._sweep()
        return self._counted(self._files())

    def _counted(self, files: list[_File]) -> tuple[int, int]:
        total = (sum(file.nbytes for file in files), len(files))
        with self._lock:
            self._total = total
            self._unseen_bytes = 0
        return total

    def _files(self) -> list[_File]:
        found: list[_File] = []
        for folder in _scan(self._entries):
            for item in _scan(folder.path):
                if item.name.endswith(".entry"):
                    with contextlib.suppress(OSError):
                        status = item.stat(follow_symlinks=False)
                        found.append(_File(status.st_mtime_ns, _blocks(status.st_size), item.path))
        return found

    def _sweep(self) -> None:
        """Take away temporary files of processes that are gone."""
        for item in _scan(str(self._temporary)):
            with contextlib.suppress(OSError):
                age_s = time.time() - item.stat(follow_symlinks=False).st_mtime
                if age_s > STALE_S or _is_orphan(item.name):
                    os.unlink(item.path)

    def _unlink(self, path: str) -> None:
        """Take away what lies at `path`, and count that."""
        try:
            nbytes = _blocks(os.stat(path, follow_symlinks=False).st_size)
        except OSError:
            return
        if self._remove_file(path):
            with self._lock:
                if self._total is not None:
                    self._total = (max(0, self._total[0] - nbytes), max(0, self._total[1] - 1))

    def _remove_file(self, path: str) -> bool:
        """Unlink; if another process was faster, or still has it open on Windows, leave it at that."""
        try:
            os.unlink(path)
        except OSError:
            # Nothing of ours makes a folder under such a name, yet one would be in the way for ever.
            shutil.rmtree(path, ignore_errors=True)
        return not os.path.lexists(path)


def _blocks(nbytes: int) -> int:
    """Round up to what a file system gives a file."""
    return nbytes + -nbytes % BLOCK_BYTES


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError:
        return []


def _used_since(file: _File) -> bool:
    try:
        return os.stat(file.path, follow_symlinks=False).st_mtime_ns != file.used_ns
    except OSError:
        return False


def _is_orphan(name: str) -> bool:
    """Say whether a temporary file is of a process of this machine that no longer lives."""
    host, _, rest = name.partition("-")
    pid = rest.partition("-")[0]
    # Windows: os.kill would end the process it asks about; there age alone decides.
    if host != _HOST or not pid.isdecimal() or os.name == "nt":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
