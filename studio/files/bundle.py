"""The ``.studio`` bundle: a zip of ``workflow.json`` and ``blobs/``, read as if a stranger had made it.

Nothing is ever unpacked to disk, and an archive with one wrong entry is refused as a whole.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from studio.errors import FileError
from studio.files import strict_json

SIGNATURE = b"PK"
WORKFLOW = "workflow.json"
BLOBS = "blobs/"
MAX_ENTRIES = 10_000
MAX_BYTES = 2**30
MAX_RATIO = 200
_RATIO_FROM_BYTES = 2**22  # below this a high ratio is harmless, and blank tiles have one
_DIRECTORY_BYTES = MAX_ENTRIES * 512
_PIECE_BYTES = 2**20
_PART = re.compile(r"[\w-][\w.-]*", re.ASCII)
_MADE = (1980, 1, 1, 0, 0, 0)
# Wrong offsets in an archive make zipfile seek to impossible places: OSError is damage, too.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    struct.error,
    ValueError,
    OSError,
)


def read(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """Return the workflow's bytes and the blobs by their name under ``blobs/``.

    Raises:
        FileError: Not an archive, damaged, over a limit, or with an entry that has no business in it.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        try:
            contents = _contents(file)
        except _DAMAGE as error:
            raise FileError(
                "The archive is damaged or cut off.", "Ask for it again, or open a copy."
            ) from error
    if WORKFLOW not in contents:
        raise FileError(f"The archive holds no {WORKFLOW}; it is no bundle of Latent Studio.")
    workflow = contents.pop(WORKFLOW)
    return workflow, {name.removeprefix(BLOBS): data for name, data in contents.items()}


def pack(workflow: bytes, blobs: Mapping[str, bytes]) -> bytes:
    """Return a bundle; the same content gives the same bytes.

    Raises:
        FileError: A blob's name is none that `read` would take.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, WORKFLOW, workflow, zipfile.ZIP_DEFLATED)
        for name in sorted(blobs):
            if not _is_blob(BLOBS + name):
                raise FileError(f"“{name}” cannot be the name of a blob.")
            _add(archive, BLOBS + name, blobs[name], zipfile.ZIP_STORED)  # they come compressed
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    info = zipfile.ZipInfo(name, _MADE)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(info, data, method)


def _contents(file: BinaryIO) -> dict[str, bytes]:
    _check_directory(file)
    contents: dict[str, bytes] = {}
    budget = MAX_BYTES
    with zipfile.ZipFile(file) as archive:
        for info in _checked(archive.infolist()):
            limit = strict_json.MAX_BYTES if info.filename == WORKFLOW else budget
            contents[info.filename] = _read_entry(archive, info, min(limit, budget))
            budget -= len(contents[info.filename])
    return contents


def _check_directory(file: BinaryIO) -> None:
    """Refuse a huge table of contents before zipfile reads it whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**16 - 64))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile
    entries, directory_bytes = struct.unpack_from("<HL", tail, at + 10)
    if entries > MAX_ENTRIES or directory_bytes > _DIRECTORY_BYTES or b"PK\x06\x07" in tail[:at][-20:]:
        raise FileError(f"The archive has more than {MAX_ENTRIES:,} entries; no bundle has.")


def _checked(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the entries that hold something; one that does not belong refuses all.

    Raises:
        FileError: It names the entry and says why.
    """
    seen: set[str] = set()
    for info in entries:
        name = info.orig_filename
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name == BLOBS and kind in (0, stat.S_IFDIR):
            continue
        if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name:
            raise _refused(name, "it has an absolute path")
        if ".." in name.split("/"):
            raise _refused(name, "it points out of the archive")
        if kind not in (0, stat.S_IFREG):
            raise _refused(name, "it is a link or a device, not a file")
        if name != WORKFLOW and not _is_blob(name):
            raise _refused(name, f"only {WORKFLOW} and {BLOBS} belong there")
        if info.flag_bits & 1:
            raise _refused(name, "it is encrypted")
        if name.casefold() in seen:
            raise _refused(name, "it is there twice")
        seen.add(name.casefold())
    if len(seen) > MAX_ENTRIES:
        raise FileError(f"The archive has more than {MAX_ENTRIES:,} entries; no bundle has.")
    return [info for info in entries if info.orig_filename != BLOBS]


def _is_blob(name: str) -> bool:
    parts = name.removeprefix(BLOBS).split("/")
    return name.startswith(BLOBS) and all(_PART.fullmatch(part) for part in parts)


def _refused(name: str, why: str) -> FileError:
    return FileError(
        f"The archive is refused because of its entry “{name[:80]}”: {why}.",
        "Such an archive was not made by Latent Studio; do not trust it.",
    )


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Read one entry and count what really comes out, whatever the archive declares."""
    pieces: list[bytes] = []
    total = 0
    with archive.open(info) as file:
        while piece := file.read(_PIECE_BYTES):
            total += len(piece)
            if total > limit:
                raise FileError(f"The archive unpacks to more than {limit // 2**20:,} MB.")
            if total > _RATIO_FROM_BYTES and total > MAX_RATIO * info.compress_size:
                raise FileError(f"The archive unpacks to more than {MAX_RATIO} times its size.")
            pieces.append(piece)
    return b"".join(pieces)
