"""What authors of solvers, schedules, guiders, patches and families write against.

Imports torch: use it inside bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from studio.diffusion.schedules import Sampling, Sigmas
from studio.diffusion.solving import Denoise, Noise, Solver, State, Unguided, solver
from studio.diffusion.text.tokenizer import Tokenizer
from studio.types import ConditioningEntry, Json, Patch, Recipe

if TYPE_CHECKING:
    from studio.diffusion.device import Place

__all__ = ["Autoencoder", "Denoise", "Denoiser", "Encoder", "Family", "Guide", "Loader", "Network", "Noise"]
__all__ += [
    "Perturb",
    "RunPatch",
    "Sampling",
    "Sigmas",
    "Solver",
    "State",
    "TextNetwork",
    "Tokenizer",
    "Unguided",
]
__all__ += ["solver"]

Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Perturb:
    """A denoiser made worse on purpose, for guidance away from it.

    Attributes:
        kind: ``identity_attention`` lets self-attention pass its values through, ``skip_layers`` leaves out
            whole blocks.
        layers: Names or numbers of the layers, as the family counts them; empty = its usual choice.
    """

    kind: Literal["identity_attention", "skip_layers"]
    layers: tuple[str, ...] = ()


class Denoiser(Protocol):
    """A loaded denoiser of any family.

    Attributes:
        sampling: Its table of sigmas and what it predicts.
        channels: Of its latents.
        downscale: Picture pixels per latent pixel along a side.
        preview: Latent → RGB, ``[C + 1, 3]`` with the offsets last; values 0–1.
        device: Where it computes.
        check: Called before every block of the network; raises to stop inside a step.
        networks: `name_of` a recipe → its loaded network, for all controls and image prompts of the entries;
            set before a run.
        defaults: What suits the model where nothing was chosen: steps, guidance, solver, schedule, size_px.
    """

    sampling: Sampling
    channels: int
    downscale: int
    preview: torch.Tensor
    device: torch.device
    check: Check
    networks: Mapping[str, Any]
    defaults: Mapping[str, Json]

    def __call__(
        self,
        x: torch.Tensor,
        sigma: float,
        entries: Sequence[ConditioningEntry],
        perturb: Perturb | None = None,
    ) -> list[torch.Tensor]:
        """Return what `x` would be without noise under each entry, float32, one call where it can.

        Masks, areas and strengths of the entries are none of its business: it is given what applies to all
        of `x`, and of controls and image prompts those that act now.
        """
        ...


class TextNetwork(Protocol):
    """One loaded text encoder with its tokenizer.

    Attributes:
        tokenizer: Makes its ids.
        width: Of what it gives for a token.
        check: Called before every layer.
    """

    tokenizer: Tokenizer
    width: int
    check: Check

    def encode(
        self, ids: Sequence[Sequence[int]], *, skip: int | None, embeddings: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode rows of equal length.

        Args:
            ids: Rows of ids; a negative one stands for a row ``[width]`` of `embeddings`.
            skip: Layers left out at the end; None as the model was trained.
            embeddings: Of words that are in no vocabulary.

        Returns:
            float32 on the CPU: ``[rows, length, width]``, and the pooled ``[rows, width]`` where it has one.
        """
        ...


class Guide(Protocol):
    """A registered guider: how two estimates become one. What it gives is kept under its name: no state."""

    def __call__(self, positive: torch.Tensor, negative: torch.Tensor, scale: float) -> torch.Tensor:
        """From the estimates ``[N, C, (T,) H, W]`` under both conditionings, another of that shape."""
        ...


class RunPatch(Protocol):
    """A registered patch that changes how a denoiser runs, and not its weights.

    Attributes:
        kind: ``run``.
    """

    kind: Literal["run"]

    def apply(self, denoiser: Any, patch: Patch) -> Callable[[], None]:
        """Change a denoiser for as long as the patch acts; what is returned undoes it, last applied first."""
        ...


class Encoder(Protocol):
    """What a text-encoder wire lends: one or several networks, and how a family puts them together.

    Attributes:
        networks: Name (``l``, ``g``, ``h``, ``t5``) → network.
        check: Called before every layer of any.
    """

    networks: Mapping[str, TextNetwork]
    check: Check

    def join(
        self, outputs: Mapping[str, tuple[torch.Tensor, torch.Tensor | None]]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Put together what the networks gave: ``[1, tokens, width]`` and pooled ``[1, width]``."""
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


class Network(Protocol):
    """What every loaded network has, whatever it does.

    Attributes:
        modules: Name (``unet``, ``transformer``, ``clip_l``, ``vae`` …) → torch module whose weights may be
            patched and moved.
        source: Name of a module → name of a weight → the tensor it was loaded from: mapped from the file,
            in the network's own layout of keys, so that a patch can be undone exactly.
        nbytes: Bytes of its weights.
        check: Called before every block; raises to stop inside a call.
    """

    modules: Mapping[str, torch.nn.Module]
    source: Mapping[str, Mapping[str, torch.Tensor]]
    nbytes: int
    check: Check


class Loader(Protocol):
    """What a family is given to build networks with.

    Attributes:
        place: Device and number format.
    """

    place: Place

    def check(self) -> None:
        """Look whether the run was cancelled; called every 64 MB."""
        ...

    def get(self, recipe: Recipe) -> Any:
        """Another network, shared with all who ask for the same recipe."""
        ...


class Family(Protocol):
    """One architecture: how to know it, build it and call it. Importing its module must not import torch."""

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Return part → files and folders (relative) that make its identity; None if it is another family."""
        ...

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build one part with its weights, without any network (see `Network` for what it must have)."""
        ...
