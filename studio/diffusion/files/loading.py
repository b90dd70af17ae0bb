"""Building networks from files, without a network: weights by mapped file, cancelled between tensors."""

from __future__ import annotations

import importlib
import inspect
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open

from studio.diffusion.api import Check
from studio.diffusion.device import Place
from studio.errors import FileError, NodeError
from studio.models.header import read_header

USUAL_LIBRARIES = (
    "transformers.models.clip",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.loaders.single_file_utils",
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


def hollow(kind: Any, config: Mapping[str, Any]) -> Any:
    """Make a network of a class without weights, on the meta device.

    Args:
        kind: The class.
        config: Its arguments; what it does not know is left out.
    """
    known = inspect.signature(kind.__init__).parameters
    with torch.device("meta"):
        return kind(**{name: value for name, value in config.items() if name in known})


def fill(
    network: torch.nn.Module,
    files: list[Path],
    place: Place,
    check: Check,
    *,
    names: Mapping[str, str] | None = None,
) -> Mapping[str, torch.Tensor]:
    """Give a network made on the meta device its weights from files that hold them between them; see `give`.

    Args:
        network: Without weights.
        files: Safetensors files.
        place: Where they go.
        check: Called every 64 MB; may raise.
        names: The network's name of a weight → the files'; None where they are the same.
    """
    tensors = mapped(files)
    if names is not None:
        tensors = {name: tensors[key] for name, key in names.items() if key in tensors}
    return give(network, tensors, place, check, files[0].name if files else "the model")


def mapped(files: Iterable[Path], prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors of safetensors files whose names begin so, by the rest of their names.

    They are mapped: they take no memory until they are read, and then such as can be taken away again.

    Raises:
        FileError: A file is missing, cut short or no safetensors file.
    """
    found: dict[str, torch.Tensor] = {}
    for path in files:
        read_header(path)
        try:
            with cast("Any", safe_open)(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    if name.startswith(prefix):
                        found[name[len(prefix) :]] = file.get_tensor(name)
        except SafetensorError as error:
            raise FileError(f"{path.name} cannot be read: {error}.", "Download it again.") from error
    return found


def give(
    network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], place: Place, check: Check, name: str
) -> Mapping[str, torch.Tensor]:
    """Give a network made on the meta device its weights, in the place's number format.

    Returns those of `tensors` that it has, as they were given. A weight that needed no change is that very
    tensor: weights are replaced, and never written into.

    Args:
        network: Without weights.
        tensors: At least all of its weights, under its names.
        place: Where they go.
        check: Called every 64 MB; may raise.
        name: Of the file or folder they come from, for sentences.

    Raises:
        NodeError: A tensor is missing or of another shape.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        count = "a tensor is" if len(missing) == 1 else f"{len(missing)} tensors are"
        raise _misfit(name, f"{count} missing, {missing[0]} first")
    for key, shape in wanted.items():
        if tuple(tensors[key].shape) != shape:
            raise _misfit(name, f"{key} is {list(tensors[key].shape)}, not {list(shape)}")
    weights: dict[str, torch.Tensor] = {}
    dtype = getattr(torch, place.dtype)
    since = 0
    for key in wanted:
        tensor = tensors[key]
        # Convolutions run faster with channels last: a tenth in float32, several times in bfloat16.
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        weights[key] = tensor.to(place.device, dtype, memory_format=layout).contiguous(memory_format=layout)
        since += tensor.nbytes
        if since >= _LOOK_BYTES:
            check()
            since = 0
    network.load_state_dict(weights, assign=True)
    network.requires_grad_(False).eval()
    return {key: tensors[key] for key in wanted}


def _misfit(name: str, what: str) -> NodeError:
    return NodeError(
        f"The weights in {name} do not fit the network: {what}.",
        "Download the model again, or choose another.",
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
    variants: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        # “model.fp16-00001-of-00002” is a part of the variant “fp16”.
        variants.setdefault(file.stem.partition(".")[2].partition("-")[0], []).append(file)
    for variant in ("", "fp16", "bf16", *variants):
        if variant in variants:
            return variants[variant]
    raise NodeError(f"There are no weights in {folder}.", "Choose a folder with .safetensors files.")
