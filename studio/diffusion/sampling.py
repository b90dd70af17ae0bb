"""What sampler nodes do: noise, sigmas, solver and guidance put together over one latent."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from studio.cache import codec
from studio.diffusion import preview
from studio.diffusion.api import Denoiser, Sigmas, Solver
from studio.diffusion.canvas import Canvas, Masked, fitted
from studio.diffusion.conditioning import name_of
from studio.diffusion.guidance.effects import Effect
from studio.diffusion.guidance.guiders import Effective, Guided
from studio.diffusion.noise import source
from studio.diffusion.schedules import denoised_part
from studio.diffusion.trajectory import Trajectory, Watched
from studio.errors import NodeError
from studio.types import Conditioning, Guider, Latent, Model, Noise, Patch, Recipe

if TYPE_CHECKING:
    from studio.context import Context
    from studio.diffusion import api

_PREVIEW_S = 0.05
Wanted = Literal["none", "last", "all"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The sampler's knobs, as the node documents them.

    Attributes:
        start: Step of the whole schedule to begin with.
        end: Step to end before; None = the last.
        added: Whether noise is added to begin with.
        leftover: Whether what noise is left at an early end is left in the latent.
    """

    seed: int
    steps: int
    guidance: float
    solver: str
    schedule: str
    denoise: float = 1.0
    start: int = 0
    end: int | None = None
    added: bool = True
    leftover: bool = False


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


def sample(
    ctx: Context,
    model: Model,
    positive: Conditioning,
    negative: Conditioning | None,
    latent: Latent,
    settings: Settings,
) -> Latent:
    """Denoise a latent.

    Raises:
        NodeError: The latent, a conditioning or a name does not fit the model.
        Cancelled: Inside a step.
    """
    told = {"positive": positive} if negative is None else {"positive": positive, "negative": negative}
    guider = Guider(model, told, {"guidance": settings.guidance})
    solver = as_solver(ctx.extension("solver", settings.solver))
    schedule = ctx.extension("schedule", settings.schedule)
    noise = Noise(settings.seed, settings.added)
    with guiding(ctx, guider) as (denoiser, guided):
        latent = fitted(latent, denoiser)
        if settings.denoise == 0:
            return latent
        with _sampling_of(denoiser, latent):
            sigmas = denoised_part(
                schedule, denoiser.sampling, settings.steps, settings.denoise, drop_last=solver.drop_last
            )
            canvas = Canvas(denoiser, latent, noise)
            run = _Plan(guider, guided, canvas, _between(sigmas, settings), solver, settings.solver)
            return _sampled(ctx, denoiser, run).latent


def custom(
    ctx: Context,
    guider: Guider,
    noise: Noise,
    latent: Latent,
    sigmas: Sigmas,
    solver: Solver,
    solver_name: str,
    wanted: Wanted = "last",
) -> Sampled:
    """Denoise a latent along given sigmas.

    Raises:
        NodeError: The latent, a conditioning or the sigmas do not fit the model.
        Cancelled: Inside a step.
    """
    with guiding(ctx, guider) as (denoiser, guided):
        if sigmas.flow != denoiser.sampling.flow:
            raise NodeError(
                "The sigmas are made for another kind of model.",
                "Make them with the model that is sampled.",
                socket="sigmas",
            )
        canvas = Canvas(denoiser, fitted(latent, denoiser), noise)
        return _sampled(ctx, denoiser, _Plan(guider, guided, canvas, sigmas, solver, solver_name, wanted))


def _between(sigmas: Sigmas, settings: Settings) -> Sigmas:
    """The steps from `start` up to `end`; without leftover noise, an early end goes down to none at once."""
    end = len(sigmas) - 1 if settings.end is None else min(settings.end, len(sigmas) - 1)
    levels = list(sigmas[: end + 1])
    if end < len(sigmas) - 1 and not settings.leftover:
        levels[-1] = 0.0
    return Sigmas(levels[min(settings.start, end) :], flow=sigmas.flow)


@contextmanager
def guiding(ctx: Context, guider: Guider) -> Generator[tuple[Denoiser, Guided]]:
    """Lend the denoiser of a guider, with all networks that its conditionings need, and what guides it.

    Raises:
        NodeError: A file has gone or changed, or a name is unknown.
        Cancelled: While loading.
    """
    recipe = guider.model.recipe
    with ExitStack() as stack:
        denoiser: Denoiser = stack.enter_context(ctx.weights.use(ctx, recipe))
        networks = {
            name_of(needed): stack.enter_context(ctx.weights.use(ctx, needed)) for needed in _networks(guider)
        }
        denoiser.networks = networks
        stack.callback(_return_networks, denoiser)
        stack.enter_context(torch.inference_mode())
        patches = [Effective(patch, _effect(ctx, patch)) for patch in recipe.patches]
        ranged = [item for item in patches if item.effect is None and item.patch.span != (0.0, 1.0)]
        yield (
            denoiser,
            Guided(
                denoiser,
                guider.told,
                guider.params,
                ctx.extension("guider", guider.kind),
                patches,
                (lambda worn: ctx.weights.dress(denoiser, worn, ctx)) if ranged else None,
            ),
        )


