"""What the declarations name; imported when first used, so torch may be at the top."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch

from studio.api import Image, Patch
from studio.diffusion.api import Denoise, Noise, Sampling, Sigmas, State, solver


@solver(inner=True)
def midpoint(denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
    """Take the slope half-way down for the whole step."""
    x = state.x
    for k in range(state.step, len(sigmas) - 1):
        sigma, target = sigmas[k], sigmas[k + 1]
        between = (sigma + target) / 2
        slope = (x - denoise(x, sigma)) / sigma
        half = x + slope * (between - sigma)
        slope = (half - denoise(half, between)) / between
        x = x + slope * (target - sigma)
        yield State(k + 1, x)


def even(sampling: Sampling, steps: int) -> Sigmas:
    """Fall from the highest noise level to 0 in equal parts."""
    return Sigmas(np.linspace(sampling.high, 0, steps + 1).tolist(), flow=sampling.flow)


def steady(positive: torch.Tensor, negative: torch.Tensor, scale: float) -> torch.Tensor:
    """Guide, then give the result the length of the positive estimate."""
    guided = negative + scale * (positive - negative)
    return guided * (positive.norm() / guided.norm().clamp(min=1e-8))


class Soften:
    """Lets a denoiser of the package's family see less bright by the parameter “amount”."""

    kind: Literal["run"] = "run"

    def apply(self, denoiser: Any, patch: Patch) -> Callable[[], None]:
        """Change its level, and give back what undoes that."""
        level, amount = denoiser.level, patch.params.get("amount", 0.0)
        assert isinstance(amount, int | float)
        denoiser.level = level * (1 - amount)

        def undo() -> None:
            denoiser.level = level

        return undo


SOFTEN = Soften()


def outline(image: Image) -> Image:
    """Mark where neighbouring pixels differ."""
    grey = image[..., :3].mean(axis=-1)
    edges = np.abs(np.diff(grey, axis=1, prepend=grey[:, :1])) + np.abs(
        np.diff(grey, axis=2, prepend=grey[:, :, :1])
    )
    return np.repeat(edges.clip(0, 1)[..., None], 3, axis=-1).astype(np.float32)
