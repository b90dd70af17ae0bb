"""Colours: as people write them, and how bright they are."""

from __future__ import annotations

import re

import numpy as np

from studio.errors import NodeError
from studio.types import Image, Mask

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def parsed(text: str, socket: str) -> tuple[float, float, float]:
    """Red, green and blue, 0–1, of ``#rrggbb`` or ``#rgb``; the # may be left out.

    Raises:
        NodeError: It is written otherwise.
    """
    digits = text.strip().removeprefix("#")
    if re.fullmatch(r"[0-9a-fA-F]{3}", digits):
        digits = "".join(digit * 2 for digit in digits)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise NodeError(f"“{text}” is no colour.", "Write it as #rrggbb, such as #00ff00.", socket=socket)
    red, green, blue = bytes.fromhex(digits)
    return red / 255, green / 255, blue / 255


def luminance(image: Image) -> Mask:
    """How bright each pixel looks: the weights of Rec. 709 on the sRGB values as they are, ``[N, H, W]``."""
    return (image[..., :3] @ _LUMA).clip(0, 1)
