"""Pickled checkpoints become safetensors files, made once by a process that can do no harm. Free of torch."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import cast

from studio import paths
from studio.errors import FileError
from studio.models.identity import identity_of

PICKLED = (".ckpt", ".pt", ".pth", ".bin")
"""Endings of files that torch pickles."""
_PROGRAM = Path(__file__).resolve().parent.parent / "diffusion/files/unpickle.py"
_VERSION = b"1"  # raised when the program writes something else for the same file
_NAME_BYTES = 200
_LOOK_S = 0.05
_START_S, _BYTES_PER_S = 120.0, 5e6
_STALE_S = 24 * 3600.0
_SENTENCES = {
    "code": (
        "{name} is no plain file of weights: it asks for “{detail}”, which could do anything here. "
        "Nothing of it was run.",
        "Get it as .safetensors.",
    ),
    "unreadable": (
        "{name} cannot be read as a checkpoint: {detail}.",
        "Download it again, or as .safetensors.",
    ),
    "alien": (
        "{name} is no checkpoint that torch has written, or not in its usual way.",
        "Get it as .safetensors.",
    ),
    "cut": ("{name} is cut short.", "Copy or download it again."),
    "empty": ("There are no weights in {name}.", "Choose another file."),
    "size": ("{name} claims more weights than a file of its size can hold.", "Get it as .safetensors."),
    "format": ("{name} holds a tensor of an unknown kind: {detail}.", "Get it as .safetensors."),
    "disk": ("{name} could not be converted: {detail}.", "Free some space on the disk of the cache."),
    "killed": (
        "{name} could not be converted: the process that did it ended ({detail}).",
        "Close other programs and try again, or get it as .safetensors.",
    ),
    "time": ("{name} could not be converted in {detail}.", "Get it as .safetensors."),
}


def as_safetensors(path: Path, check: Callable[[], None]) -> Path:
    """Return a safetensors file with the weights of `path`, which may be pickled.

    Nested dictionaries are joined by dots, and wrappers such as ``state_dict`` are left out. The file lies in
    the cache folder under the digest of its source, so that the next call finds it, and is called as its
    source is, with another ending behind it.

    Args:
        path: A ``.ckpt``, ``.pt``, ``.pth`` or ``.bin`` file; a safetensors file of any name is returned as
            it is.
        check: Called twenty times a second; may raise, and then nothing is left behind.

    Raises:
        FileError: It cannot be read, is no checkpoint, or holds something else than weights.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.", "Choose another file.") from error
    if head[8:] == b"{" or path.suffix == ".safetensors":
        return path
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        raise FileError(f"{path.name} is no checkpoint.", "Choose a model file, or download it again.")
    name = path.name.encode("utf-8", "surrogateescape")[:_NAME_BYTES].decode("utf-8", "ignore")
    result = paths.cache_dir() / "converted" / _digest(path) / f"{name}.safetensors"
    if not result.exists() and not _linked(result):
        _convert(path, result, check)
    return result


def _linked(result: Path) -> bool:
    """Let a file of the same content that was converted under another name be `result`, too."""
    for other in result.parent.glob("*.safetensors"):
        with contextlib.suppress(OSError):
            os.link(other, result)
            return True
    return False


def _digest(path: Path) -> str:
    """Digest of a file: samples of it, and the checksums of all its parts that its own list carries."""
    digest = blake2b(_VERSION + identity_of(path).encode(), digest_size=16)
    try:
        with zipfile.ZipFile(path) as file:
            parts = file.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        parts = []
    for part in parts:
        digest.update(f"{part.CRC} {part.file_size} ".encode())
    return digest.hexdigest()


def _convert(path: Path, result: Path, check: Callable[[], None]) -> None:
    folder = result.parent.parent
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    size = path.stat().st_size
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        if shutil.disk_usage(folder).free < size:
            raise _refusal(path, "disk", f"{size / 1e9:.1f} GB are needed")
        _run(path, temporary, _START_S + size / _BYTES_PER_S, check)
        result.parent.mkdir(exist_ok=True)
        temporary.replace(result)
    except OSError as error:
        raise _refusal(path, "disk", error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _run(path: Path, result: Path, limit_s: float, check: Callable[[], None]) -> None:
    """Let the program write `result`; ends it when told to stop, or when it takes too long."""
    # -I: neither the current folder nor variables of the environment add anything to what it can import.
    command = [sys.executable, "-I", "-W", "ignore", str(_PROGRAM), str(path.absolute()), str(result)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            end = time.monotonic() + limit_s
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
                    break
                check()
                if time.monotonic() > end:
                    raise _refusal(path, "time", f"{limit_s:.0f} s")
        finally:
            if process.poll() is None:
                process.kill()
        assert process.stdout is not None
        said = _said(process.stdout.read())
    if said is None or process.returncode:
        raise _refusal(path, "killed", f"exit code {process.returncode}")
    if said:
        raise _refusal(path, said.get("reason", "unreadable"), said.get("detail", ""))


def _said(line: bytes) -> dict[str, str] | None:
    try:
        return cast("dict[str, str]", json.loads(line))
    except ValueError:
        return None


def _refusal(path: Path, reason: str, detail: str) -> FileError:
    title, remedy = _SENTENCES[reason]
    return FileError(title.format(name=path.name, detail=detail.rstrip(".")), remedy)


def _sweep(folder: Path) -> None:
    """Take away what a process that was killed itself has left."""
    for file in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _STALE_S:
                file.unlink()
