"""Outputs of nodes as 8-bit pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.cache.store import Store
from studio.errors import StudioError
from studio.types import Latent
from studio.worker.messages import MAX_BYTES
from studio.worker.protocol import FetchPicture, PictureReply

Look = Callable[[Latent, int], NDArray[np.uint8] | None]
_ROOM_BYTES = 64 * 1024


def fetch(store: Store, request: FetchPicture, look: Look) -> PictureReply:
    """Answer `request` from what is stored; any trouble is a sentence in the reply."""
    try:
        outputs = store.load(request.key)
        if outputs is None or request.output not in outputs:
            raise StudioError("This result is no longer stored.", "Run again to have it back.")
        pixels = picture(outputs[request.output], request.index, look)
        pixels = shrunk(pixels, request.max_px)
        if pixels.nbytes > MAX_BYTES - _ROOM_BYTES:
            raise StudioError(f"A picture of {pixels.nbytes:,} bytes is too large to show whole.")
    except StudioError as error:
        return PictureReply(request.id, 0, 0, 0, b"", str(error))
    height, width, channels = pixels.shape
    return PictureReply(request.id, width, height, channels, np.ascontiguousarray(pixels).tobytes())


def picture(value: object, index: int, look: Look) -> NDArray[np.uint8]:
    """Return one picture ``[H, W, 3 or 4]`` of an image, a mask, a latent or a list of them.

    Args:
        value: An output.
        index: Which picture of a batch; of a list, which item, of which the first picture is meant.
        look: Turns latents into pictures.

    Raises:
        StudioError: It has no picture of that index, or is nothing one can look at.
    """
    if isinstance(value, list):
        items = cast("list[object]", value)
        if not 0 <= index < len(items):
            raise StudioError(f"There is no picture number {index + 1} in this list.")
        return picture(items[index], 0, look)
    if not 0 <= index < _count(value):
        raise StudioError(f"There is no picture number {index + 1} in this result.")
    if isinstance(value, Latent):
        seen = look(value, index)
        if seen is None:
            raise StudioError("Latents of this kind cannot be shown before they are decoded.")
        return seen
    array = cast("NDArray[np.float32]", value)[index]
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    return to_bytes(array)


def to_bytes(array: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return 0–1 as 0–255, rounded; what lies outside is clipped, and what is no number is black."""
    scaled = np.nan_to_num(array, nan=0.0) * np.float32(255) + np.float32(0.5)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def shrunk(pixels: NDArray[np.uint8], max_px: int) -> NDArray[np.uint8]:
    """Return `pixels` with a longest side of at most `max_px`; 0 is no limit."""
    height, width = pixels.shape[:2]
    scale = max_px / max(height, width)
    if max_px <= 0 or scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cast("NDArray[np.uint8]", cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def unseen(_latent: Latent, _index: int) -> None:
    """A `Look` for engines that know no latents."""


def _count(value: object) -> int:
    """How many pictures a value holds.

    Raises:
        StudioError: It is nothing one can look at.
    """
    if isinstance(value, Latent):
        return int(value.samples.shape[0])
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        if array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (3, 4)):
            return int(array.shape[0])
    raise StudioError("This result is no picture.")
