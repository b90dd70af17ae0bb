"""Loaded control networks of UNets: ControlNets, union types, T2I-Adapters."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from studio.diffusion.api import Check, Loader
from studio.diffusion.control.residuals import Kept, Residuals
from studio.diffusion.files import loading
from studio.errors import NodeError
from studio.models.control_plan import UNION_KINDS, ControlPlan
from studio.types import Control

if TYPE_CHECKING:
    from studio.diffusion.denoisers.unet import Batch

_BLOCKS = ("ResnetBlock2D", "BasicTransformerBlock", "Downsample2D", "AdapterBlock", "LightAdapterBlock")
_LUMA = (0.299, 0.587, 0.114)


class Loaded:
    """A control network with its weights; see `studio.diffusion.api.Network`.

    Attributes:
        network: The module.
        width: Of the tokens it was trained with; 0 where it takes none.
        factor: Pixels of the hint per latent pixel along a side.
        hints: What was made of hints, by whoever fits them.
    """

    factor = 8

    def __init__(
        self, network: Any, files: Sequence[Path], plan: ControlPlan, loader: Loader, blocks: Sequence[str]
    ) -> None:
        self.check: Check = loader.check
        source = loading.give(network, _weights(files, plan), loader.place, loader.check, files[0].name)
        loading.stop_inside(network, tuple(blocks), lambda: self.check())
        self.modules: Mapping[str, torch.nn.Module] = {"control": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"control": source}
        self.nbytes = loading.nbytes(network)
        self.width = plan.width
        self.hints = Kept()
        self.network = network


class ControlNetwork(Loaded):
    """A ControlNet of a UNet."""

    def __init__(self, files: Sequence[Path], plan: ControlPlan, loader: Loader) -> None:
        library = loading.imported("diffusers.models.controlnets.controlnet", loader.check)
        network = built(library.ControlNetModel, plan)
        super().__init__(network, files, plan, loader, _BLOCKS)
        self.factor = 2 ** (len(network.config.conditioning_embedding_out_channels) - 1)

    def residuals(self, control: Control, hint: torch.Tensor, batch: Batch) -> Residuals:
        """Run it for all rows of a call; strength and mask are left to whoever sums.

        Raises:
            NodeError: It takes something that the model does not tell it.
        """
        self._check(batch)
        rows = hint.repeat(len(batch.x) // len(hint), 1, 1, 1)
        down, mid = self._run(control, rows, batch)
        return Residuals(tuple(down), mid)

    def _run(self, control: Control, rows: torch.Tensor, batch: Batch) -> Any:
        return self.network(batch.x, batch.time, batch.tokens, rows, **self._told(batch))

    def _check(self, batch: Batch) -> None:
        wanted = int(self.network.config.in_channels)
        wants_size = self.network.config.addition_embed_type == "text_time"
        if batch.x.shape[1] != wanted or (wants_size and "time_ids" not in batch.added):
            raise NodeError(
                "The ControlNet was made for another kind of model.",
                "Choose a ControlNet that was made for this model.",
                socket="positive",
            )

    def _told(self, batch: Batch) -> dict[str, Any]:
        arguments: dict[str, Any] = {"return_dict": False}
        if self.network.config.addition_embed_type == "text_time":
            told = ("text_embeds", "time_ids")
            arguments["added_cond_kwargs"] = {name: batch.added[name] for name in told}
        return arguments


class UnionNetwork(ControlNetwork):
    """A ControlNet for several kinds of picture."""

    def __init__(self, files: Sequence[Path], plan: ControlPlan, loader: Loader) -> None:
        library = loading.imported("diffusers.models.controlnets.controlnet_union", loader.check)
        network = built(library.ControlNetUnionModel, plan)
        Loaded.__init__(self, network, files, plan, loader, (*_BLOCKS, "ResidualAttentionBlock"))
        self.factor = 2 ** (len(network.config.conditioning_embedding_out_channels) - 1)

    def _run(self, control: Control, rows: torch.Tensor, batch: Batch) -> Any:
        kinds = int(self.network.config.num_control_type)
        index = UNION_KINDS.get(control.kind, kinds)
        if index >= kinds:
            known = [name for name, number in UNION_KINDS.items() if number < kinds]
            raise NodeError(
                f"The ControlNet takes several kinds of picture, but not “{control.kind or 'auto'}”.",
                f"Choose what the picture shows: {', '.join(known)}.",
                socket="positive",
            )
        chosen = torch.zeros(len(rows), kinds, device=rows.device, dtype=rows.dtype)
        chosen[:, index] = 1
        return self.network(
            batch.x,
            batch.time,
            batch.tokens,
            [rows],
            control_type=chosen,
            control_type_idx=[index],
            **self._told(batch),
        )


class Adapter(Loaded):
    """A T2I-Adapter: it sees the picture alone, so that it is run once and not at every step."""

    def __init__(self, files: Sequence[Path], plan: ControlPlan, loader: Loader) -> None:
        library = loading.imported("diffusers.models.adapter", loader.check)
        network = built(library.T2IAdapter, plan)
        super().__init__(network, files, plan, loader, _BLOCKS)
        self._unshuffle = int(network.config.downscale_factor)
        self.xl = network.config.adapter_type == "full_adapter_xl"
        # Those of SDXL begin after its first halving.
        self.factor = self._unshuffle // 2 if self.xl else self._unshuffle
        self._features = Kept()

    def residuals(self, control: Control, hint: torch.Tensor, batch: Batch) -> Residuals:
        """Features of the hint for all rows of a call.

        Raises:
            NodeError: It was made for SDXL and the model is another, or the other way round.
        """
        xl = "time_ids" in batch.added
        if xl != self.xl:
            made, other = ("SDXL", "Stable Diffusion 1") if self.xl else ("Stable Diffusion 1", "SDXL")
            raise NodeError(
                f"The T2I-Adapter was made for {made}, the model is {other}.",
                f"Choose a T2I-Adapter for {other}.",
                socket="positive",
            )
        name = (control.digest, tuple(hint.shape))
        features: list[torch.Tensor] = self._features.of(name, lambda: self.network(self._input(hint)))
        times = len(batch.x) // len(hint)
        return Residuals(inside=tuple(part.repeat(times, 1, 1, 1) for part in features))

    def _input(self, hint: torch.Tensor) -> torch.Tensor:
        if int(self.network.config.in_channels) == 1:
            weights = torch.tensor(_LUMA, device=hint.device, dtype=hint.dtype)
            hint = (hint * weights[:, None, None]).sum(1, keepdim=True)
        below, right = (-side % self._unshuffle for side in hint.shape[-2:])
        return pad(hint, (0, right, 0, below), mode="replicate") if below or right else hint


def _weights(files: Sequence[Path], plan: ControlPlan) -> dict[str, torch.Tensor]:
    """The weights under the network's names."""
    mapped = loading.mapped(files)
    weights = {name: mapped[key] for name, key in plan.names.items() if key in mapped}
    for name, piece in plan.pieces.items():
        whole = mapped[piece.key]
        weights[name] = whole if piece.rows is None else whole[slice(*piece.rows)]
    return weights


def built(kind: Any, plan: ControlPlan) -> Any:
    """Make a network of diffusers on the meta device, from those settings that it knows.

    Raises:
        NodeError: Its configuration cannot be used.
    """
    known = inspect.signature(kind.__init__).parameters
    settings = {name: value for name, value in plan.config.items() if name in known}
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            # diffusers 0.42: its own Flux networks use a class that it calls outdated.
            warnings.simplefilter("ignore", FutureWarning)
            return kind(**settings)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise NodeError(
            f"The configuration of the ControlNet cannot be used: {error}.",
            "Download it again, or choose another.",
        ) from error
