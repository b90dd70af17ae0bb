"""What authors of solvers, schedules and families write against. Imports torch: use it inside bodies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from studio.diffusion.schedules import Sampling, Sigmas
from studio.diffusion.tokenizer import Tokenizer
from studio.types import ConditioningEntry, Json, Recipe

if TYPE_CHECKING:
    from studio.diffusion.device import Place

__all__ = ["Autoencoder", "Denoise", "Denoiser", "Encoder", "Family", "Loader", "Network", "Noise"]
__all__ += ["Perturb", "Sampling", "Sigmas", "Solver", "State", "TextNetwork", "Tokenizer", "Unguided"]
__all__ += ["solver"]

Denoise = Callable[[torch.Tensor, float], torch.Tensor]
Check = Callable[[], None]


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
        version: Raised when its results change.
        chosen: Options that are not at their default.
    """

    steps: Steps
    noise: NoiseKind = "none"
    look_ahead: int = 0
    inner: bool = False
    drop_last: bool = False
    own_steps: bool = False
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
    version: int = 1,
) -> Callable[[Steps], Solver]:
    """Declare a generator function as a solver; the options are those of `Solver`."""

    def declare(steps: Steps) -> Solver:
        return Solver(steps, noise, look_ahead, inner, drop_last, own_steps, version)

    return declare


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
