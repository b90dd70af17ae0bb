"""What patches of a run have in common: they are applied to a denoiser, and give back how to undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from studio.errors import NodeError
from studio.types import Json, Patch

Undo = Callable[[], None]
Size = tuple[int, int]


@dataclass(frozen=True)
class RunPatch:
    """A kind of patch that changes how a denoiser runs.

    Attributes:
        change: From the denoiser and the patch's parameters, changes it and returns what undoes that.
        kind: As of every patch that needs no weights.
    """

    change: Callable[[Any, Mapping[str, Json]], Undo]
    kind: str = "run"

    def apply(self, denoiser: Any, patch: Patch) -> Undo:
        """Change a denoiser; what is returned undoes it, after all that was applied later is undone."""
        return self.change(denoiser, patch.params)


def unet_of(denoiser: Any, what: str) -> Any:
    """The UNet of a denoiser.

    Raises:
        NodeError: It has none.
    """
    unet = denoiser.modules.get("unet")
    if unet is None:
        raise NodeError(
            f"{what} acts on models with a UNet, and this one is a transformer.",
            "Leave it out, or choose a model of Stable Diffusion 1, 2 or XL.",
            socket="model",
        )
    return unet


def self_attentions(unet: Any) -> Iterator[tuple[str, Any]]:
    """Name and module of every layer in which pixels attend to each other."""
    for name, module in unet.named_modules():
        if type(module).__name__ == "BasicTransformerBlock" and module.attn1 is not None:
            yield f"{name}.attn1", module.attn1


def around_attention(
    unet: Any, wrap: Callable[[Callable[..., torch.Tensor], torch.Tensor, Size, int], torch.Tensor]
) -> Undo:
    """Let `wrap` carry out every self-attention of a UNet.

    Args:
        unet: Whose.
        wrap: From the attention, pixels ``[B, rows·columns, width]``, rows and columns, and how often they
            were halved, what the attention is to give.
    """
    size: list[int] = [1, 1]

    def note(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        sample = given[0] if given else named["sample"]
        size[:] = [int(sample.shape[-2]), int(sample.shape[-1])]

    undo: list[Undo] = [unet.register_forward_pre_hook(note, with_kwargs=True).remove]
    for _, attention in self_attentions(unet):
        undo.append(_wrapped(attention, size, wrap))

    def back() -> None:
        for step in reversed(undo):
            step()

    return back


def _wrapped(
    attention: Any,
    size: list[int],
    wrap: Callable[[Callable[..., torch.Tensor], torch.Tensor, Size, int], torch.Tensor],
) -> Undo:
    before, plain = attention.__dict__.get("forward"), attention.forward

    def forward(
        hidden: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, **rest: Any
    ) -> torch.Tensor:
        if encoder_hidden_states is not None:
            return plain(hidden, encoder_hidden_states=encoder_hidden_states, **rest)
        halved = 0
        while -(-size[0] // 2**halved) * -(-size[1] // 2**halved) > hidden.shape[1]:
            halved += 1
        rows = -(-size[0] // 2**halved)

        def attend(pixels: torch.Tensor) -> torch.Tensor:
            return plain(pixels, **rest)

        return wrap(attend, hidden, (rows, hidden.shape[1] // rows), halved)

    attention.forward = forward

    def undo() -> None:
        if before is None:
            del attention.forward
        else:
            attention.forward = before

    return undo
