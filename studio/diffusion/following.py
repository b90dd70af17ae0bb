"""Following a trajectory to its end: what a sampler does once all its parts are there."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch

from studio.cache import codec
from studio.diffusion import preview
from studio.diffusion.api import Denoiser, Sigmas, Solver, State
from studio.diffusion.canvas import Canvas, Masked
from studio.diffusion.guidance.guiders import Guided
from studio.diffusion.lending import effect_of
from studio.diffusion.memory.fitting import stepping_down
from studio.diffusion.noise import source
from studio.diffusion.trajectory import Trajectory, Watched
from studio.errors import NodeError
from studio.types import Guider, Latent, Patch

if TYPE_CHECKING:
    from studio.context import Context

_PREVIEW_S = 0.05
_NEAR = 1e-4
Wanted = Literal["none", "last", "all"]


@dataclass(frozen=True, eq=False)
class Sampled:
    """What came of a trajectory.

    Attributes:
        latent: Its end.
        predicted: The picture as it was estimated in the last step; where every step was wanted, in each of
            them, one behind the other, all pictures of the batch for each; None where none was wanted.
    """

    latent: Latent
    predicted: Latent | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """All that makes a trajectory."""

    guider: Guider
    guided: Guided
    canvas: Canvas
    sigmas: Sigmas
    solver: Solver
    solver_name: str
    wanted: Wanted = "none"


def sampled(ctx: Context, denoiser: Denoiser, plan: Plan) -> Sampled:
    """Follow the trajectory of a plan, from the last of its steps that is stored.

    Raises:
        NodeError: What comes of it are no numbers, or the model does not take what it is told.
        Cancelled: Inside a step.
    """
    canvas, sigmas, patches = plan.canvas, plan.sigmas, plan.guider.model.recipe.patches
    if len(sigmas) < 2:
        return Sampled(canvas.latent, None if plan.wanted == "none" else canvas.latent)
    bare = replace(plan.guider.model.recipe, patches=())
    rows = len(canvas.latent.samples) * max(1, len(plan.guider.told))
    ctx.weights.fit(denoiser, (rows, *canvas.latent.samples.shape[1:]))
    said = [bare.key_part, *canvas.said(), ctx.weights.numerics(), ctx.weights.changes(denoiser)]
    origin = codec.digest(said)
    watched = Watched(plan.guided)
    if canvas.mask is not None:
        masks = [patch.span for patch in patches if _is_mask(ctx, patch)]
        if masks:
            origin = codec.digest([origin, sigmas[0], sigmas[-1]])
        watched = Watched(Masked(plan.guided, canvas, sigmas, masks))
    trajectory = Trajectory(origin, plan.solver, plan.solver_name, sigmas, denoiser.sampling, watched)
    run = _Run(ctx, trajectory, canvas, denoiser, watched, plan.guided, plan.wanted)
    x = run.follow()
    if not bool(torch.isfinite(x).all()):
        raise _no_numbers(sigmas)
    with torch.inference_mode(False):  # what nodes give may be used in any way
        predicted = run.predicted()
        return Sampled(
            replace(canvas.latent, samples=canvas.end(x.clone(), sigmas)),
            None if predicted is None else _seen_latent(canvas.latent, predicted),
        )


def _no_numbers(sigmas: Sigmas) -> NodeError:
    """Blame noise levels so close that a division by their distance has no value, if there are any."""
    for step, (level, after) in enumerate(pairwise(sigmas), start=1):
        if math.isclose(level, after, rel_tol=_NEAR):
            return NodeError(
                f"The sampler came to values that are no numbers; the noise levels of steps {step} and "
                f"{step + 1} are nearly the same: {level:g} and {after:g}.",
                "Give fewer steps, or noise levels further apart.",
            )
    return NodeError(
        "The model gave values that are no numbers.", "Lower the guidance, or choose another solver."
    )


def _seen_latent(like: Latent, samples: torch.Tensor) -> Latent:
    """Predicted pictures as a latent; of several steps they are a batch of their own, without a mask."""
    if len(samples) == len(like.samples):
        return replace(like, samples=samples)
    return Latent(samples, like.downscale)


def _is_mask(ctx: Context, patch: Patch) -> bool:
    effect = effect_of(ctx, patch)
    return effect is not None and effect.stage == "mask"


class _Run:
    """Follows one trajectory to its end, telling how far it is and what it looks like."""

    def __init__(
        self,
        ctx: Context,
        trajectory: Trajectory,
        canvas: Canvas,
        denoiser: Denoiser,
        watched: Watched,
        guided: Guided,
        wanted: Wanted,
    ) -> None:
        self._ctx, self._trajectory, self._canvas = ctx, trajectory, canvas
        self._denoiser, self._watched, self._guided = denoiser, watched, guided
        total = len(trajectory.sigmas) - 1
        self._wanted = range(1 if wanted == "all" else total, total + 1) if wanted != "none" else range(0)
        self._keys: list[str] = []
        self._last: State | None = None
        self._predicted: dict[int, torch.Tensor] = {}

    def follow(self) -> torch.Tensor:
        """X at the end, on the CPU; where memory does not suffice, it goes on in a slower mode."""
        weights, guided = self._ctx.weights, self._guided

        def changed() -> str:
            return " ".join(name for name in (weights.changes(self._denoiser), guided.changes) if name)

        first = changed()

        def work() -> torch.Tensor:
            changes = changed()
            if changes != first:
                # Steps from here on are not what they would have been, and are kept under other keys.
                done = self._last.step if self._last is not None else 0
                begin = self._trajectory.sampling.progress(self._trajectory.sigmas[done])
                self._watched.also.append(((begin, 1.0), f"stepped down to {changes}"))
            self._watched.take()
            return self._follow()

        # Entries one by one take hardly longer: nothing else is given up before.
        return stepping_down(lambda: guided.ask_fewer() or weights.step_down(self._denoiser), work)

    def _follow(self) -> torch.Tensor:
        ctx, trajectory, canvas = self._ctx, self._trajectory, self._canvas
        sigmas, total = trajectory.sigmas, len(trajectory.sigmas) - 1
        self._keys = trajectory.keys() if self._wanted else []
        ctx.progress(0, total)
        states = trajectory.run(
            lambda: canvas.begin(sigmas),
            source(trajectory.solver.noise, sigmas, canvas.noise.seed, canvas.batch),
            ctx.checkpoints,
            self._denoiser.device,
            may_resume=self._has_predicted,
            state=self._last,
        )
        x, shown = canvas.latent.samples, 0.0
        for state in states:
            x, picture, estimate = state.x, None, self._watched.take()
            self._last = state
            self._remember(state.step, estimate)
            if time.monotonic() - shown >= _PREVIEW_S:
                seen = _seen(state, sigmas) if estimate is None else estimate
                picture = preview.of(self._denoiser, seen)
                shown = time.monotonic()
            ctx.progress(state.step, total, picture)
        return x.cpu()

    def predicted(self) -> torch.Tensor | None:
        """The estimates that were wanted, one behind the other."""
        if not self._wanted:
            return None
        # A solver that chooses its own steps may skip some.
        there = [step for step in self._wanted if step in self._predicted]
        return torch.cat([self._predicted[step].clone() for step in there])

    def _remember(self, step: int, estimate: torch.Tensor | None) -> None:
        if step not in self._wanted or estimate is None:
            return
        self._predicted[step] = estimate.cpu().clone()
        if self._ctx.checkpoints is not None:
            outputs = {"predicted": self._predicted[step]}
            self._ctx.checkpoints.put(self._name(step), outputs, seconds=0.05, keep=False)

    def _has_predicted(self, step: int) -> bool:
        """Whether all that is wanted up to a step lies in the store; if so, takes it from there."""
        store, found = self._ctx.checkpoints, dict[int, torch.Tensor]()
        for earlier in self._wanted:
            if earlier > step:
                break
            outputs = None
            if store is not None and store.header(self._name(earlier)) is not None:
                outputs = store.load(self._name(earlier))
            estimate = (outputs or {}).get("predicted")
            if not isinstance(estimate, torch.Tensor):
                return False
            found[earlier] = estimate
        self._predicted = found
        return True

    def _name(self, step: int) -> str:
        return codec.digest(["predicted", self._keys[step]])


def _seen(state: State, sigmas: Sigmas) -> torch.Tensor:
    return state.x * (1.0 if sigmas.flow else 1 / math.sqrt(1 + sigmas[state.step] ** 2))
