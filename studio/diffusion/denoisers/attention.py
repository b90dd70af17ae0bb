"""The attention of UNets: keys and values of what is told are computed once a run, not once a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import interpolate, scaled_dot_product_attention

from studio.diffusion.api import Perturb
from studio.errors import NodeError

_KEPT = 4
_USUAL = ("mid_block",)
KeyValue = tuple[torch.Tensor, torch.Tensor]
Capture = Callable[[str, torch.Tensor], None]


@dataclass(frozen=True, eq=False)
class Shown:
    """An image prompt, ready for attention.

    Attributes:
        name: Digest of the prompt.
        adapter: The loaded adapter: ``key_values(layer, tokens)`` and perhaps ``weight(layer)``.
        tokens: ``[n, tokens, width]``, of one picture or one for each of the batch.
        strength: Factor of what it adds.
        mask: ``[n, H, W]`` or None.
        entry: Index of the entry it belongs to.
    """

    name: str
    adapter: Any
    tokens: torch.Tensor
    strength: float
    mask: torch.Tensor | None
    entry: int


@dataclass(eq=False)
class AttentionRun:
    """What all attention layers of a network share during a call.

    Attributes:
        name: Names the tokens; what was computed from tokens of that name is kept.
        tokens: ``[E, tokens, width]``, one row for each entry; None outside of a call.
        count: Pictures for each entry: the batch is entries × count, entry by entry.
        size: Height and width of x, to which masks are fitted.
        shown: Image prompts that act now.
        perturb: What is made worse on purpose.
        capture: Given the name of a cross-attention layer and its weights, ``[E·count, heads, pixels,
            tokens]``.
        generation: Raised whenever weights change: what was kept is void.
        selves: Names of the self-attention layers.
    """

    name: tuple[str, ...] = ()
    tokens: torch.Tensor | None = None
    count: int = 1
    size: tuple[int, int] = (1, 1)
    shown: Sequence[Shown] = ()
    perturb: Perturb | None = None
    capture: Capture | None = None
    generation: int = 0
    selves: tuple[str, ...] = ()
    masks: dict[tuple[str, int], torch.Tensor] = field(default_factory=dict[tuple[str, int], torch.Tensor])

    def passes_through(self, layer: str) -> bool:
        """Whether self-attention of a layer is to let its values through."""
        if self.perturb is None:
            return False
        return any(_is_of(layer, name) for name in self.perturb.layers or _USUAL)

    def check(self, perturb: Perturb | None) -> None:
        """Refuse what would leave the network as good as it is.

        Raises:
            NodeError: No self-attention has such a name, or it is to go without layers.
        """
        if perturb is None:
            return
        if perturb.kind == "skip_layers":
            raise NodeError(
                "Skip-layer guidance leaves out blocks of a transformer, and this model is a UNet.",
                "Use perturbed attention instead, or choose a model of Stable Diffusion 3 or Flux.",
            )
        for name in perturb.layers or _USUAL:
            if not any(_is_of(layer, name) for layer in self.selves):
                there = list(dict.fromkeys(layer.partition(".attentions")[0] for layer in self.selves))
                raise NodeError(
                    f"The model has no self-attention in “{name}”.",
                    f"Name some of these blocks: {', '.join(there)}." if there else "Leave the guidance out.",
                )

    def void(self) -> None:
        """Forget what was computed from weights that have changed."""
        self.generation += 1


class Attending:
    """For the time of a call; afterwards the run holds no tokens or prompts of it."""

    def __init__(self, run: AttentionRun) -> None:
        self._run = run

    def __enter__(self) -> AttentionRun:
        return self._run

    def __exit__(self, *_: object) -> None:
        run = self._run
        run.tokens, run.shown, run.perturb = None, (), None
        run.masks.clear()


class Attend:
    """Attention processor of one layer; see diffusers' `Attention` for what calls it."""

    def __init__(self, run: AttentionRun, layer: str, index: int) -> None:
        self.run = run
        self.layer = layer
        self._index = index
        self._kept: dict[object, KeyValue] = {}

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend: ``[B, pixels, width]`` to itself, or to the tokens of the run."""
        run = self.run
        if encoder_hidden_states is None:
            if run.passes_through(self.layer):
                mixed = attn.to_v(hidden_states)
            else:
                mixed = _mixed(attn, hidden_states, (attn.to_k(hidden_states), attn.to_v(hidden_states)))
        else:
            query = _heads(attn.to_q(hidden_states), attn.heads)
            key, value = self._told(attn, encoder_hidden_states)
            if run.capture is not None:
                run.capture(self.layer, _weights(query, key))
            mixed = _joined(scaled_dot_product_attention(query, key, value))
            if run.shown:
                mixed = self._with_images(attn, query, mixed)
        return attn.to_out[1](attn.to_out[0](mixed))

    def _told(self, attn: Any, tokens: torch.Tensor) -> KeyValue:
        """Keys and values of the run's tokens, ``[B, heads, tokens, width]``."""
        run = self.run
        if run.tokens is None:
            return _heads(attn.to_k(tokens), attn.heads), _heads(attn.to_v(tokens), attn.heads)
        key, value = self._keep(
            (run.generation, run.name),
            lambda: (attn.to_k(run.tokens), attn.to_v(run.tokens)),
            attn.heads,
        )
        return _each(key, run.count), _each(value, run.count)

    def _keep(self, name: object, make: Callable[[], KeyValue], heads: int) -> KeyValue:
        found = self._kept.get(name)
        if found is None:
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            key, value = make()
            found = self._kept[name] = (_heads(key, heads), _heads(value, heads))
        return found

    def _with_images(self, attn: Any, query: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Add what image prompts say to the rows of the entries they belong to."""
        run = self.run
        given = list(torch.split(mixed, run.count))
        asked = torch.split(query, run.count)
        for shown in run.shown:
            weight = getattr(shown.adapter, "weight", None)
            strength = shown.strength * (weight(self._index) if weight is not None else 1.0)
            if strength == 0:
                continue
            name = (run.generation, "image", shown.name)
            key, value = self._keep(
                name,
                lambda shown=shown: shown.adapter.key_values(self._index, shown.tokens),
                attn.heads,
            )
            key, value = (part.expand(run.count, -1, -1, -1) for part in (key, value))
            added = _joined(scaled_dot_product_attention(asked[shown.entry], key, value)) * strength
            if shown.mask is not None:
                added = added * self._mask(shown, added)
            given[shown.entry] = given[shown.entry] + added
        return torch.cat(given)

    def _mask(self, shown: Shown, added: torch.Tensor) -> torch.Tensor:
        """The mask at the layer's resolution, ``[count, pixels, 1]``; masks come round again."""
        run = self.run
        pixels = added.shape[1]
        name = (shown.name, pixels)
        found = run.masks.get(name)
        if found is None:
            assert shown.mask is not None
            factor = round((run.size[0] * run.size[1] / pixels) ** 0.5)
            rows = -(-run.size[0] // factor)
            fitted = interpolate(shown.mask[:, None].float(), size=(rows, pixels // rows), mode="bicubic")
            rows_of = torch.arange(run.count) % len(fitted)
            found = run.masks[name] = fitted.flatten(1)[rows_of.to(fitted.device), :, None].to(added)
        return found


def install(network: Any, run: AttentionRun) -> None:
    """Let every transformer block of a UNet attend through one run."""
    index = 0
    for name, module in network.named_modules():
        if type(module).__name__ != "BasicTransformerBlock":
            continue
        for part in ("attn1", "attn2"):
            attention: Any = getattr(module, part)
            if attention is not None:
                layer = f"{name}.{part}"
                attention.set_processor(Attend(run, layer, index))
                if not attention.is_cross_attention:
                    run.selves = (*run.selves, layer)
        index += 1


def _is_of(layer: str, name: str) -> bool:
    return layer == name or layer.startswith(f"{name}.")


def _mixed(attn: Any, hidden: torch.Tensor, told: KeyValue) -> torch.Tensor:
    query, key, value = (_heads(part, attn.heads) for part in (attn.to_q(hidden), *told))
    return _joined(scaled_dot_product_attention(query, key, value))


def _heads(plain: torch.Tensor, heads: int) -> torch.Tensor:
    return plain.view(*plain.shape[:-1], heads, -1).transpose(1, 2)


def _joined(parts: torch.Tensor) -> torch.Tensor:
    return parts.transpose(1, 2).flatten(2)


def _each(rows: torch.Tensor, count: int) -> torch.Tensor:
    return rows if count == 1 else rows.repeat_interleave(count, dim=0)


def _weights(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    return torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