def _return_networks(denoiser: Denoiser) -> None:
    denoiser.networks = {}


def _networks(guider: Guider) -> Iterator[Recipe]:
    for conditioning in guider.told.values():
        for entry in conditioning.entries:
            for control in entry.controls:
                yield control.recipe
                if control.vae is not None:
                    yield control.vae
            for image in entry.images:
                yield image.recipe


def _effect(ctx: Context, patch: Patch) -> Effect | None:
    found = ctx.extension("patch", patch.name)
    return found if isinstance(found, Effect) else None


@contextmanager
def _sampling_of(denoiser: Denoiser, latent: Latent) -> Generator[None]:
    """Let a denoiser whose noise levels depend on the size of the picture have those of this one."""
    find = getattr(denoiser, "sampling_for", None)
    before = denoiser.sampling
    if find is not None:
        denoiser.sampling = find(latent.samples.shape)
    try:
        yield
    finally:
        denoiser.sampling = before


@dataclass(frozen=True, eq=False)
class _Plan:
    """All that makes a trajectory."""

    guider: Guider
    guided: Guided
    canvas: Canvas
    sigmas: Sigmas
    solver: Solver
    solver_name: str
    wanted: Wanted = "none"


def _sampled(ctx: Context, denoiser: Denoiser, plan: _Plan) -> Sampled:
    canvas, sigmas, patches = plan.canvas, plan.sigmas, plan.guider.model.recipe.patches
    if len(sigmas) < 2:
        return Sampled(canvas.latent, None if plan.wanted == "none" else canvas.latent)
    bare = replace(plan.guider.model.recipe, patches=())
    origin = codec.digest([bare.key_part, *canvas.said(), ctx.weights.numerics()])
    watched = Watched(plan.guided)
    if canvas.mask is not None:
        masks = [patch.span for patch in patches if _is_mask(ctx, patch)]
        if masks:
            origin = codec.digest([origin, sigmas[0], sigmas[-1]])
        watched = Watched(Masked(plan.guided, canvas, sigmas, masks))
    trajectory = Trajectory(origin, plan.solver, plan.solver_name, sigmas, denoiser.sampling, watched)
    run = _Run(ctx, trajectory, canvas, denoiser, watched, plan.wanted)
    x = run.follow()
    if not bool(torch.isfinite(x).all()):
        raise NodeError(
            "The model gave values that are no numbers.", "Lower the guidance, or choose another solver."
        )
    with torch.inference_mode(False):  # what nodes give may be used in any way
        predicted = run.predicted()
        return Sampled(
            replace(canvas.latent, samples=canvas.end(x.clone(), sigmas)),
            None if predicted is None else replace(canvas.latent, samples=predicted),
        )


def _is_mask(ctx: Context, patch: Patch) -> bool:
    effect = _effect(ctx, patch)
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
        wanted: Wanted,
    ) -> None:
        self._ctx, self._trajectory, self._canvas = ctx, trajectory, canvas
        self._denoiser, self._watched = denoiser, watched
        total = len(trajectory.sigmas) - 1
        self._wanted = range(1 if wanted == "all" else total, total + 1) if wanted != "none" else range(0)
        self._keys = trajectory.keys() if self._wanted else []
        self._predicted: dict[int, torch.Tensor] = {}

    def follow(self) -> torch.Tensor:
        """X at the end, on the CPU."""
        ctx, trajectory, canvas = self._ctx, self._trajectory, self._canvas
        sigmas, total = trajectory.sigmas, len(trajectory.sigmas) - 1
        ctx.progress(0, total)
        states = trajectory.run(
            lambda: canvas.begin(sigmas),
            source(trajectory.solver.noise, sigmas, canvas.noise.seed, canvas.batch),
            ctx.checkpoints,
            self._denoiser.device,
            may_resume=self._has_predicted,
        )
        x, shown = canvas.latent.samples, 0.0
        for state in states:
            x, picture, estimate = state.x, None, self._watched.take()
            self._remember(state.step, estimate)
            if time.monotonic() - shown >= _PREVIEW_S:
                picture = preview.picture(
                    _seen(state, sigmas) if estimate is None else estimate, self._denoiser.preview
                )
                shown = time.monotonic()
            ctx.progress(state.step, total, picture)
        return x.cpu()

    def predicted(self) -> torch.Tensor | None:
        """The estimates that were wanted, one behind the other."""
        if not self._wanted:
            return None
        return torch.cat([self._predicted[step].clone() for step in self._wanted])

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


def _seen(state: api.State, sigmas: Sigmas) -> torch.Tensor:
    return state.x * (1.0 if sigmas.flow else 1 / math.sqrt(1 + sigmas[state.step] ** 2))


def as_solver(found: object) -> Solver:
    """A package may give a bare generator function: it is taken to read the whole schedule at every step."""
    if isinstance(found, Solver):
        return found
    if not callable(found):
        raise NodeError(f"The solver is no function but {type(found).__name__}.", "Choose another solver.")
    return Solver(found, noise="gaussian", look_ahead=10_000, inner=True)  # pyright: ignore[reportArgumentType]
