"""Writing a file so that it is whole or not there: temporary file beside it, fsync, rename, fsync again.

Earlier versions are kept beside it as ``name~1`` (the newest) to ``name~3``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path

from studio.errors import FileError

VERSIONS = 3
_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space or save elsewhere."),
    errno.EDQUOT: ("your share of the disk is used up", "Free some space or save elsewhere."),
    errno.EFBIG: ("the file would be larger than this disk allows", "Save elsewhere."),
    errno.EACCES: ("you may not write there", "Save elsewhere, or change the rights."),
    errno.EPERM: ("you may not write there", "Save elsewhere, or change the rights."),
    errno.EROFS: ("the disk is read-only", "Save elsewhere."),
    errno.ENOENT: ("its folder does not exist", "Choose another folder."),
    errno.ENOTDIR: ("its folder does not exist", "Choose another folder."),
    errno.EISDIR: ("there is a folder of that name", "Choose another name."),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter name."),
}


def write(path: Path, data: bytes, *, versions: int = 0) -> None:
    """Put `data` at `path`, whole or not at all; a file that holds these very bytes is left alone.

    Args:
        path: Where to; a symbolic link is followed and stays.
        data: All of the file.
        versions: How many earlier versions to keep beside it.

    Raises:
        FileError: It cannot be written; whatever was at `path` is still there.
    """
    try:
        path = Path(os.path.realpath(path))
        if path.is_file():
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, "write-protected")
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return
        _replace(path, data, versions)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise refusal(path, error) from error


def refusal(path: Path, error: OSError | ValueError) -> FileError:
    """The sentence for a file that could not be written."""
    code = error.errno if isinstance(error, OSError) else None
    reason, remedy = _REASONS.get(code or 0, (f"the system says “{error}”", "Save elsewhere."))
    return FileError(f"“{path.name}” could not be saved: {reason}.", remedy)


def _replace(path: Path, data: bytes, versions: int) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    temporary = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
            _keep_version(path, versions)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _keep_version(path: Path, versions: int) -> None:
    """Make the present file ``~1``; it stays at `path` too until the new one takes its place."""
    if not versions:
        return
    for number in range(versions, 1, -1):
        newer = version_path(path, number - 1)
        if newer.exists():
            newer.replace(version_path(path, number))
    first = version_path(path, 1)
    first.unlink(missing_ok=True)
    try:
        os.link(path, first)
    except OSError:  # file systems without hard links (FAT)
        shutil.copy2(path, first)


def version_path(path: Path, number: int) -> Path:
    """Where the `number`-th last version of `path` is kept (1 is the newest)."""
    return path.with_name(f"{path.name}~{number}")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets folders be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
