"""What makes a model file that file and no other, known in milliseconds however large it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from studio.errors import FileError
from studio.models.header import read_header

_SAMPLE_BYTES = 4096
_WHOLE_BYTES = 4 * 2**20
_SAMPLES = 256
_FILES = 2000
_MEMO = 4096
_Stamp = tuple[str, int, int, int]
_known: dict[_Stamp, str] = {}
_lock = Lock()


def identity_of(path: Path) -> str:
    """Digest of a model file, or of all files of a model folder.

    Of a safetensors file: header, size, and 4 KiB from the middle of every tensor. Of another file: all of
    it up to 4 MB, samples beyond. Names count in a folder; where the folder lies does not. Remembered
    for as long as size, time and inode stay. From any thread.

    Raises:
        FileError: Missing, unreadable, cut short, or a folder of more than 2,000 files.
    """
    if not path.is_dir():
        return _file(path)
    digest = blake2b(digest_size=16)
    for file in _files(path):
        _add(digest, file.relative_to(path).as_posix().encode())
        _add(digest, _file(file).encode())
    return digest.hexdigest()


def combined(path: Path, names: tuple[str, ...]) -> str:
    """Digest of those files and folders of `path` that are there, with their names.

    Raises:
        FileError: As `identity_of`.
    """
    digest = blake2b(digest_size=16)
    for name in names:
        if (path / name).exists():
            _add(digest, name.encode())
            _add(digest, identity_of(path / name).encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Files of a folder in a fixed order; hidden ones (caches, version control) are no part of a model."""
    count = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                continue
            count += 1
            if count > _FILES:
                raise FileError(
                    f"{folder} holds more than {_FILES:,} files, which no model does.",
                    "Choose the model's own folder.",
                )
            yield Path(root, name)


def _file(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(f"There is no model at {path}.", "Choose another file or folder.") from error
    stamp = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
    with _lock:
        found = _known.get(stamp)
    if found is None:
        try:
            found = _safetensors(path) if path.suffix == ".safetensors" else _other(path, status.st_size)
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror}.") from error
        with _lock:
            if len(_known) >= _MEMO:
                _known.clear()
            _known[stamp] = found
    return found


def _safetensors(path: Path) -> str:
    header = read_header(path)
    digest = blake2b(digest_size=16)
    _add(digest, header.raw)
    _add(digest, str(header.size).encode())
    with path.open("rb") as file:
        for place in header.tensors.values():
            begin = max(place.begin, (place.begin + place.end - _SAMPLE_BYTES) // 2)
            file.seek(begin)
            _add(digest, file.read(min(_SAMPLE_BYTES, place.end - begin)))
    return digest.hexdigest()


def _other(path: Path, size: int) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            _add(digest, file.read(_WHOLE_BYTES))
        else:
            _add(digest, str(size).encode())
            for index in range(_SAMPLES):
                file.seek(index * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                _add(digest, file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _add(digest: blake2b, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
