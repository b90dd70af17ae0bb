"""Building networks from files, without a network: weights by mapped file, cancelled between tensors."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from studio.diffusion.api import Check
from studio.diffusion.device import Place
from studio.errors import NodeError
from studio.models.header import read_header

USUAL_LIBRARIES = (
    "transformers.models.clip",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
)
"""What families import when they build networks: seconds of work that can be done ahead of need."""
_LOOK_BYTES = 64 * 2**20
_LOOK_S = 0.05


def imported(module: str, check: Check) -> Any:
    """Import a module that takes seconds, on a thread of its own, so that waiting for it can be cancelled.

    Args:
        module: Its full name.
        check: Called twenty times a second; may raise, and leaves the import to finish by itself.
    """
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(importlib.import_module(module))
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            failed.append(error)

    thread = threading.Thread(target=work, name=f"import {module}", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_S)
        check()
    if failed:
        raise failed[0]
    return found[0]


def fill(
    network: torch.nn.Module,
    files: list[Path],
    place: Place,
    check: Check,
    names: Mapping[str, str] | None = None,
) -> Mapping[str, torch.Tensor]:
    """Give a network made on the meta device its weights, from mapped files, in the place's number format.

    Returns the tensors as they lie in the files, by name: mapped, so they take no memory of their own.

    Args:
        network: Without weights.
        files: Safetensors files that hold them all between them.
        place: Where they go.
        check: Called every 64 MB; may raise.
        names: The network's name of a weight → the files'; None where they are the same.

    Raises:
        NodeError: A tensor is missing, unknown or of another shape.
        FileError: A file is cut short or no safetensors file.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    weights: dict[str, torch.Tensor] = {}
    source: dict[str, torch.Tensor] = {}
    dtype = getattr(torch, place.dtype)
    since = 0
    for path in files:
        read_header(path)
        with cast("Any", safe_open)(path, framework="pt") as file:
            held = set(file.keys())
            for name in sorted(wanted):
                key = name if names is None else names.get(name, "")
                if key not in held:
                    continue
                tensor = file.get_tensor(key)
                if tuple(tensor.shape) != wanted[name]:
                    raise _misfit(path, f"{name} is {list(tensor.shape)}, not {list(wanted[name])}")
                # Convolutions run faster with channels last: a tenth in float32, several times in bfloat16.
                layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
                source[name] = tensor
                weights[name] = tensor.to(place.device, dtype, memory_format=layout)
                since += tensor.nbytes
                if since >= _LOOK_BYTES:
                    check()
                    since = 0
    missing = sorted(wanted.keys() - weights.keys())
    if missing:
        raise _misfit(
            files[0] if files else Path(), f"{len(missing)} tensors are missing, {missing[0]} first"
        )
    network.load_state_dict(weights, assign=True)
    network.requires_grad_(False).eval()
    return source


def _misfit(path: Path, what: str) -> NodeError:
    return NodeError(
        f"{path.name} does not fit its configuration: {what}.", "Download the model again, or choose another."
    )


def nbytes(network: torch.nn.Module) -> int:
    """Bytes of a network's weights."""
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def stop_inside(network: torch.nn.Module, kinds: tuple[str, ...], check: Callable[[], None]) -> None:
    """Call `check` before every module whose class bears one of those names, so that it may stop a step."""

    def look(*_: object) -> None:
        check()

    for module in network.modules():
        if type(module).__name__ in kinds:
            module.register_forward_pre_hook(look)


def config(path: Path) -> Mapping[str, Any]:
    """Read a network's configuration.

    Raises:
        NodeError: Missing or unreadable.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise NodeError(f"{path} cannot be read: {error}.", "Download the model again.") from error
    if not isinstance(found, dict):
        raise NodeError(f"{path} is no configuration.", "Download the model again.")
    return cast("dict[str, Any]", found)


def files_of(folder: Path) -> list[Path]:
    """The safetensors files that hold a network's weights between them: whole, in shards, or half precision.

    Raises:
        NodeError: There is none.
    """
    found = sorted(folder.glob("*.safetensors"))
    plain = [file for file in found if file.stem.count(".") == 0]
    if not found:
        raise NodeError(f"There are no weights in {folder}.", "Choose a folder with .safetensors files.")
    return plain or found
