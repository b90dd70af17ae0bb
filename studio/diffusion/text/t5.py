"""The encoder of T5, the text network of Stable Diffusion 3 and Flux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from studio.diffusion.api import Check, Loader, Tokenizer
from studio.diffusion.files import loading
from studio.diffusion.files.stored import Stored, fill
from studio.models.kinds import Shapes, count
from studio.models.transformer_keys import Piece

_SHARED, _EMBEDDED = "shared.weight", "encoder.embed_tokens.weight"
_FIRST = "encoder.block.0.layer.0.SelfAttention"


class T5:
    """A loaded T5 encoder; see `studio.diffusion.api.Network`. Families use it through `Told`.

    Attributes:
        width: Of what it gives for a token.
        vocabulary: File that `studio.diffusion.text.tokenizer_t5.t5` makes its tokenizer of.
    """

    def __init__(
        self, network: Any, source: Mapping[str, torch.Tensor], vocabulary: Path, check: Check
    ) -> None:
        self.check = check
        self.vocabulary = vocabulary
        self.modules: Mapping[str, torch.nn.Module] = {"t5": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"t5": source}
        # The table of words bears two names.
        self.nbytes = loading.nbytes(network.encoder)
        self.width = int(network.config.d_model)
        self._network = network
        self._words: list[tuple[torch.Tensor, torch.Tensor]] = []
        network.shared.register_forward_hook(self._embedded)
        loading.stop_inside(network, ("T5Block",), lambda: self.check())

    def _embedded(self, module: Any, given: Any, found: torch.Tensor) -> torch.Tensor:
        """Put the vectors of words that are in no vocabulary in their places."""
        for places, vector in self._words:
            found[places] = vector.to(found)
        return found

    def encode(self, ids: Sequence[Sequence[int]], *, embeddings: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Encode rows of ids; padding is attended to, as both families were trained."""
        rows = torch.tensor(ids, device=self._network.shared.weight.device)
        self._words = [(rows == name, vector) for name, vector in embeddings.items()]
        try:
            given = self._network(input_ids=rows.clamp(min=0))
        finally:
            self._words = []
        return given.last_hidden_state.float().cpu()


@dataclass(frozen=True, eq=False)
class Told:
    """T5 as one family uses it; see `studio.diffusion.api.TextNetwork`.

    Attributes:
        network: Shared with other families.
        tokenizer: Pads texts to the family's length.
    """

    network: T5
    tokenizer: Tokenizer

    @property
    def width(self) -> int:
        """Of what it gives for a token."""
        return self.network.width

    @property
    def check(self) -> Check:
        """Called before every layer."""
        return self.network.check

    @check.setter
    def check(self, check: Check) -> None:
        self.network.check = check

    def encode(
        self, ids: Sequence[Sequence[int]], *, skip: int | None, embeddings: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, None]:
        """Encode rows. There is no layer but the last, so `skip` means nothing, and no pooled output."""
        del skip
        return self.network.encode(ids, embeddings=embeddings), None


class _Gated(torch.nn.Module):
    """The gated feed-forward layer with packed weights, which the library would take for its numbers."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.wi_0, self.wi_1, self.wo, self.act = layer.wi_0, layer.wi_1, layer.wo, layer.act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Let one projection open the other."""
        return self.wo(self.act(self.wi_0(x)) * self.wi_1(x))


def pieces(shapes: Shapes) -> dict[str, Piece]:
    """Where the weights of ``T5EncoderModel`` lie in a file that names its table of words once, or twice."""
    found = {name: Piece(name) for name in shapes if name.startswith(("encoder.", "shared."))}
    table = _SHARED if _SHARED in shapes else _EMBEDDED
    return {**found, _SHARED: Piece(table), _EMBEDDED: Piece(table)}


def config(shapes: Shapes) -> dict[str, Any]:
    """Arguments of transformers' ``T5Config``, from the shapes of the weights.

    Raises:
        KeyError, IndexError: They are of no T5.
    """
    words, width = shapes[_SHARED]
    buckets, heads = shapes[f"{_FIRST}.relative_attention_bias.weight"]
    gated = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" in shapes
    name = "wi_0" if gated else "wi"
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": shapes[f"{_FIRST}.q.weight"][0] // heads,
        "d_ff": shapes[f"encoder.block.0.layer.1.DenseReluDense.{name}.weight"][0],
        "num_layers": count(shapes, "encoder.block."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
    }


def build(stored: Stored, settings: Mapping[str, Any] | None, vocabulary: Path, loader: Loader) -> T5:
    """Build the network with its weights.

    Args:
        stored: Opened with `pieces`.
        settings: Arguments of ``T5Config``; None to read them from the shapes.
        vocabulary: See `T5`.
        loader: Where it goes.

    Raises:
        NodeError: The weights do not fit.
    """
    library = loading.imported("transformers.models.t5", loader.check)
    told = {**(config(stored.shapes) if settings is None else settings), "use_cache": False}
    told = {
        name: value for name, value in told.items() if name not in ("architectures", "torch_dtype", "dtype")
    }
    with torch.device("meta"):
        network: Any = library.T5EncoderModel(library.T5Config(**told))
    network.shared = network.encoder.embed_tokens
    # The last projection's numbers leave the range of half precision.
    exact = ("DenseReluDense.wo.weight",) if loader.place.dtype == "float16" else ()
    source = fill(network, stored, loader.place, loader.check, exact=exact)
    for block in network.encoder.block:
        layer = block.layer[1].DenseReluDense
        if layer.wo.weight.dtype == torch.uint8:
            block.layer[1].DenseReluDense = _Gated(layer)
    return T5(network, source, vocabulary, loader.check)
