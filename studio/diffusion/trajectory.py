"""Trajectories that can be stopped, stored and resumed: one key for every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, cast

import torch

from studio.diffusion.api import Noise, Sampling, Sigmas, Solver, State
from studio.diffusion.guidance.guiders import Ranged

if TYPE_CHECKING:
    from studio.cache.store import Store

_WORTH_KEEPING_S = 0.05


class Guider(Protocol):
    """Turns x at a noise level into one estimate of the picture, and may remember from call to call."""

    @property
    def state(self) -> tuple[torch.Tensor, ...]:
        """What it remembers."""
        ...

    @state.setter
    def state(self, state: tuple[torch.Tensor, ...]) -> None: ...

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Estimate the picture."""
        ...

    def unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimate the picture, and what it would be under the negative conditioning alone."""
        ...

    def ranged(self) -> Iterable[Ranged]:
        """What acts, each with its range of the trajectory."""
        ...


class Watched:
    """A guider that keeps its first estimate in a step, for whoever wants to see it.

    Attributes:
        estimate: The first since it was last taken away.
        also: What acts beside what the guider tells.
    """

    def __init__(self, guider: Guider) -> None:
        self.estimate: torch.Tensor | None = None
        self.also: list[Ranged] = []
        self._guider = guider

    @property
    def state(self) -> tuple[torch.Tensor, ...]:
        """What the guider remembers."""
        return self._guider.state

    @state.setter
    def state(self, state: tuple[torch.Tensor, ...]) -> None:
        self._guider.state = state

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """As the guider's."""
        found = self._guider(x, sigma)
        self.estimate = found if self.estimate is None else self.estimate
        return found

    def unguided(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        """As the guider's."""
        found = self._guider.unguided(x, sigma)
        self.estimate = found[0] if self.estimate is None else self.estimate
        return found

    def ranged(self) -> Iterable[Ranged]:
        """What acts."""
        return [*self._guider.ranged(), *self.also]

    def take(self) -> torch.Tensor | None:
        """The estimate of the step that has just been done; the next one begins."""
        estimate, self.estimate = self.estimate, None
        return estimate


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a trajectory depends on.

    Attributes:
        origin: Digest of all that acts from the very start: model, initial latent, noise, mask, numerics.
        solver: How steps are taken.
        solver_name: As registered, with its parameters.
        sigmas: Noise levels.
        sampling: Of the denoiser.
        guider: Gives the estimates.
    """

    origin: str
    solver: Solver
    solver_name: str
    sigmas: Sigmas
    sampling: Sampling
    guider: Guider

    def keys(self) -> list[str]:
        """Key of the state before each step, and of the last one.

        A step's key is made of the one before, of the sigmas that the step reads and of what acts in it,
        so that two trajectories share their states up to the first step in which they differ.
        """
        start = [self.origin, self.solver_name, str(self.solver.version), self.sigmas[0].hex()]
        start += [f"{name} {float(value).hex()}" for name, value in self.solver.chosen]
        if self.solver.noise == "brownian":
            # The tree of its noise hangs between the extremes.
            levels = [sigma for sigma in self.sigmas if sigma > 0]
            start += [min(levels).hex(), max(levels).hex()]
        keys = [_digest("trajectory", *start)]
        ranged = list(self.guider.ranged())
        for k in range(len(self.sigmas) - 1):
            read = self.sigmas[k : k + 2 + self.solver.look_ahead]
            acting = self._acting(ranged, k)
            keys.append(_digest(keys[-1], *(sigma.hex() for sigma in read), "acting", *acting))
        return keys

    def _acting(self, ranged: list[Ranged], k: int) -> Iterator[str]:
        """What acts in step `k`; where it begins or ends within a step that looks inside, the ends too."""
        ends = [self.sampling.progress(sigma) for sigma in self.sigmas[k : k + 2]]
        # Turned round, a trajectory goes from picture to noise.
        first, last = (min(ends), max(ends)) if self.solver.inner else (ends[0], ends[0])
        for (begin, end), digest in ranged:
            if begin <= first and (last < end or end >= 1):
                yield digest
            elif begin <= last and (first < end or end >= 1):
                yield f"{digest} {begin.hex()} {end.hex()}"

    def run(
        self,
        begin: Callable[[], torch.Tensor],
        noise: Callable[[torch.Tensor, int], Noise],
        store: Store | None,
        device: torch.device,
        *,
        may_resume: Callable[[int], bool] = lambda step: True,
        state: State | None = None,
    ) -> Iterator[State]:
        """Yield the state after every step, beginning with the last one that is stored.

        Args:
            begin: Gives x at the first noise level; not called where a stored state is found.
            noise: From x and the count of draws made, where the solver's noise comes from.
            store: Where states are kept; None keeps none.
            device: Where to compute.
            may_resume: Whether the state after so many steps may be taken from the store.
            state: Where to go on, instead of the last that is stored.
        """
        keys = self.keys()
        state = state or self._stored(keys, store, device, may_resume) or State(0, begin().to(device))
        if state.step:
            self.guider.state = state.guider
            yield state
        source = noise(state.x, state.draws)
        kept = time.perf_counter()
        for bare in self.solver(self.guider, self.sigmas.of(self.sampling), source, state):
            step = replace(bare, guider=self.guider.state, draws=source.draws)
            # The end is kept by whoever asked for it, unless the schedule may go on from there.
            if store is not None and (step.step < len(keys) - 1 or self.sigmas[-1] > 0):
                now = time.perf_counter()
                keep = now - kept >= _WORTH_KEEPING_S
                store.put(keys[step.step], _stored_form(step), seconds=now - kept, keep=keep)
                kept = now if keep else kept
            yield step

    def _stored(
        self,
        keys: list[str],
        store: Store | None,
        device: torch.device,
        may_resume: Callable[[int], bool],
    ) -> State | None:
        if store is None:
            return None
        last = len(keys) - (1 if self.sigmas[-1] > 0 else 2)
        for k in range(last, 0, -1):
            if store.header(keys[k]) is not None and may_resume(k):
                outputs = store.load(keys[k])
                if outputs is not None:
                    return _state(outputs, k, device)
        return None


def _stored_form(state: State) -> dict[str, object]:
    # Tuples: the store digests the elements of a list, which nobody asks for here.
    return {
        "x": state.x.cpu(),
        "history": tuple(item.cpu() for item in state.history),
        "guider": tuple(item.cpu() for item in state.guider),
        "draws": state.draws,
    }


def _state(outputs: dict[str, object], step: int, device: torch.device) -> State:
    x = cast("torch.Tensor", outputs["x"]).to(device)
    history, guider = (
        tuple(item.to(device) for item in cast("tuple[torch.Tensor, ...]", outputs[name]))
        for name in ("history", "guider")
    )
    return State(step, x, history, guider, cast("int", outputs["draws"]))


def _digest(*parts: str) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
