"""Pictures made poorer on purpose, for networks that give back what is missing. ``[N, H, W, C]`` each."""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.files.resample import resize
from studio.types import Image

_MAP_PARTS = 8
_SEED_MASK = 2**64 - 1


def tile(image: Image, factor: float = 4.0) -> Image:
    """Leave out fine detail: smaller by `factor` (means of what falls together), and enlarged again."""
    height, width = image.shape[1:3]
    sides = (max(1, round(width / factor)), max(1, round(height / factor)))
    return resize(resize(image, *sides, "stretch", "area"), width, height, "stretch", "bicubic")


def blur(image: Image, radius: float = 8.0) -> Image:
    """Blur by a Gaussian of standard deviation `radius` pixels; the border is continued by its last value."""
    if radius <= 0:
        return image
    blurred = [
        cv2.GaussianBlur(np.array(picture), (0, 0), radius, borderType=cv2.BORDER_REPLICATE)
        for picture in image
    ]
    return np.asarray(np.stack(blurred), np.float32).clip(0, 1)


def colours(image: Image, cell: int = 64) -> Image:
    """Leave only the mean colour of cells of so many pixels."""
    height, width = image.shape[1:3]
    sides = (max(1, round(width / cell)), max(1, round(height / cell)))
    return resize(resize(image, *sides, "stretch", "area"), width, height, "stretch", "nearest")


def inverted(image: Image) -> Image:
    """Turn light into dark; alpha stays."""
    turned = 1 - image[..., :3]
    return turned if image.shape[3] == 3 else np.concatenate([turned, image[..., 3:]], axis=3)


def shuffled(image: Image, size: float = 0.25, seed: int = 0) -> Image:
    """Take a picture apart by a smooth random warp: colours and textures stay, what it shows is lost.

    Args:
        image: The picture; all of a batch are warped alike.
        size: Of the swirls, in parts of the longer side.
        seed: Of the warp.
    """
    height, width = image.shape[1:3]
    random = np.random.default_rng(seed & _SEED_MASK)
    step = max(2.0, size * max(height, width))
    rows, columns = (max(2, math.ceil(side / step) + 1) for side in (height, width))
    where: list[NDArray[np.float32]] = []
    for limit in (width, height):
        coarse = random.random((rows, columns)).astype(np.float32)
        fine = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        low, high = float(fine.min()), float(fine.max())
        where.append((fine - low) / max(high - low, 1e-9) * (limit - 1))
    warped = [
        cv2.remap(np.array(picture), where[0], where[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        for picture in image
    ]
    return cast("Image", np.stack(warped).astype(np.float32).clip(0, 1))


def normals_from_depth(depth: Image, strength: float = 1.0, background: float = 0.0) -> Image:
    """Which way surfaces look, from a picture of nearness (bright = near).

    Red is to the right, green up, blue towards the eye, each −1–1 as 0–1: the usual colours of ControlNet's
    normal maps.

    Args:
        depth: ``[N, H, W, C]``; its first channel is read.
        strength: How steep slopes become; 1 takes the whole range of nearness as deep as the shorter side
            is long divided by four.
        background: What is darker counts as facing the eye.
    """
    planes = depth[..., 0]
    deep = strength * min(planes.shape[1:]) / 4
    pictures: list[NDArray[np.float32]] = []
    for plane in planes:
        smooth = np.array(plane)
        across = np.asarray(cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32), np.float32) * deep
        down = np.asarray(cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32), np.float32) * deep
        far = plane < background
        across, down = np.where(far, 0, across), np.where(far, 0, down)
        # A surface that comes nearer to the right looks to the left; rows count downwards.
        normal = np.stack([-across, down, np.ones_like(across)], 2)
        pictures.append(normal / np.linalg.norm(normal, axis=2, keepdims=True))
    return (np.stack(pictures) * 0.5 + 0.5).clip(0, 1).astype(np.float32)
