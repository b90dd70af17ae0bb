"""What the sampler node does: noise, schedule, solver and guidance put together over one latent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from studio.cache import codec
from studio.diffusion import preview
from studio.diffusion.api import Denoiser, Solver
from studio.diffusion.guidance import ClassifierFree, Ranged
from studio.diffusion.noise import Gaussian, initial
from studio.diffusion.schedules import Sigmas, denoised_part
from studio.diffusion.trajectory import Guider, Trajectory
from studio.errors import NodeError
from studio.types import Conditioning, Latent, Model

if TYPE_CHECKING:
    from studio.context import Context

_PREVIEW_S = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """The sampler's knobs, as the node documents them."""

    seed: int
    steps: int
    guidance: float
    solver: str
    schedule: str
    denoise: float


def sample(
    ctx: Context,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    settings: Settings,
) -> Latent:
    """Denoise a latent.

    Raises:
        NodeError: The latent, a conditioning or a name does not fit the model.
        Cancelled: Inside a step.
    """
    solver = _as_solver(ctx.extension("solver", settings.solver))
    schedule = ctx.extension("schedule", settings.schedule)
    with ctx.weights.use(ctx, model.recipe) as denoiser, torch.inference_mode():
        canvas = _Canvas(denoiser, _fitted(latent, denoiser), settings.seed)
        if settings.denoise == 0:
            return canvas.latent
        sigmas = denoised_part(
            schedule, denoiser.sampling, settings.steps, settings.denoise, drop_last=solver.drop_last
        )
        guider = _Masked(ClassifierFree(denoiser, positive, negative, settings.guidance), canvas)
        origin = codec.digest([*_said(model), *canvas.said(), settings.seed, ctx.weights.numerics()])
        trajectory = Trajectory(origin, solver, settings.solver, sigmas, denoiser.sampling, guider)
        x = _follow(ctx, trajectory, canvas, denoiser)
    if not bool(torch.isfinite(x).all()):
        raise NodeError(
            "The model gave values that are no numbers.", "Lower the guidance, or choose another solver."
        )
    return replace(canvas.latent, samples=x.clone())


def _follow(ctx: Context, trajectory: Trajectory, canvas: _Canvas, denoiser: Denoiser) -> torch.Tensor:
    """Run a trajectory to its end, telling how far it is and what it looks like."""
    sigmas, total = trajectory.sigmas, len(trajectory.sigmas) - 1
    ctx.progress(0, total)
    states = trajectory.run(
        lambda: canvas.begin(sigmas),
        # With the seed itself, the first draw would be the very tensor of the initial noise.
        lambda x, draws: Gaussian(x, canvas.seed + 1, draws),
        ctx.checkpoints,
        denoiser.device,
    )
    x, shown = canvas.latent.samples, 0.0
    for state in states:
        x, picture = state.x, None
        if time.monotonic() - shown >= _PREVIEW_S:
            scale = 1.0 if sigmas.flow else 1 / math.sqrt(1 + sigmas[state.step] ** 2)
            picture = preview.picture(state.x * scale, denoiser.preview)
            shown = time.monotonic()
        ctx.progress(state.step, total, picture)
    return x.cpu()


class _Canvas:
    """The latent to begin with, the noise over it, and the mask that keeps parts of it."""

    def __init__(self, denoiser: Denoiser, latent: Latent, seed: int) -> None:
        self.latent, self.seed = latent, seed
        self._high = denoiser.sampling.high
        self._flow = denoiser.sampling.flow
        self._samples = latent.samples.to(denoiser.device)
        self._noise = initial(tuple(latent.samples.shape), seed).to(denoiser.device)
        mask = latent.noise_mask
        if mask is not None:
            if mask.shape[-2:] != latent.samples.shape[-2:]:
                mask = interpolate(mask[:, None], size=latent.samples.shape[-2:], mode="bilinear")[:, 0]
            mask = mask.to(denoiser.device)[:, None]
        self._mask = mask

    def said(self) -> list[object]:
        """What of it enters the origin of a trajectory."""
        mask = self.latent.noise_mask
        return [self.latent.samples.numpy(), None if mask is None else mask.numpy()]

    def begin(self, sigmas: Sigmas) -> torch.Tensor:
        """X at the first noise level."""
        if not self._flow and sigmas[0] >= self._high * (1 - 1e-5):
            return self._noise * math.sqrt(1 + sigmas[0] ** 2) + self._samples
        return self._noised(sigmas[0])

    def _noised(self, sigma: float) -> torch.Tensor:
        return self._noise * sigma + self._samples * (1 - sigma if self._flow else 1.0)

    def hidden(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Put the latent, noised, where the mask keeps it."""
        return x if self._mask is None else torch.lerp(self._noised(sigma), x, self._mask)

    def kept(self, denoised: torch.Tensor) -> torch.Tensor:
        """Put the latent where the mask keeps it."""
        return denoised if self._mask is None else torch.lerp(self._samples, denoised, self._mask)


class _Masked:
    """A guider that sees and gives the latent as it was wherever the mask keeps it."""

    def __init__(self, guider: Guider, canvas: _Canvas) -> None:
        self._guider = guider
        self._canvas = canvas

    @property
    def state(self) -> tuple[torch.Tensor, ...]:
        """What the guider remembers."""
        return self._guider.state

    @state.setter
    def state(self, state: tuple[torch.Tensor, ...]) -> None:
        self._guider.state = state

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return self._canvas.kept(self._guider(self._canvas.hidden(x, sigma), sigma))

    def ranged(self) -> Iterable[Ranged]:
        """What acts: the mask is part of the origin."""
        return self._guider.ranged()


def _fitted(latent: Latent, denoiser: Denoiser) -> Latent:
    """The latent, checked against the model; an empty one takes the model's channels and downscale."""
    if latent.blank:
        rows, columns = (
            max(1, side * latent.downscale // denoiser.downscale) for side in latent.samples.shape[-2:]
        )
        empty = torch.zeros(latent.samples.shape[0], denoiser.channels, rows, columns)
        return Latent(empty, denoiser.downscale, latent.noise_mask)
    if (latent.channels, latent.downscale) != (denoiser.channels, denoiser.downscale):
        raise NodeError(
            f"The latent has {latent.channels} channels at 1/{latent.downscale} of the picture's size, "
            f"the model takes {denoiser.channels} at 1/{denoiser.downscale}.",
            "Encode the picture with the VAE of this model.",
            socket="latent",
        )
    return latent


def _said(model: Model) -> list[object]:
    recipe = model.recipe
    patches = [
        [patch.name, patch.version, dict(patch.params), dict(patch.tensors), list(patch.span)]
        for patch in recipe.patches
    ]
    return [recipe.identity, recipe.part, recipe.family, patches]


def _as_solver(found: object) -> Solver:
    """A package may give a bare generator function: it is taken to read the whole schedule at every step."""
    if isinstance(found, Solver):
        return found
    if not callable(found):
        raise NodeError(f"The solver is no function but {type(found).__name__}.", "Choose another solver.")
    return Solver(found, noise="gaussian", look_ahead=10_000, inner=True)  # pyright: ignore[reportArgumentType]
