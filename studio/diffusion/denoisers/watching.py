"""Watching a denoiser attend to words: UNets through their own attention, transformers from outside."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

Note = Callable[[str, torch.Tensor], None]


@contextmanager
def watching(denoiser: Any, tokens: int, note: Note) -> Generator[None]:
    """Hand over how much pixels attend to words in every layer, for the time of a call.

    Args:
        denoiser: Of any family.
        tokens: How many the words are; a transformer's are joined to the pixels.
        note: Given a layer's name and ``[N, heads, pixels, tokens]``.
    """
    run = getattr(denoiser, "attention", None)
    if run is not None:
        run.capture = note
        try:
            yield
        finally:
            run.capture = None
        return
    network: Any = denoiser.modules["transformer"]
    watch = _Watch(tokens, type(network).__name__.startswith("Flux"), note)
    hooks = [
        module.register_forward_pre_hook(watch.enter(name))
        for name, module in network.named_modules()
        if name.endswith(".attn")
    ]
    try:
        with watch:
            yield
    finally:
        for hook in hooks:
            hook.remove()


class _Watch(TorchFunctionMode):
    """Sees every attention of a transformer that joins words and pixels, and changes nothing."""

    def __init__(self, tokens: int, words_first: bool, note: Note) -> None:
        super().__init__()
        self._tokens, self._words_first, self._note = tokens, words_first, note
        self._layer = ""

    def enter(self, layer: str) -> Callable[..., None]:
        """A hook that says which layer is run next."""

        def hook(*_: Any) -> None:
            self._layer = layer

        return hook

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is scaled_dot_product_attention and self._layer:
            given = dict(zip(("query", "key"), args, strict=False)) | named
            self._see(given["query"], given["key"])
        return func(*args, **named)

    def _see(self, query: torch.Tensor, key: torch.Tensor) -> None:
        """Note the weights of one attention, ``[N, heads, pixels + words, width]``."""
        layer, self._layer = self._layer, ""  # the second attention of a block is among pixels alone
        pixels = slice(self._tokens, None) if self._words_first else slice(None, -self._tokens)
        words = slice(None, self._tokens) if self._words_first else slice(-self._tokens, None)
        heads: list[torch.Tensor] = []
        for head in range(query.shape[1]):
            likeness = query[:, head, pixels].float() @ key[:, head].float().transpose(-1, -2)
            heads.append(torch.softmax(likeness * query.shape[-1] ** -0.5, dim=-1)[..., words])
        self._note(layer, torch.stack(heads).mean(0)[:, None])
