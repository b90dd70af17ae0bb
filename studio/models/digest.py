"""The digests that models are known by among people: SHA-256 and its short forms."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 4 * 2**20
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of a model file.

    Attributes:
        sha256: 64 hex digits, of the whole file.
        autov3: 12 hex digits, of a safetensors file's tensors alone: the same whatever its metadata say.
            Empty for other files.
    """

    sha256: str
    autov3: str

    @property
    def autov2(self) -> str:
        """The first 10 hex digits of `sha256`."""
        return self.sha256[:10]

    def bears(self, told: str) -> bool:
        """Whether a digest somebody wrote down is one of these; 8 digits at least."""
        plain = told.strip().lower()
        return len(plain) >= 8 and (self.sha256.startswith(plain) or self.autov3 == plain[:12] != "")


def digests(path: Path, check: Callable[[], None]) -> Digests:
    """Read a file once and digest it; `check` is called every 4 MB and may raise.

    Raises:
        OSError: It cannot be read.
    """
    whole, tensors = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(_LENGTH_BYTES)
        whole.update(head)
        begin = _LENGTH_BYTES + int.from_bytes(head, "little")
        at = len(head)
        is_safetensors = path.suffix.lower() in (".safetensors", ".sft")
        while chunk := file.read(_CHUNK_BYTES):
            check()
            whole.update(chunk)
            if is_safetensors and at + len(chunk) > begin:
                tensors.update(memoryview(chunk)[max(0, begin - at) :])
            at += len(chunk)
    return Digests(whole.hexdigest(), tensors.hexdigest()[:12] if is_safetensors else "")
