"""The text networks of CLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from studio.diffusion import loading
from studio.diffusion.api import Check, TextNetwork, Tokenizer


class Clip:
    """One CLIP text encoder; see `studio.diffusion.api.TextNetwork` and `Network`."""

    def __init__(
        self, network: Any, source: Mapping[str, torch.Tensor], name: str, tokenizer: Tokenizer, check: Check
    ) -> None:
        self.check = check
        self.tokenizer = tokenizer
        self.modules: Mapping[str, torch.nn.Module] = {name: network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {name: source}
        self.nbytes = loading.nbytes(network)
        self.width = int(network.config.hidden_size)
        self._network = network
        self._body: Any = getattr(network, "text_model", network)
        self._words: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._body.embeddings.token_embedding.register_forward_hook(self._embedded)
        loading.stop_inside(network, ("CLIPEncoderLayer",), lambda: self.check())

    def _embedded(self, module: Any, given: Any, found: torch.Tensor) -> torch.Tensor:
        """Put the vectors of words that are in no vocabulary in their places."""
        for places, vector in self._words:
            found[places] = vector.to(found)
        return found

    def encode(
        self, ids: Sequence[Sequence[int]], *, skip: int | None, embeddings: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode rows; the output of the last layer but `skip`, normalised; pooled is of the last layer."""
        rows = torch.tensor(ids, device=self._network.device)
        self._words = [(rows == name, vector) for name, vector in embeddings.items()]
        try:
            given = self._network(rows.clamp(min=0), output_hidden_states=bool(skip))
        finally:
            self._words = []
        hidden = given.last_hidden_state
        if skip:
            hidden = self._body.final_layer_norm(given.hidden_states[-1 - skip])
        return hidden.float().cpu(), given.pooler_output.float().cpu()


class Single:
    """The encoder of a family that has one network; see `studio.diffusion.api.Encoder`."""

    def __init__(self, name: str, network: Any) -> None:
        self.networks: Mapping[str, TextNetwork] = {name: network}
        self.modules: Mapping[str, torch.nn.Module] = network.modules
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = network.source
        self.nbytes: int = network.nbytes
        self._network = network

    @property
    def check(self) -> Check:
        """Called before every layer."""
        return self._network.check

    @check.setter
    def check(self, check: Check) -> None:
        self._network.check = check

    def join(
        self, outputs: Mapping[str, tuple[torch.Tensor, torch.Tensor | None]]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the one network gave."""
        return next(iter(outputs.values()))
