"""The text networks of CLIP, and how families put several of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from studio.diffusion.api import Check, Loader, TextNetwork
from studio.diffusion.files import loading
from studio.diffusion.text.tokenizer import ClipTokenizer, Tokenizer

Encoded = tuple[torch.Tensor, torch.Tensor | None]
Join = Callable[[Mapping[str, Encoded]], Encoded]


class Clip:
    """One CLIP text encoder; see `studio.diffusion.api.Network`. Families use it through `Use`.

    Attributes:
        tokenizer: Its own.
        layers: It has.
        width: Of its tokens.
        trimmed: Layers its file has already left out at the end.
    """

    def __init__(
        self,
        network: Any,
        source: Mapping[str, torch.Tensor],
        name: str,
        tokenizer: Tokenizer,
        check: Check,
        trimmed: int = 0,
    ) -> None:
        self.check = check
        self.trimmed = trimmed
        self.tokenizer = tokenizer
        self.modules: Mapping[str, torch.nn.Module] = {name: network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {name: source}
        self.nbytes = loading.nbytes(network)
        self.layers = int(network.config.num_hidden_layers)
        self.width = int(network.config.hidden_size)
        self._network = network
        self._words: list[tuple[torch.Tensor, torch.Tensor]] = []
        network.embeddings.token_embedding.register_forward_hook(self._embedded)
        loading.stop_inside(network, ("CLIPEncoderLayer",), lambda: self.check())

    def _embedded(self, module: Any, given: Any, found: torch.Tensor) -> torch.Tensor:
        """Put the vectors of words that are in no vocabulary in their places."""
        for places, vector in self._words:
            found[places] = vector.to(found)
        return found

    def encode(
        self,
        ids: Sequence[Sequence[int]],
        *,
        skip: int,
        embeddings: Mapping[int, torch.Tensor],
        normed: bool = True,
        projected: bool = False,
        bare: bool = False,
    ) -> Encoded:
        """Encode rows; see `studio.diffusion.api.TextNetwork`.

        Args:
            ids: Rows of ids.
            skip: Layers left out at the end; of the pooled output none ever is.
            embeddings: Of words that are in no vocabulary.
            normed: What a layer before the last gives goes through the last normalisation, too. What the
                last gives always does.
            bare: Nothing does, be it the last.
            projected: The pooled output goes through the projection, where the network has one.
        """
        rows = torch.tensor(ids, device=self._network.device)
        self._words = [(rows == name, vector) for name, vector in embeddings.items()]
        try:
            given = self._network(rows.clamp(min=0), output_hidden_states=bool(skip) or bare)
        finally:
            self._words = []
        hidden = given.last_hidden_state
        if skip or bare:
            hidden = given.hidden_states[-1 - min(skip, self.layers)]
            hidden = self._network.final_layer_norm(hidden) if normed and not bare else hidden
        pooled = given.pooler_output
        if projected and hasattr(self._network, "text_projection"):
            pooled = self._network.text_projection(pooled)
        return hidden.float().cpu(), pooled.float().cpu()


@dataclass(frozen=True, eq=False)
class Use:
    """A network as one family uses it; see `studio.diffusion.api.TextNetwork`.

    Attributes:
        network: Shared with other families.
        tokenizer: Of the network, or the family's own.
        skip: Layers the family leaves out.
        normed: See `Clip.encode`.
        projected: See `Clip.encode`.
        bare: See `Clip.encode`.
    """

    network: Clip
    tokenizer: Tokenizer
    skip: int = 0
    normed: bool = True
    projected: bool = False
    bare: bool = False

    @property
    def width(self) -> int:
        """Of its tokens."""
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
    ) -> Encoded:
        """Encode rows, as the family does where `skip` is None."""
        wanted = self.skip if skip is None else skip
        return self.network.encode(
            ids,
            skip=max(0, wanted - self.network.trimmed),
            embeddings=embeddings,
            normed=self.normed,
            projected=self.projected,
            bare=self.bare,
        )


class Joined:
    """The text encoder of a family: networks that are held for themselves, put together.

    See `studio.diffusion.api.Encoder` and `Network`; its weights are its networks' and counted there.
    """

    nbytes = 0

    def __init__(self, networks: Mapping[str, TextNetwork], members: Sequence[Any], join: Join) -> None:
        self.networks = networks
        self.join = join
        self.modules: Mapping[str, torch.nn.Module] = {}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {}
        for member in members:
            self.modules = {**self.modules, **member.modules}
            self.source = {**self.source, **member.source}
        self._members = members

    @property
    def check(self) -> Check:
        """Called before every layer of any."""
        return self._members[0].check

    @check.setter
    def check(self, check: Check) -> None:
        for member in self._members:
            member.check = check


def only(outputs: Mapping[str, Encoded]) -> Encoded:
    """What the one network gave."""
    return next(iter(outputs.values()))


def side_by_side(outputs: Mapping[str, Encoded]) -> Encoded:
    """What CLIP-L and CLIP-G gave, token by token, as wide as both; pooled is CLIP-G's.

    Source: Podell et al., “SDXL: Improving Latent Diffusion Models”, 2023.
    """
    low, high = outputs["l"][0], outputs["g"][0]
    tokens = min(low.shape[1], high.shape[1])
    return torch.cat([low[:, :tokens], high[:, :tokens]], dim=-1), outputs["g"][1]


def build(
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    part: str,
    tokenizer: ClipTokenizer,
    loader: Loader,
    name: str,
    trimmed: int = 0,
) -> Clip:
    """Build a network with its weights.

    Args:
        tensors: As `studio.diffusion.files.layouts.clip` names them.
        config: Arguments of transformers' CLIPTextConfig.
        part: ``clip_l``, ``clip_g`` or ``clip_h``.
        tokenizer: Whose end token closes a text.
        loader: Where it goes.
        name: Of the file or folder it comes from, for sentences.
        trimmed: See `Clip`.
    """
    library = loading.imported("transformers.models.clip", loader.check)
    settings: Any = library.CLIPTextConfig(**{**config, "eos_token_id": tokenizer.end})
    with torch.device("meta"):
        network: Any = library.CLIPTextModel(settings)
        if "text_projection.weight" in tensors:
            out, width = tensors["text_projection.weight"].shape
            network.text_projection = torch.nn.Linear(width, out, bias=False)
    source = loading.give(network, tensors, loader.place, loader.check, name)
    positions = torch.arange(settings.max_position_embeddings, device=loader.place.device)
    network.embeddings.position_ids = positions[None]
    return Clip(network, source, part, tokenizer, loader.check, trimmed)
