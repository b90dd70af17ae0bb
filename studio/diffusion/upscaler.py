"""A loaded network that enlarges pictures."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import safe_open

from studio.diffusion import loading
from studio.diffusion.upscale_networks import Rrdb, Srvgg
from studio.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.diffusion.api import Check, Loader
    from studio.models.upscalers import UpscalerPlan

_BLOCKS = ("DenseBlock", "PReLU", "Conv2d")
_LOOK_BYTES = 64 * 2**20


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


def _own(path: Path, plan: UpscalerPlan, loader: Loader) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Build a network of ours and give it the file's weights."""
    with torch.device("meta"):
        network = Rrdb(plan) if plan.kind == "rrdb" else Srvgg(plan)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    source = _read(path, plan.names, loader)
    wrong = sorted(
        name for name in wanted.keys() | source.keys() if _shape(source.get(name)) != wanted.get(name)
    )
    if wrong:
        raise NodeError(
            f"{path.name} is no whole {plan.title} model: {len(wrong)} weights are missing or of another "
            f"size, {wrong[0]} first.",
            "Download the model again, or choose another.",
        )
    dtype = getattr(torch, loader.place.dtype)
    precise = {id(item) for module in network.precise for item in module.parameters()}
    kept = {name for name, item in network.named_parameters() if id(item) in precise}
    placed = {
        name: tensor.to(
            loader.place.device,
            torch.float32 if name in kept else dtype,
            memory_format=torch.channels_last if tensor.ndim == 4 else torch.preserve_format,
        )
        for name, tensor in source.items()
    }
    network.load_state_dict(placed, assign=True)
    return network, source


def _shape(tensor: torch.Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _read(path: Path, names: Mapping[str, str], loader: Loader) -> dict[str, torch.Tensor]:
    """Map the weights from the file, under the names of the network."""
    found: dict[str, torch.Tensor] = {}
    since = 0
    with cast("Any", safe_open)(path, framework="pt") as file:
        for name, key in names.items():
            found[name] = file.get_tensor(key)
            since += found[name].nbytes
            if since >= _LOOK_BYTES:
                loader.check()
                since = 0
    return found


def _spandrel(
    path: Path, title: str, loader: Loader
) -> tuple[int, int, torch.nn.Module, dict[str, torch.Tensor]]:
    """Let spandrel build a network from tensors, never from a pickle."""
    try:
        library: Any = importlib.import_module("spandrel")
    except (ImportError, RuntimeError) as error:
        raise NodeError(
            f"{path.name} is a {title} network, and spandrel, which builds those, does not import: {error}.",
            "Install spandrel and torchvision, or choose an ESRGAN model.",
        ) from error
    with cast("Any", safe_open)(path, framework="pt") as file:
        weights: dict[str, torch.Tensor] = {key: file.get_tensor(key) for key in sorted(file.keys())}
    built = library.ModelLoader().load_from_state_dict(dict(weights))
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
