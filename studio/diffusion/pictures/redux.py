"""Flux Redux: what SigLIP sees in a picture becomes tokens beside those of the words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from studio.diffusion.api import Check, Loader
from studio.diffusion.conditioning import changed, each
from studio.diffusion.files import loading
from studio.errors import NodeError
from studio.types import Conditioning, ImageEmbeds, StyleModel

if TYPE_CHECKING:
    from studio.context import Context


class Redux:
    """The loaded network; see `studio.diffusion.api.Network`."""

    def __init__(self, files: Sequence[Path], up: tuple[int, ...], loader: Loader) -> None:
        self.check: Check = loader.check
        self.takes = up[1]
        # It widens to three times what it gives.
        self.gives = up[0] // 3
        library = loading.imported("diffusers.pipelines.flux.modeling_flux", loader.check)
        with torch.device("meta"):
            network = library.ReduxImageEncoder(redux_dim=self.takes, txt_in_features=self.gives)
        source = loading.fill(network, list(files), loader.place, loader.check)
        self.modules: Mapping[str, torch.nn.Module] = {"redux": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"redux": source}
        self.nbytes = loading.nbytes(network)
        self._network = network

    def tokens(self, hidden: torch.Tensor) -> torch.Tensor:
        """Tokens of what an encoder sees: ``[N, tokens, width]`` → ``[N, tokens, gives]``, float32, CPU."""
        weight = next(self._network.parameters())
        return self._network(hidden.to(weight.device, weight.dtype)).image_embeds.float().cpu()


def applied(
    ctx: Context,
    conditioning: Conditioning,
    style_model: StyleModel,
    embeds: ImageEmbeds,
    strength: float,
) -> Conditioning:
    """Append the tokens of pictures to every entry.

    Raises:
        NodeError: The encoder or the prompt is of another model.
        Cancelled: While loading.
    """
    with ctx.weights.use(ctx, style_model.recipe) as network, torch.inference_mode():
        if embeds.hidden.shape[-1] != network.takes:
            raise NodeError(
                f"Redux takes pictures seen {network.takes} wide, these are {embeds.hidden.shape[-1]}.",
                "Encode the picture with the SigLIP encoder that belongs to Redux.",
                socket="embeds",
            )
        tokens = network.tokens(embeds.hidden)
    wide = network.gives
    tokens = tokens.reshape(1, -1, wide).clone() * strength
    for entry in conditioning.entries:
        if entry.embeddings.shape[-1] != wide:
            raise NodeError(
                f"Redux gives tokens {wide} wide, the prompt's are {entry.embeddings.shape[-1]}.",
                "Use Redux with Flux, and the prompt of Flux's text encoders.",
                socket="conditioning",
            )
    return each(
        conditioning, lambda entry: changed(entry, embeddings=torch.cat([entry.embeddings, tokens], dim=1))
    )
