"""Distance maps: a wire type of the package's own, and nodes that make and read it."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from studio.api import Image, Mask, NodeError, Range, node, wire


@wire("acme/depth", "#4ecdc4", "float32 [N, H, W], metres from the camera")
@dataclass(frozen=True, eq=False)
class Depth:
    """How far away each pixel is.

    Attributes:
        metres: float32 ``[N, H, W]``.
        near: The nearest distance that can occur, in metres.
    """

    metres: NDArray[np.float32]
    near: float


class Parts(NamedTuple):
    """A picture taken apart by distance.

    Attributes:
        front: 1 where the picture is nearer than the limit.
        back: 1 where it is not.
    """

    front: Mask
    back: Mask


@node("depth_from_brightness", category="Acme/Depth")
def depth_from_brightness(
    image: Image,
    *,
    near: Annotated[float, Range(0.1, 100, step=0.1)] = 1.0,
    far: Annotated[float, Range(0.1, 1000, step=1)] = 20.0,
) -> Depth:
    """Take what is bright for near and what is dark for far.

    Args:
        image: The picture to read.
        near: Distance of white, in metres.
        far: Distance of black, in metres.
    """
    if far <= near:
        raise NodeError(
            f"“far” is {far} m and “near” is {near} m.", "Make “far” the larger one.", socket="far"
        )
    brightness = image[..., :3].mean(axis=-1)
    return Depth((far - brightness * (far - near)).astype(np.float32), near)


@node("depth_parts", category="Acme/Depth")
def depth_parts(depth: Depth, *, limit: Annotated[float, Range(0, 1000)] = 5.0) -> Parts:
    """Part a picture at a distance.

    Args:
        depth: How far away each pixel is.
        limit: Where the front ends, in metres.
    """
    front = (depth.metres < limit).astype(np.float32)
    return Parts(front, 1 - front)
