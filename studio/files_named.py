"""File names in knobs: what they resolve to, and the digest of what lies there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Lock

from studio.models.identity import identity_of

ROOT_DIR = Path(__file__).resolve().parent.parent
_CHUNK_BYTES = 1 << 20
Stamp = tuple[int, int, int]


def resolve(name: str, base_dir: Path | None) -> Path:
    """The absolute path a knob's text means: as it is, from `base_dir`, or among our own assets.

    Args:
        name: Absolute, relative to `base_dir`, or starting with ``assets/``.
        base_dir: Folder of the workflow file, if it has one.
    """
    path = Path(name).expanduser()
    if path.is_absolute():
        return path
    beside = (base_dir or Path.cwd()) / path
    if not beside.exists() and path.parts[:1] == ("assets",):
        return ROOT_DIR / path
    return beside


class FileDigests:
    """Digests of files by what is in them, remembered while size and time stay the same. Any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[Stamp, str]] = {}

    def digest(self, path: Path, content: str) -> str:
        """Digest of a file, or of a folder's files with their names.

        Args:
            path: Absolute.
            content: ``model`` is known by header and samples, anything else by all its bytes.

        Raises:
            OSError: It cannot be read.
            StudioError: It is no model file.
        """
        if content == "model" and str(path):
            return identity_of(path)
        if path.is_dir():
            whole = hashlib.blake2b(digest_size=16)
            for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
                if entry.is_file():
                    whole.update(f"{entry.name}\0{self._file(Path(entry.path))}\0".encode())
            return whole.hexdigest()
        return self._file(path)

    def _file(self, path: Path) -> str:
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        with self._lock:
            known = self._known.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        hasher = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
        with self._lock:
            self._known[str(path)] = (stamp, hasher.hexdigest())
        return hasher.hexdigest()
