"""Weights as files hold them: in another layout, as scaled eighths, packed in blocks; read when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from studio.diffusion.api import Check
from studio.diffusion.device import Place
from studio.diffusion.files import loading
from studio.errors import NodeError
from studio.models.gguf_header import is_gguf, read_gguf
from studio.models.kinds import Shapes
from studio.models.transformer_keys import Piece, shapes_of

_LOOK_BYTES = 64 * 2**20
_SCALES = ("scale_weight", "weight_scale")
_BESIDE = (*_SCALES, "scale_input", "input_scale", "scaled_fp8")
_PLAIN = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
}
Pieces = Callable[[Shapes], Mapping[str, Piece]]


class Stored(Mapping[str, torch.Tensor]):
    """Name of a weight → the weight, as a network of diffusers or transformers has it.

    What a file holds as it is, comes mapped and takes no memory; what must be unpacked, scaled or swapped is
    made anew each time.

    Attributes:
        shapes: Of all weights.
        name: Of the file or folder, for sentences.
    """

    def __init__(self, files: Sequence[Path], prefix: str = "", pieces: Pieces | None = None) -> None:
        """Open files that hold the weights between them.

        Args:
            files: Safetensors files, or one GGUF file.
            prefix: What they put before the names of these weights.
            pieces: Finds the network's weights among tensors of another layout.

        Raises:
            FileError: One is missing, cut short, or no such file.
        """
        self.name = files[0].name if len(files) == 1 else files[0].parent.name
        self._packed: dict[str, str] = {}
        if is_gguf(files[0]):
            self._tensors, shapes = self._gguf(files[0], prefix)
        else:
            self._tensors = loading.mapped(files, prefix)
            shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}
        self._pieces = dict(_all(shapes) if pieces is None else pieces(shapes))
        self.shapes = shapes_of(self._pieces, shapes)

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __contains__(self, name: object) -> bool:
        return name in self._pieces

    def __getitem__(self, name: str) -> torch.Tensor:
        piece = self._pieces[name]
        format_name = self._packed.get(piece.key)
        if format_name is not None:
            block = self._block(piece, format_name)
            tensor = _library().dequantize_gguf_tensor(block).reshape(self.shapes[name])
        else:
            tensor = _cut(self._tensors[piece.key], piece)
        scale = self._scale(piece.key)
        return tensor if scale is None else tensor.float() * scale

    def block(self, name: str) -> Any | None:
        """A weight still packed, as diffusers' linear layer for it takes it; None where it is not packed."""
        piece = self._pieces[name]
        format_name = self._packed.get(piece.key)
        if format_name is None or len(self.shapes[name]) != 2:
            return None
        return self._block(piece, format_name)

    def nbytes(self, name: str) -> int:
        """Bytes that a weight takes in its file."""
        piece, tensor = self._pieces[name], self._tensors[self._pieces[name].key]
        if piece.rows is None:
            return tensor.nbytes
        return tensor.nbytes // len(tensor) * (piece.rows[1] - piece.rows[0])

    def _block(self, piece: Piece, format_name: str) -> Any:
        import gguf

        kind = gguf.GGMLQuantizationType[format_name]
        return _library().GGUFParameter(_cut(self._tensors[piece.key], piece), quant_type=kind)

    def _scale(self, key: str) -> torch.Tensor | None:
        """The factor that files of scaled eighths keep beside a weight."""
        layer, _, last = key.rpartition(".")
        if last != "weight":
            return None
        found = (self._tensors.get(f"{layer}.{name}") for name in _SCALES)
        scale = next((tensor for tensor in found if tensor is not None), None)
        return None if scale is None else scale.float().reshape(-1, *[1] * (len(self._shape(key)) - 1))

    def _shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._tensors[key].shape)

    def _gguf(self, path: Path, prefix: str) -> tuple[dict[str, torch.Tensor], dict[str, tuple[int, ...]]]:
        """Map a GGUF file; what is packed becomes rows of bytes."""
        header = read_gguf(path).header
        whole = torch.from_file(str(path), False, header.size, dtype=torch.uint8)
        tensors: dict[str, torch.Tensor] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, place in header.tensors.items():
            if not name.startswith(prefix):
                continue
            key = name[len(prefix) :]
            data = whole[place.begin : place.end]
            shapes[key] = place.shape
            if place.dtype in _PLAIN:
                tensors[key] = data.view(_PLAIN[place.dtype]).reshape(place.shape)
            else:
                tensors[key] = data.reshape(*place.shape[:-1], -1)
                self._packed[key] = place.dtype
        return tensors, shapes


def _cut(tensor: torch.Tensor, piece: Piece) -> torch.Tensor:
    """The rows of a piece, packed or not; a copy only where its halves change places."""
    rows = tensor if piece.rows is None else tensor[slice(*piece.rows)]
    if not piece.swapped:
        return rows
    # As bytes, since not every number format can be put together.
    return torch.cat(rows.view(torch.uint8).chunk(2)[::-1]).view(tensor.dtype)


def _all(shapes: Shapes) -> dict[str, Piece]:
    """Every tensor for itself, but for what files of scaled eighths keep beside them."""
    return {name: Piece(name) for name in shapes if name.rpartition(".")[2] not in _BESIDE}


def _library() -> Any:
    return importlib.import_module("diffusers.quantizers.gguf.utils")


def fill(
    network: torch.nn.Module, stored: Stored, place: Place, check: Check, *, exact: tuple[str, ...] = ()
) -> Mapping[str, torch.Tensor]:
    """Give a network made on the meta device its weights, in the place's number format; returns `stored`.

    Packed matrices stay packed and are unpacked where they are used.

    Args:
        network: Without weights.
        stored: Has them all, and perhaps more.
        place: Where they go.
        check: Called every 64 MB; may raise.
        exact: Ends of the names of weights that are kept in float32.

    Raises:
        NodeError: A weight is missing or of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = sorted(wanted.keys() - stored.keys())
    if missing:
        raise _misfit(stored, f"{len(missing)} weights are missing, {missing[0]} first")
    strange = next((name for name, shape in wanted.items() if stored.shapes[name] != shape), None)
    if strange is not None:
        shapes = f"{list(stored.shapes[strange])}, not {list(wanted[strange])}"
        raise _misfit(stored, f"{strange} is {shapes}")
    dtype = getattr(torch, place.dtype)
    weights: dict[str, torch.Tensor] = {}
    since = 0
    for name in wanted:
        block = stored.block(name)
        if block is not None and _pack(network, name, block.to(place.device), dtype):
            pass
        else:
            kept = torch.float32 if name.endswith(exact) else dtype
            weights[name] = stored[name].to(place.device, kept)
        since += stored.nbytes(name)
        if since >= _LOOK_BYTES:
            check()
            since = 0
    network.load_state_dict(weights, assign=True, strict=False)
    network.requires_grad_(False).eval()
    return stored


def _pack(network: torch.nn.Module, name: str, block: Any, dtype: torch.dtype) -> bool:
    """Put a packed matrix in the place of a linear layer's weight; False where it is another layer's."""

    where, _, last = name.rpartition(".")
    linear = network.get_submodule(where)
    if type(linear) is not torch.nn.Linear or last != "weight":
        return False
    with torch.device("meta"):
        bias = cast("Any", linear).bias is not None
        packed = _library().GGUFLinear(linear.in_features, linear.out_features, bias, dtype)
    packed.weight = block
    network.set_submodule(where, packed)
    return True


def _misfit(stored: Stored, what: str) -> NodeError:
    return NodeError(
        f"{stored.name} does not fit the network it is for: {what}.",
        "Download the model again, or choose another.",
    )
