"""File names in knobs: what they resolve to, and the digest of what lies there."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Literal

from studio.errors import Cancelled, FileError
from studio.models.identity import identity_of

ROOT_DIR = Path(__file__).resolve().parent.parent
_CHUNK_BYTES = 1 << 20
_SETTLED_NS = 2 * 10**9
"""A file written later than this may be written again without its time moving: it is not remembered."""
Stamp = tuple[int, int, int, int]


def resolve(name: str, base_dir: Path | None) -> Path:
    """The absolute path a knob's text means: as it is, from `base_dir`, or among our assets. Never raises.

    Args:
        name: Absolute, relative to `base_dir`, or starting with ``assets/``.
        base_dir: Folder of the workflow file, if it has one.
    """
    path = Path(name)
    with suppress(RuntimeError):  # the home of nobody: a name like any other
        path = path.expanduser()
    if path.is_absolute():
        return path
    beside = (base_dir or Path.cwd()) / path
    if path.parts[:1] == ("assets",) and not found(beside):
        return ROOT_DIR / path
    return beside


def found(path: Path) -> Literal["file", "folder", "other"] | None:
    """What is at `path`; None if nothing is, or nothing that may be looked at. Never raises."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a null character in the name
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


class FileDigests:
    """Digests of files by what is in them, remembered while size and time stay the same. Any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[Stamp, str]] = {}

    def digest(self, path: Path, content: str, cancelled: Callable[[], bool] = lambda: False) -> str:
        """Digest of a file, or of a folder's files with their names.

        Args:
            path: Absolute.
            content: ``model`` is known by header and samples, and so is any .safetensors file; anything
                else by all its bytes.
            cancelled: Asked every megabyte.

        Raises:
            OSError: It cannot be read.
            StudioError: It is no model file, or neither file nor folder.
            Cancelled: `cancelled` said so.
        """
        if found(path) == "other":  # a device or a named channel might never end
            raise FileError(f"{path} is neither a file nor a folder.", "Choose another.")
        if content == "model" or path.suffix == ".safetensors":
            return identity_of(path)
        if path.is_dir():
            whole = hashlib.blake2b(digest_size=16)
            for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
                if entry.is_file():
                    name = entry.name.encode("utf-8", "surrogateescape")
                    whole.update(b"%b\0%b\0" % (name, self._file(Path(entry.path), cancelled).encode()))
            return whole.hexdigest()
        return self._file(path, cancelled)

    def _file(self, path: Path, cancelled: Callable[[], bool]) -> str:
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        with self._lock:
            known = self._known.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        hasher = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                if cancelled():
                    raise Cancelled
                hasher.update(chunk)
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            with self._lock:
                self._known[str(path)] = (stamp, hasher.hexdigest())
        return hasher.hexdigest()
