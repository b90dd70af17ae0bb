"""Loaded control networks of transformers (SD3, Flux), and what they add to one in a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import interpolate

from studio.diffusion.api import Loader
from studio.diffusion.conditioning import name_of
from studio.diffusion.control.networks import Loaded, built
from studio.diffusion.control.residuals import add, check_width, fitted, shared
from studio.diffusion.denoisers.flux import packed
from studio.diffusion.files import loading
from studio.diffusion.kl import Kl
from studio.errors import NodeError
from studio.models.control_plan import FLUX_KINDS, ControlPlan
from studio.types import ConditioningEntry, Control

_PATCH = 2
_BY_ROW = ("hidden_states", "encoder_hidden_states", "pooled_projections", "timestep", "guidance")


@dataclass(frozen=True, eq=False)
class Call:
    """What a transformer is given in one call.

    Attributes:
        entries: Under which x is estimated; rows lie entry by entry.
        count: Pictures for each entry.
        size: Height and width of the latent.
        arguments: What the transformer is called with: ``hidden_states`` (packed for Flux),
            ``encoder_hidden_states``, ``pooled_projections``, ``timestep``, and for Flux ``img_ids``,
            ``txt_ids``, ``guidance``.
        blocks: How many blocks of the first and, for Flux, of the second kind the transformer has.
        embed: The transformer's own embedding of latents, for networks that have none.
    """

    entries: Sequence[ConditioningEntry]
    count: int
    size: tuple[int, int]
    arguments: Mapping[str, Any]
    blocks: tuple[int, int]
    embed: Callable[[torch.Tensor], torch.Tensor] | None = None


def block_samples(networks: Mapping[str, Any], call: Call) -> dict[str, list[torch.Tensor]]:
    """Sum what the controls of all entries add, as arguments of the transformer; empty where there are none.

    Args:
        networks: `name_of` a recipe → loaded control network, and the VAEs that encode hints.
        call: The call that the transformer is given.

    Raises:
        NodeError: A network was made for another kind of model, or lacks a VAE.
    """
    sums: dict[str, list[torch.Tensor]] = {}
    rows_in_all = len(call.entries) * call.count
    for control, entries in shared(call.entries):
        network = networks[name_of(control.recipe)]
        if not isinstance(network, TransformerControl):
            raise NodeError(
                "The ControlNet was made for a UNet, the model is a transformer.",
                "Choose a ControlNet that was made for this model.",
                socket="positive",
            )
        told = call.arguments["encoder_hidden_states"]
        check_width(network, told.shape[-1])
        vae = None if control.vae is None else networks[name_of(control.vae)]
        rows = (torch.tensor(entries)[:, None] * call.count + torch.arange(call.count)).flatten()
        rows = rows.to(told.device)
        part = dict(call.arguments)
        if len(rows) < rows_in_all:
            part |= {name: part[name][rows] for name in _BY_ROW if part.get(name) is not None}
        for name, samples in network.samples(control, vae, part, call).items():
            weighed = [_weighed(sample, control, call) for sample in samples]
            add(sums.setdefault(name, []), weighed, rows, rows_in_all)
    return sums


class TransformerControl(Loaded, ABC):
    """A control network of a transformer."""

    @abstractmethod
    def samples(
        self, control: Control, vae: Any, arguments: Mapping[str, Any], call: Call
    ) -> dict[str, list[torch.Tensor]]:
        """Run it for some rows; one tensor for every block of the transformer, by argument."""

    def latent_hint(self, control: Control, vae: Any, call: Call, like: torch.Tensor) -> torch.Tensor:
        """The hint as a latent of the call's size, ``[count, C, H, W]``, kept from step to step."""
        if vae is None:
            raise NodeError(
                "The ControlNet of this model takes its picture encoded.",
                "Wire the model's VAE to the node that applies the ControlNet.",
                socket="positive",
            )

        def make() -> torch.Tensor:
            height, width = (side * vae.downscale for side in call.size)
            pixels = fitted(control.hint, height, width)
            return _repeated(self.encoded(pixels, vae).to(like.device, like.dtype), call.count)

        return self.hints.of((control.digest, call.size, call.count), make)

    def encoded(self, pixels: torch.Tensor, vae: Any) -> torch.Tensor:
        """The hint ``[N, 3, H, W]`` as a latent; what is to be made up, below 0, is black."""
        return vae.encode(pixels.clamp(min=0) * 2 - 1)


