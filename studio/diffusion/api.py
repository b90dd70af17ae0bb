"""What authors of solvers, schedules and families write against. Imports torch: use it inside bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from studio.diffusion.schedules import Sampling, Sigmas
from studio.types import ConditioningEntry, Recipe

if TYPE_CHECKING:
    from studio.diffusion.device import Place

__all__ = ["Autoencoder", "Denoise", "Denoiser", "Encoder", "Family", "Noise", "Sampling", "Sigmas"]
__all__ += ["Solver", "State", "solver"]

Denoise = Callable[[torch.Tensor, float], torch.Tensor]
Check = Callable[[], None]


class Noise(Protocol):
    """Where a solver's own noise comes from.

    Attributes:
        draws: How many tensors were drawn so far; kept in `State`, so that a resumed solver goes on there.
    """

    draws: int

    def __call__(self, sigma: float, sigma_next: float) -> torch.Tensor:
        """Draw noise of unit variance, shaped like x, for the way from `sigma` down to `sigma_next`."""
        ...


@dataclass(frozen=True, eq=False)
class State:
    """A place on a trajectory; all that is needed to go on from it.

    Attributes:
        step: Steps done.
        x: float32 ``[N, C, (T,) H, W]``.
        history: What the solver remembers, newest first.
        guider: What the guider remembers.
        draws: Noise tensors drawn by the solver so far.
    """

    step: int
    x: torch.Tensor
    history: tuple[torch.Tensor, ...] = ()
    guider: tuple[torch.Tensor, ...] = ()
    draws: int = 0


Steps = Callable[[Denoise, Sigmas, Noise, State], Iterator[State]]


@dataclass(frozen=True)
class Solver:
    """A generator of states, and what of the schedule each of its steps depends on.

    It yields a `State` after every step, with `step`, `x` and `history` set, writes to no tensor it was
    given or has yielded, and draws noise only through the given source. Continued from any state it
    yielded, it gives the same bits as unbroken.

    Attributes:
        steps: The generator function.
        noise: Kind of noise it draws.
        look_ahead: Sigmas read beyond the next one.
        inner: It calls the model inside a step, too, and not at the step's start alone.
        drop_last: It wants the schedule one step longer, without the last sigma above zero.
        version: Raised when its results change.
    """

    steps: Steps
    noise: Literal["none", "gaussian"] = "none"
    look_ahead: int = 0
    inner: bool = False
    drop_last: bool = False
    version: int = 1

    def __call__(self, denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
        """Go on from `state`."""
        return self.steps(denoise, sigmas, noise, state)


def solver(
    *,
    noise: Literal["none", "gaussian"] = "none",
    look_ahead: int = 0,
    inner: bool = False,
    drop_last: bool = False,
    version: int = 1,
) -> Callable[[Steps], Solver]:
    """Declare a generator function as a solver; the options are those of `Solver`."""

    def declare(steps: Steps) -> Solver:
        return Solver(steps, noise, look_ahead, inner, drop_last, version)

    return declare


class Denoiser(Protocol):
    """A loaded denoiser of any family.

    Attributes:
        sampling: Its table of sigmas and what it predicts.
        channels: Of its latents.
        downscale: Picture pixels per latent pixel along a side.
        preview: Latent → RGB, ``[C + 1, 3]`` with the offsets last; values 0–1.
        device: Where it computes.
        check: Called before every block of the network; raises to stop inside a step.
    """

    sampling: Sampling
    channels: int
    downscale: int
    preview: torch.Tensor
    device: torch.device
    check: Check

    def __call__(
        self, x: torch.Tensor, sigma: float, entries: Sequence[ConditioningEntry]
    ) -> list[torch.Tensor]:
        """Return what `x` would be without noise under each entry, float32, one call where it can."""
        ...


class Encoder(Protocol):
    """A loaded text encoder with its tokenizer.

    Attributes:
        window: Tokens it takes at once, begin and end included.
        begin: Id of the token a text begins with.
        end: Id of the token a text ends with.
        pad: Id of the token short texts are filled with.
        check: Called before every layer.
    """

    window: int
    begin: int
    end: int
    pad: int
    check: Check

    def tokens(self, text: str) -> list[int]:
        """Ids of a text, without begin and end."""
        ...

    def encode(self, chunks: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode chunks of `window` ids: float32 ``[chunks, window, width]``, pooled ``[chunks, width]``."""
        ...


class Autoencoder(Protocol):
    """A loaded image autoencoder.

    Attributes:
        downscale: Picture pixels per latent pixel along a side.
        check: Called before every block.
    """

    downscale: int
    check: Check

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode ``[N, 3, H, W]``, −1–1, into latents in the denoiser's scale."""
        ...

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Decode latents in the denoiser's scale into ``[N, 3, H, W]``, −1–1."""
        ...


class Family(Protocol):
    """One architecture: how to know it, build it and call it. Importing its module must not import torch."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Return part → files and folders (relative) that make its identity; None if it is another family."""
        ...

    def load(self, recipe: Recipe, place: Place, check: Check) -> Denoiser | Encoder | Autoencoder:
        """Build one part with its weights on a device, without any network; `check` is called every 64 MB."""
        ...
