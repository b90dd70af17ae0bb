"""PNG pictures that carry their workflow in a text chunk.

Reading walks the chunks and never decodes a pixel. Heavy imports are made where they are needed: the editor
looks for workflows in files long before it writes a picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from studio.errors import FileError
from studio.files import atomic, pretty, strict_json
from studio.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEY = "latent_studio"
MAX_CHUNKS = 100_000
_TEXT_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_CUT = FileError("The picture is cut off.", "Open a whole copy of it.")


def read_workflow(path: Path) -> dict[str, Json] | None:
    """Return the object of the workflow in a picture of ours, or None where there is none.

    Raises:
        FileError: No PNG, damaged before the workflow was found, or the workflow is no JSON object.
        OSError: The file cannot be read.
    """
    found = find_workflow(path)
    if found is None:
        return None
    value = strict_json.read(found, lambda _: None)
    if not isinstance(value, dict):
        raise FileError("The picture's workflow is no JSON object.")
    return value


def find_workflow(path: Path) -> bytes | None:
    """Return the bytes of the workflow in a picture, wherever among its chunks they stand.

    Raises:
        FileError: No PNG, cut off or damaged before it was found, or over a limit.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        for kind, data in _text_chunks(file, path.stat().st_size):
            if data.startswith(KEY.encode() + b"\0"):
                return _text_of(kind, data)
    return None


def _text_chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bytes]]:
    if file.read(8) != SIGNATURE:
        raise FileError("It is no PNG picture.")
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            raise _CUT
        length, kind = struct.unpack(">L4s", header)
        if file.tell() + length + 4 > size:
            raise _CUT
        if kind == b"IEND":
            return
        if kind not in _TEXT_KINDS or length > strict_json.MAX_BYTES:
            file.seek(length + 4, 1)
            continue
        data = file.read(length)
        if file.read(4) != struct.pack(">L", zlib.crc32(data, zlib.crc32(kind))):
            if data.startswith(KEY.encode() + b"\0"):
                raise FileError("The workflow in the picture is damaged.", "Open another copy of it.")
            continue
        yield kind, data
    raise FileError(f"The picture has more than {MAX_CHUNKS:,} chunks.")


def _text_of(kind: bytes, data: bytes) -> bytes:
    """Return the text of a chunk as UTF-8, unpacked within the limit of a workflow."""
    rest = data.split(b"\0", 1)[1]
    if kind == b"tEXt":
        return _latin(rest)
    if kind == b"zTXt":
        return _latin(_inflate(rest[1:]))
    flags, rest = rest[:2], rest[2:]
    parts = rest.split(b"\0", 2)
    if len(flags) < 2 or len(parts) < 3:
        raise FileError("The workflow in the picture is damaged.", "Open another copy of it.")
    return _inflate(parts[2]) if flags[0] else parts[2]


def _latin(text: bytes) -> bytes:
    # The standard says Latin-1; many tools write UTF-8 all the same, and ours is ASCII there.
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1").encode("utf-8")
    return text


def _inflate(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, strict_json.MAX_BYTES + 1)
    except zlib.error:
        raise FileError("The workflow in the picture is damaged.", "Open another copy of it.") from None
    if len(text) > strict_json.MAX_BYTES or not unpacker.eof:
        raise FileError("The workflow in the picture is cut off or too large.")
    return text


def save(
    path: Path, pixels: NDArray[Any], workflow: Mapping[str, Json] | None = None, *, bits: int = 8
) -> None:
    """Write a picture atomically, marked as sRGB, with `workflow` in a text chunk.

    Args:
        path: Where to.
        pixels: ``[H, W, C]`` with C = 1, 3 or 4, or ``[H, W]``; float32 0–1 (clipped; what is no number is
            black), uint8, or uint16.
        workflow: The document in the form of a workflow file; None writes the picture alone.
        bits: 8 or 16 per channel.

    Raises:
        FileError: It could not be written; what was at `path` is still there.
        ValueError: `pixels` are no picture.
    """
    atomic.write(path, encode(pixels, workflow, bits=bits))


def encode(pixels: NDArray[Any], workflow: Mapping[str, Json] | None = None, *, bits: int = 8) -> bytes:
    """Return what `save` writes.

    Raises:
        ValueError: `pixels` are no picture.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in pixels.shape:
        raise ValueError(f"{list(pixels.shape)} is not the shape of a picture [H, W, C].")
    packed = _pack_16(_quantised(pixels, 16)) if bits == 16 else _pack_8(_quantised(pixels, 8))
    extra = _chunk(b"sRGB", b"\0")
    if workflow is not None:
        text = pretty.dumps(dict(workflow))
        extra += _chunk(b"iTXt", KEY.encode() + b"\0\0\0\0\0" + text)
    after_header = 8 + 25  # signature, IHDR
    return packed[:after_header] + extra + packed[after_header:]


def _quantised(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return pixels as uint8 or uint16, rounded."""
    import numpy as np

    kind = np.uint16 if bits == 16 else np.uint8
    if pixels.dtype == kind:
        return pixels
    whole = {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name, 1)
    scaled = np.nan_to_num(pixels.astype(np.float32) / whole, nan=0.0, posinf=1.0, neginf=0.0)
    most = 2**bits - 1
    return np.rint(np.clip(scaled, 0, 1).astype(np.float64) * most).astype(kind)


def _pack_8(pixels: NDArray[np.uint8]) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _pack_16(pixels: NDArray[np.uint16]) -> bytes:
    """Pillow would make 16-bit colour 8-bit; OpenCV keeps it, and wants blue first."""
    import cv2

    if pixels.ndim == 3:
        order = [2, 1, 0, 3][: pixels.shape[2]]
        pixels = pixels[:, :, order]
    done, packed = cv2.imencode(".png", pixels)
    if not done:
        raise ValueError("The picture could not be packed.")
    return packed.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(data, zlib.crc32(kind)))
