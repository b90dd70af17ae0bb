"""Noise levels between nodes and samplers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio import types
from studio.diffusion.canvas import fitted
from studio.diffusion.schedules import Sampling, Sigmas
from studio.types import Latent, Model

if TYPE_CHECKING:
    from studio.context import Context


def sampling_of(ctx: Context, model: Model, latent: Latent | None = None) -> Sampling:
    """What a model was trained to do; where that depends on the size of the picture, for that of `latent`.

    Raises:
        NodeError: The model's file has gone or changed, or the latent is not the model's.
        Cancelled: While loading.
    """
    with ctx.weights.use(ctx, model.recipe) as denoiser:
        find = getattr(denoiser, "sampling_for", None)
        if find is None or latent is None:
            return denoiser.sampling
        return find(fitted(latent, denoiser).samples.shape)


def wired(sigmas: Sigmas) -> types.Sigmas:
    """The levels of a schedule as they travel on a wire."""
    return types.Sigmas(tuple(sigmas), sigmas.flow)
