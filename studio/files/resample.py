"""Pictures of another size, in floats, with alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from studio.types import Image

Box = tuple[float, float, float, float]


def resize(image: Image, width: int, height: int, fit: str, method: str) -> Image:
    """Return every picture of a batch at another size, clipped to 0–1.

    Args:
        image: ``[N, H, W, C]``.
        width: Pixels.
        height: Pixels.
        fit: ``crop`` covers the size and cuts what stands over, ``stretch`` fills it, ``inside`` gives the
            largest size within it that keeps the proportions.
        method: ``lanczos``, ``bicubic``, ``bilinear``, ``nearest``, or ``area``: the mean of each.
    """
    rows, columns = image.shape[1:3]
    box: Box = (0.0, 0.0, float(columns), float(rows))
    if fit == "inside":
        scale = min(width / columns, height / rows)
        width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    elif fit == "crop":
        scale = max(width / columns, height / rows)
        left, top = (columns - width / scale) / 2, (rows - height / scale) / 2
        box = (max(0.0, left), max(0.0, top), min(columns, columns - left), min(rows, rows - top))
    return np.stack([_picture(picture, (width, height), box, method) for picture in image])


def _picture(
    picture: NDArray[np.float32], size: tuple[int, int], box: Box, method: str
) -> NDArray[np.float32]:
    if picture.shape[2] == 3:
        return _planes(picture, size, box, method)
    # Colours under full transparency must not bleed into what is seen.
    alpha = picture[:, :, 3:]
    weighted = _planes(np.concatenate([picture[:, :, :3] * alpha, alpha], 2), size, box, method)
    weights = np.maximum(weighted[:, :, 3:], np.float32(1e-6))
    return np.concatenate([(weighted[:, :, :3] / weights).clip(0, 1), weighted[:, :, 3:]], 2)


def _planes(
    picture: NDArray[np.float32], size: tuple[int, int], box: Box, method: str
) -> NDArray[np.float32]:
    from PIL import Image as PilImage

    kind = PilImage.Resampling["BOX" if method == "area" else method.upper()]
    planes = [
        np.asarray(PilImage.fromarray(np.ascontiguousarray(plane)).resize(size, kind, box), np.float32)
        for plane in np.moveaxis(picture, 2, 0)
    ]
    return cast("NDArray[np.float32]", np.stack(planes, 2).clip(0, 1))
