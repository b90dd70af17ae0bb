"""What sampler nodes do: noise, sigmas, solver and guidance put together over one latent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from studio.diffusion.api import Sigmas, Solver
from studio.diffusion.canvas import Canvas, fitted
from studio.diffusion.following import Plan, Sampled, Wanted, sampled
from studio.diffusion.lending import guiding, sampling_of
from studio.diffusion.schedules import denoised_part
from studio.errors import NodeError
from studio.types import Conditioning, Guider, Latent, Model, Noise, SolverChoice

if TYPE_CHECKING:
    from studio import types
    from studio.context import Context


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
    with guiding(ctx, guider, latent) as (denoiser, guided):
        latent = fitted(latent, denoiser)
        if settings.denoise == 0:
            return latent
        with sampling_of(denoiser, latent):
            sigmas = denoised_part(
                schedule, denoiser.sampling, settings.steps, settings.denoise, drop_last=solver.drop_last
            )
            canvas = Canvas(denoiser, latent, noise)
            plan = Plan(guider, guided, canvas, _between(sigmas, settings), solver, settings.solver)
            return sampled(ctx, denoiser, plan).latent


def custom(
    ctx: Context,
    guider: Guider,
    noise: Noise,
    latent: Latent,
    sigmas: types.Sigmas,
    choice: SolverChoice,
    *,
    every: bool = False,
) -> Sampled:
    """Denoise a latent along given sigmas; `every` keeps the predicted picture of each step.

    Raises:
        NodeError: The latent, a conditioning or the sigmas do not fit the model, or a name is unknown.
        Cancelled: Inside a step.
    """
    solver = as_solver(ctx.extension("solver", choice.name))
    solver = solver.given({name: value for name, value in choice.options.items() if name in solver.options})
    levels = Sigmas(sigmas.values, flow=sigmas.flow)
    falls = {level > after for level, after in pairwise(levels)}
    if len(falls) > 1 or len(set(levels)) < len(levels) or any(level < 0 for level in levels):
        raise NodeError(
            "The sigmas do not fall from step to step, nor do they rise.",
            "Give noise levels in falling order, or all of them turned round.",
            socket="sigmas",
        )
    if False in falls and not solver.rises:
        raise NodeError(
            f"The solver “{choice.name}” only goes from noise to the picture, and these sigmas rise.",
            "Choose euler, heun, dpm_2 or dpmpp_2m, or sigmas that fall.",
            socket="solver",
        )
    with guiding(ctx, guider, latent) as (denoiser, guided):
        if levels.flow != denoiser.sampling.flow:
            raise NodeError(
                "The sigmas are made for another kind of model.",
                "Make them with the model that is sampled.",
                socket="sigmas",
            )
        latent = fitted(latent, denoiser)
        wanted: Wanted = "all" if every else "last"
        with sampling_of(denoiser, latent):
            canvas = Canvas(denoiser, latent, noise)
            return sampled(ctx, denoiser, Plan(guider, guided, canvas, levels, solver, choice.name, wanted))


def _between(sigmas: Sigmas, settings: Settings) -> Sigmas:
    """The steps from `start` up to `end`; without leftover noise, an early end goes down to none at once."""
    end = len(sigmas) - 1 if settings.end is None else min(settings.end, len(sigmas) - 1)
    levels = list(sigmas[: end + 1])
    if end < len(sigmas) - 1 and not settings.leftover:
        levels[-1] = 0.0
    return Sigmas(levels[min(settings.start, end) :], flow=sigmas.flow)


def as_solver(found: object) -> Solver:
    """A package may give a bare generator function: it is taken to read the whole schedule at every step."""
    if isinstance(found, Solver):
        return found
    if not callable(found):
        raise NodeError(f"The solver is no function but {type(found).__name__}.", "Choose another solver.")
    return Solver(found, noise="gaussian", look_ahead=10_000, inner=True)  # pyright: ignore[reportArgumentType]
