"""Textual inversion: words of a person's own, as vectors that take the place of tokens.

Source: Gal et al., “An Image is Worth One Word: Personalizing Text-to-Image Generation using Textual
Inversion”, 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from studio.diffusion.files import loading
from studio.errors import NodeError
from studio.models.convert import as_safetensors
from studio.models.prompt_files import embedding

_KEYS: Mapping[str, tuple[str, ...]] = {
    "l": ("clip_l",),
    "g": ("clip_g",),
    "h": ("clip_h",),
    "t5": ("t5xxl", "t5"),
}
"""What files call the vectors of each network, where they hold those of several."""
_NAMED = frozenset(name for names in _KEYS.values() for name in names)
_WHOLE = ("emb_params", "string_to_param.*")
"""What files call the vectors where they hold those of one network."""
_MOST_BYTES = 64 * 2**20


class Embeddings:
    """The embeddings that a prompt names, for one text network; ids below zero stand for their vectors.

    Attributes:
        vectors: Id → float32 ``[width]`` on the CPU, of every embedding that was found so far.
    """

    def __init__(
        self, network: str, width: int, most: int, known: Mapping[str, Path], check: Callable[[], None]
    ) -> None:
        self.vectors: dict[int, torch.Tensor] = {}
        self._network, self._width, self._most = network, width, most
        self._known = known
        self._check = check
        self._ids: dict[Path, Sequence[int]] = {}

    def find(self, name: str) -> Sequence[int]:
        """Ids of an embedding's vectors, in the order in which they stand.

        Raises:
            NodeError: There is none of that name, or it was made for another text encoder.
            FileError: Its file cannot be read.
        """
        path = embedding(name, self._known)
        if path is None:
            raise NodeError(
                f"There is no embedding “{name}” in your folders.",
                "Put its file into a folder named embeddings, or take the name out of the prompt.",
                socket="text",
            )
        if path not in self._ids:
            rows = vectors(path, self._network, self._width, self._check)
            if len(rows) > self._most:
                raise NodeError(
                    f"The embedding {path.name} has {len(rows)} vectors, a chunk takes {self._most}.",
                    "Choose a smaller one.",
                    socket="text",
                )
            first = -1 - len(self.vectors)
            self._ids[path] = range(first, first - len(rows), -1)
            self.vectors.update(zip(self._ids[path], rows, strict=True))
        return self._ids[path]


def vectors(path: Path, network: str, width: int, check: Callable[[], None]) -> torch.Tensor:
    """Read an embedding's vectors for one text network.

    Args:
        path: Safetensors, or pickled by torch, which is converted first.
        network: ``l``, ``g``, ``h`` or ``t5``.
        width: Of the network's tokens.
        check: Called while waiting; may raise.

    Returns:
        float32 ``[vectors, width]``; T5, which few embeddings know, may get none.

    Raises:
        NodeError: It was made for another text encoder.
        FileError: It cannot be read.
    """
    plain = as_safetensors(path, check)
    tensors = loading.mapped([plain])
    name = _chosen(tensors, network, width)
    if name is None:
        if network == "t5" and tensors:
            return torch.zeros(0, width)
        widths = sorted({tensor.shape[-1] for tensor in tensors.values() if 1 <= tensor.ndim <= 2})
        raise NodeError(
            f"The embedding {path.name} is of another text encoder: {_listed(widths)} wide, not {width}.",
            "Choose an embedding made for this kind of model.",
            socket="text",
        )
    return tensors[name].float().reshape(-1, width)


def _chosen(tensors: Mapping[str, torch.Tensor], network: str, width: int) -> str | None:
    """Name of the tensor for a network: the one named for it, or the only one that fits."""
    fitting = [
        name
        for name, tensor in tensors.items()
        if 1 <= tensor.ndim <= 2
        and tensor.shape[-1] == width
        and 0 < tensor.nbytes <= _MOST_BYTES
        and tensor.is_floating_point()
    ]
    for wanted in (*_KEYS.get(network, ()), *_WHOLE):
        if wanted in fitting:
            return wanted
    others = [name for name in fitting if name not in _NAMED]
    return others[0] if others else None


def _listed(widths: Sequence[int]) -> str:
    return " and ".join(map(str, widths)) or "of no"
