"""What a session needs of the side that computes: device, numerics, weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.types import Latent
from studio.worker.pictures import unseen
from studio.worker.protocol import EngineReady


@dataclass(frozen=True)
class Compute:
    """A device that was chosen, and what runs on it.

    Attributes:
        ready: What the editor is told once it is warm.
        numerics: What enters the keys of nodes that use weights.
        warm: Loads what runs will need sooner or later; slow, and not needed before they may begin.
        weights: The weights store given to nodes; None for toy nodes.
        memory: Bytes used and bytes there are: of the device, or of this process on a CPU.
        look: A latent's picture ``[H, W, 3]`` uint8, of one element of its batch; None if its family is
            unknown.
        foresee: Loads what the first run of a usual model would wait for; nobody waits for it here.
    """

    ready: EngineReady
    numerics: Callable[[], str]
    memory: Callable[[], tuple[int, int]]
    warm: Callable[[], None] = lambda: None
    weights: Any = None
    look: Callable[[Latent, int], NDArray[np.uint8] | None] = unseen
    foresee: Callable[[], None] = lambda: None
