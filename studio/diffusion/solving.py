"""What a solver is: a generator of states over noise levels, and what may be told about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch

from studio.diffusion.schedules import Sigmas

Denoise = Callable[[torch.Tensor, float], torch.Tensor]


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


class Unguided(Protocol):
    """What the `denoise` given to a solver may be able to do beside being called; CFG++ solvers ask for it.

    Where it cannot, they take the estimate itself for the one without guidance.
    """

    def unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what a call returns, and the estimate under the negative conditioning alone."""
        ...


Steps = Callable[..., Iterator[State]]
NoiseKind = Literal["none", "gaussian", "brownian"]


@dataclass(frozen=True)
class Solver:
    """A generator of states, and what of the schedule each of its steps depends on.

    It yields a `State` after every step, with `step`, `x` and `history` set, writes to no tensor it was
    given or has yielded, and draws noise only through the given source. Continued from any state it
    yielded, it gives the same bits as unbroken.

    Attributes:
        steps: The generator function, of (denoise, sigmas, noise, state); what it takes by name alone are
            options of the solver, numbers with a default.
        noise: Kind of noise it draws; ``brownian`` noise is that of one path over the whole schedule.
        look_ahead: Sigmas read beyond the next one.
        inner: It calls the model inside a step, too, and not at the step's start alone.
        drop_last: It wants the schedule one step longer, without the last sigma above zero.
        own_steps: Its steps are not those of the schedule: the `step` of a state says how many sigmas all its
            calls of the model have been at or above, may stay as it is and may skip; the last is the whole.
        rises: It also goes up, from a picture to the noise it would come from.
        version: Raised when its results change.
        chosen: Options that are not at their default.
    """

    steps: Steps
    noise: NoiseKind = "none"
    look_ahead: int = 0
    inner: bool = False
    drop_last: bool = False
    own_steps: bool = False
    rises: bool = False
    version: int = 1
    chosen: tuple[tuple[str, float], ...] = ()

    def __call__(self, denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State) -> Iterator[State]:
        """Go on from `state`."""
        return self.steps(denoise, sigmas, noise, state, **dict(self.chosen))

    @property
    def options(self) -> dict[str, float]:
        """Options it has (``eta``, ``s_noise``, ``order``, …) and their defaults."""
        parameters = inspect.signature(self.steps).parameters.values()
        return {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}

    def given(self, options: Mapping[str, float]) -> Solver:
        """The same solver with options chosen.

        Those it does not have are left out, and so is what is at its default. An order of 0, or one above
        the solver's own, is its own.
        """
        defaults = self.options
        kept = {
            name: type(defaults[name])(value)
            for name, value in options.items()
            if value != defaults.get(name, value)
        }
        if not 0 < kept.get("order", 0) < defaults.get("order", 0):
            kept.pop("order", None)
        return replace(self, chosen=tuple(sorted(kept.items())))


def solver(
    *,
    noise: NoiseKind = "none",
    look_ahead: int = 0,
    inner: bool = False,
    drop_last: bool = False,
    own_steps: bool = False,
    rises: bool = False,
    version: int = 1,
) -> Callable[[Steps], Solver]:
    """Declare a generator function as a solver; the options are those of `Solver`."""

    def declare(steps: Steps) -> Solver:
        return Solver(steps, noise, look_ahead, inner, drop_last, own_steps, rises, version)

    return declare