class FluxControlNetwork(TransformerControl):
    """A ControlNet of Flux.1, for one kind of picture or several."""

    def __init__(self, files: Sequence[Path], plan: ControlPlan, loader: Loader) -> None:
        library = loading.imported("diffusers.models.controlnets.controlnet_flux", loader.check)
        network = built(library.FluxControlNetModel, plan)
        super().__init__(network, files, plan, loader, ("FluxTransformerBlock", "FluxSingleTransformerBlock"))

    def samples(
        self, control: Control, vae: Any, arguments: Mapping[str, Any], call: Call
    ) -> dict[str, list[torch.Tensor]]:
        """See `TransformerControl`."""
        hidden = arguments["hidden_states"]
        hint = self._hint(control, vae, call, hidden)
        given = dict(arguments) | {
            "controlnet_cond": hint.repeat(len(hidden) // len(hint), *[1] * (hint.ndim - 1))
        }
        if not self.network.config.guidance_embeds:
            given["guidance"] = None
        if self.network.union:
            given["controlnet_mode"] = torch.full((len(hidden), 1), self._mode(control), device=hidden.device)
        first, second = self.network(**given, return_dict=False)
        samples: dict[str, list[torch.Tensor]] = {}
        if first is not None and self.network.input_hint_block is not None:
            # Those that see pixels were trained to come round again and again.
            samples["controlnet_block_samples"] = [first[at % len(first)] for at in range(call.blocks[0])]
        elif first is not None:
            samples["controlnet_block_samples"] = _in_runs(first, call.blocks[0])
        if second is not None:
            samples["controlnet_single_block_samples"] = _in_runs(second, call.blocks[1])
        return samples

    def _hint(self, control: Control, vae: Any, call: Call, like: torch.Tensor) -> torch.Tensor:
        if self.network.input_hint_block is None:
            return packed(self.latent_hint(control, vae, call, like))

        def make() -> torch.Tensor:
            # Its own layers bring pixels to the size of latents, eight times smaller.
            pixels = fitted(control.hint, *(side * self.factor for side in call.size))
            return _repeated((pixels * 2 - 1).to(like.device, like.dtype), call.count)

        return self.hints.of((control.digest, call.size, call.count), make)

    def _mode(self, control: Control) -> int:
        modes = int(self.network.config.num_mode)
        index = FLUX_KINDS.get(control.kind, modes)
        if index >= modes:
            known = [name for name, number in FLUX_KINDS.items() if number < modes]
            raise NodeError(
                f"The ControlNet takes several kinds of picture, but not “{control.kind or 'auto'}”.",
                f"Choose what the picture shows: {', '.join(known)}.",
                socket="positive",
            )
        return index


class Sd3ControlNetwork(TransformerControl):
    """A ControlNet of SD3 or SD3.5."""

    def __init__(self, files: Sequence[Path], plan: ControlPlan, loader: Loader) -> None:
        library = loading.imported("diffusers.models.controlnets.controlnet_sd3", loader.check)
        network = built(library.SD3ControlNetModel, plan)
        super().__init__(network, files, plan, loader, ("JointTransformerBlock", "SD3SingleTransformerBlock"))

    def samples(
        self, control: Control, vae: Any, arguments: Mapping[str, Any], call: Call
    ) -> dict[str, list[torch.Tensor]]:
        """See `TransformerControl`."""
        hidden, pooled = arguments["hidden_states"], arguments["pooled_projections"]
        hint = self.latent_hint(control, vae, call, hidden)
        settings = self.network.config
        if not settings.use_pos_embed:
            if call.embed is None:
                raise NodeError("The ControlNet needs the model's own embedding, which it does not lend.")
            hidden = call.embed(hidden)
        given = self.network(
            hidden_states=hidden,
            controlnet_cond=hint.repeat(len(hidden) // len(hint), 1, 1, 1),
            encoder_hidden_states=None
            if settings.joint_attention_dim is None
            else arguments["encoder_hidden_states"],
            pooled_projections=torch.zeros_like(pooled)
            if settings.force_zeros_for_pooled_projection
            else pooled,
            timestep=arguments["timestep"],
            return_dict=False,
        )[0]
        blocks = call.blocks[0]
        spread = [given[int(index / (blocks / len(given)))] for index in range(blocks)]
        return {"block_controlnet_hidden_states": spread}

    def encoded(self, pixels: torch.Tensor, vae: Any) -> torch.Tensor:
        """See `TransformerControl`; with a channel of what is kept, or without the VAE's shift."""
        latent = super().encoded(pixels, vae)
        settings = self.network.config
        if settings.extra_conditioning_channels:
            kept = (pixels >= 0).all(1, keepdim=True).float()
            return torch.cat([latent, interpolate(kept, size=latent.shape[-2:]).to(latent)], dim=1)
        if settings.force_zeros_for_pooled_projection and isinstance(vae, Kl):
            return latent + vae.shift * vae.scale
        return latent


def _in_runs(samples: Sequence[torch.Tensor], blocks: int) -> list[torch.Tensor]:
    """One for every block: each stands for a run of neighbours, all runs but the last of one length."""
    run = -(-blocks // len(samples))
    return [samples[index // run] for index in range(blocks)]


def _weighed(sample: torch.Tensor, control: Control, call: Call) -> torch.Tensor:
    weighed = sample if control.strength == 1 else sample * control.strength
    if control.mask is None:
        return weighed
    size = (-(-call.size[0] // _PATCH), -(-call.size[1] // _PATCH))
    mask = interpolate(control.mask[:, None], size=size, mode="area").flatten(1)
    mask = _repeated(mask, call.count).repeat(len(sample) // call.count, 1)
    return weighed * mask[:, :, None].to(sample)


def _repeated(rows: torch.Tensor, count: int) -> torch.Tensor:
    return rows[torch.arange(count) % len(rows)]
