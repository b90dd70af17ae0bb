"""Lending a run what it works with: the denoiser, what guides it, and the networks that it is told of."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from studio.diffusion.api import Denoiser
from studio.diffusion.conditioning import from_place, name_of
from studio.diffusion.guidance.effects import Effect
from studio.diffusion.guidance.guiders import Effective, Guided
from studio.types import Guider, Latent, Patch, Recipe

if TYPE_CHECKING:
    from studio.context import Context


@contextmanager
def guiding(ctx: Context, guider: Guider, latent: Latent) -> Generator[tuple[Denoiser, Guided]]:
    """Lend the denoiser of a guider, with all networks that its conditionings need, and what guides it.

    Where the latent was cut from a batch, its pictures are told what they are told among the others.

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
        told = {role: from_place(item, latent.first) for role, item in guider.told.items()}
        patches = [Effective(patch, effect_of(ctx, patch)) for patch in recipe.patches]
        ranged = [item for item in patches if item.effect is None and item.patch.span != (0.0, 1.0)]
        yield (
            denoiser,
            Guided(
                denoiser,
                told,
                {**guider.params, "kind": guider.kind},
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


def effect_of(ctx: Context, patch: Patch) -> Effect | None:
    """What a patch does to guidance; None where it changes the denoiser."""
    found = ctx.extension("patch", patch.name)
    return found if isinstance(found, Effect) else None


@contextmanager
def sampling_of(denoiser: Denoiser, latent: Latent) -> Generator[None]:
    """Let a denoiser whose noise levels depend on the size of the picture have those of this one."""
    find = getattr(denoiser, "sampling_for", None)
    before = denoiser.sampling
    if find is not None:
        denoiser.sampling = find(latent.samples.shape)
    try:
        yield
    finally:
        denoiser.sampling = before
