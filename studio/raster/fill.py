"""What stands under a mask before something is painted there."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.raster import mask as masks
from studio.types import Image, Mask

_COLOURS = {"grey": 0.5, "black": 0.0, "white": 1.0}
_PASSES = 6


def filled(image: Image, mask: Mask, method: str, radius: float) -> Image:
    """Replace what a mask marks; alpha stays.

    Args:
        image: ``[N or 1, H, W, 3 or 4]``.
        mask: ``[N or 1, H, W]`` of the same size; between 0 and 1 old and new are mixed.
        method: ``grey``, ``black``, ``white``, ``blur`` (the colours around, drawn in softly), or ``border``
            (Navier-Stokes equations continue what meets the border, Bertalmio et al. 2001).
        radius: Standard deviation in pixels of ``blur``; how far ``border`` looks around.
    """
    count = max(len(image), len(mask))
    image = np.broadcast_to(image, (count, *image.shape[1:]))
    planes = np.broadcast_to(mask, (count, *mask.shape[1:]))
    pictures: list[NDArray[np.float32]] = []
    for picture, plane in zip(image[..., :3], planes, strict=True):
        if method == "blur":
            new = _blurred_in(picture, plane, radius)
        elif method == "border":
            new = _continued(picture, plane, radius)
        else:
            new = np.full_like(picture, _COLOURS[method])
        pictures.append(picture + plane[..., None] * (new - picture))
    result = np.stack(pictures).clip(0, 1)
    return result if image.shape[3] == 3 else np.concatenate([result, image[..., 3:]], axis=3)


def _blurred_in(
    picture: NDArray[np.float32], plane: NDArray[np.float32], radius: float
) -> NDArray[np.float32]:
    """Means of what is not marked, over ever wider surroundings, until every pixel has some."""
    known = 1 - plane
    if not known.any():
        return np.full_like(picture, 0.5)
    colours, weight = np.zeros_like(picture), np.zeros_like(plane)
    sigma = max(1.0, radius)
    for _ in range(_PASSES):
        near = masks.blurred(known[None], sigma)[0]
        seen = np.stack(
            [masks.blurred((picture[..., part] * known)[None], sigma)[0] for part in range(3)], axis=2
        )
        # Surroundings that are hardly seen leave the rest of the weight to wider ones.
        share = (1 - weight) * (near / (near + 0.01))
        colours += share[..., None] * seen / np.maximum(near, 1e-9)[..., None]
        weight += share
        sigma *= 3
    mean = (picture * known[..., None]).sum((0, 1)) / known.sum()
    return (colours + (1 - weight)[..., None] * mean).astype(np.float32)


def _continued(
    picture: NDArray[np.float32], plane: NDArray[np.float32], radius: float
) -> NDArray[np.float32]:
    marked = (plane > 0).astype(np.uint8)
    if marked.all():
        return np.full_like(picture, 0.5)
    parts = [
        cv2.inpaint(np.ascontiguousarray(picture[..., part]), marked, max(1.0, radius), cv2.INPAINT_NS)
        for part in range(3)
    ]
    return np.stack([np.asarray(part, np.float32) for part in parts], axis=2)
