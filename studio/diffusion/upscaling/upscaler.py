"""A loaded network that enlarges pictures."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from studio.diffusion.files import loading
from studio.diffusion.upscaling.networks import Rrdb, Srvgg
from studio.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.diffusion.api import Check, Loader
    from studio.models.upscalers import UpscalerPlan

_BLOCKS = ("DenseBlock", "PReLU", "Conv2d")


class Upscaler:
    """See `studio.diffusion.api.Network`.

    Attributes:
        scale: Times wider and higher its result is.
        multiple: Sides it takes are multiples of this many pixels.
        channels: Of the pictures it takes and gives.
        device: Where it computes.
    """

    def __init__(self, path: Path, plan: UpscalerPlan, loader: Loader) -> None:
        self.check: Check = loader.check
        self.source: Mapping[str, Mapping[str, torch.Tensor]]
        self.device = torch.device(loader.place.device)
        self.multiple = plan.unshuffle
        if plan.kind == "other":
            self.scale, self.channels, network, weights = _spandrel(path, plan.title, loader)
        else:
            self.scale, self.channels = plan.scale, plan.channels
            network, weights = _own(path, plan, loader)
        network.requires_grad_(False).eval()
        loading.stop_inside(network, _BLOCKS, lambda: self.check())
        self.modules = {"upscaler": network}
        self.source = {"upscaler": weights}
        self.nbytes = loading.nbytes(network)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Enlarge ``[N, channels, H, W]``, 0–1, on any device; gives float32 on the CPU, clipped to 0–1."""
        given = self.modules["upscaler"](pixels.to(self.device))
        return given.float().clamp_(0, 1).cpu()


def _own(
    path: Path, plan: UpscalerPlan, loader: Loader
) -> tuple[torch.nn.Module, Mapping[str, torch.Tensor]]:
    """Build a network of ours and give it the file's weights."""
    with torch.device("meta"):
        network = Rrdb(plan) if plan.kind == "rrdb" else Srvgg(plan)
    source = loading.fill(network, [path], loader.place, loader.check, names=plan.names)
    for name in network.precise:
        whole = source[name].to(loader.place.device, torch.float32)
        module, _, weight = name.rpartition(".")
        setattr(network.get_submodule(module), weight, torch.nn.Parameter(whole, requires_grad=False))
    return network, source


def _spandrel(
    path: Path, title: str, loader: Loader
) -> tuple[int, int, torch.nn.Module, Mapping[str, torch.Tensor]]:
    """Let spandrel build a network from tensors, never from a pickle."""
    try:
        library: Any = importlib.import_module("spandrel")
    except (ImportError, RuntimeError) as error:
        raise NodeError(
            f"{path.name} is a {title} network, and spandrel, which builds those, does not import: {error}.",
            "Install spandrel and torchvision, or choose an ESRGAN model.",
        ) from error
    built = library.ModelLoader().load_from_state_dict(dict(loading.mapped([path])))
    network: torch.nn.Module = built.model.float().to(loader.place.device)
    source = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return int(built.scale), int(built.input_channels), _Whole(network, built), source


class _Whole(torch.nn.Module):
    """A network of spandrel's, called through its description, which pads pictures as the network wants."""

    def __init__(self, network: torch.nn.Module, description: Any) -> None:
        super().__init__()
        self.network = network
        self._call = description

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Enlarge ``[N, C, H, W]``, in float32."""
        return torch.as_tensor(self._call(pixels.float()))
