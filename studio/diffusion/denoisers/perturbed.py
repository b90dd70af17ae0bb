"""Transformers made worse on purpose: without some blocks, or with blind attention between pixels."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from studio.diffusion.api import Perturb
from studio.errors import NodeError


@contextmanager
def perturbed(
    network: Any, lists: Sequence[str], perturb: Perturb | None, usual: Sequence[int]
) -> Generator[None]:
    """Change a network for the time of a call.

    Blocks are counted through `lists`, or named by list and number (``single_transformer_blocks.3``,
    ``single.3``, ``double.3``).

    Args:
        network: The transformer.
        lists: Names of its lists of blocks, in the order they are run.
        perturb: How; None leaves it as it is.
        usual: Numbers in each list where `perturb` names no layers; where there are not so many, the middle.

    Raises:
        NodeError: A layer is not there.
    """
    if perturb is None:
        yield
        return
    chosen = _chosen(network, lists, perturb.layers, usual)
    if perturb.kind == "skip_layers":
        held = {name: getattr(network, name) for name in lists}
        for name, numbers in chosen.items():
            rest = [block for number, block in enumerate(held[name]) if number not in numbers]
            setattr(network, name, torch.nn.ModuleList(rest))
        try:
            yield
        finally:
            for name, blocks in held.items():
                setattr(network, name, blocks)
        return
    with _blind(network, chosen):
        yield


@contextmanager
def _blind(network: Any, chosen: Mapping[str, set[int]]) -> Generator[None]:
    """Let pixels attend to words and themselves alone.

    Source: Ahn et al., “Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance”, 2024.
    """
    words = [0]

    def look(_: object, __: object, arguments: dict[str, Any]) -> None:
        words[0] = arguments["encoder_hidden_states"].shape[1]

    hook = network.register_forward_pre_hook(look, with_kwargs=True)
    attentions = [
        getattr(network, name)[number].attn for name, numbers in chosen.items() for number in numbers
    ]
    before = [attention.processor for attention in attentions]
    for attention in attentions:
        rotary = type(attention).__name__ == "FluxAttention"
        attention.processor = _BlindRotary(attention.processor, words) if rotary else _blind_joint
    try:
        yield
    finally:
        hook.remove()
        for attention, processor in zip(attentions, before, strict=True):
            attention.processor = processor


class _BlindRotary:
    """Flux's attention with a mask; words come before pixels."""

    def __init__(self, processor: Any, words: list[int]) -> None:
        self._processor, self._words = processor, words

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        length = hidden_states.shape[1]
        length += 0 if encoder_hidden_states is None else encoder_hidden_states.shape[1]
        seen = torch.eye(length, dtype=torch.bool, device=hidden_states.device)
        seen[: self._words[0]] = True
        seen[:, : self._words[0]] = True
        return self._processor(attn, hidden_states, encoder_hidden_states, seen, image_rotary_emb)


def _blind_joint(
    attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """SD3's joint attention with a mask; pixels come before words."""

    def heads(layer: Any, norm: Any, tokens: torch.Tensor) -> torch.Tensor:
        split = layer(tokens).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        return split if norm is None else norm(split)

    pixels, words = hidden_states.shape[1], encoder_hidden_states.shape[1]
    parts = [
        (attn.to_q, attn.norm_q, attn.add_q_proj, attn.norm_added_q),
        (attn.to_k, attn.norm_k, attn.add_k_proj, attn.norm_added_k),
        (attn.to_v, None, attn.add_v_proj, None),
    ]
    query, key, value = (
        torch.cat([heads(of, norm, hidden_states), heads(add, added, encoder_hidden_states)], dim=2)
        for of, norm, add, added in parts
    )
    seen = torch.eye(pixels + words, dtype=torch.bool, device=hidden_states.device)
    seen[pixels:] = True
    seen[:, pixels:] = True
    given = scaled_dot_product_attention(query, key, value, attn_mask=seen).transpose(1, 2).flatten(2)
    shown, told = given[:, :pixels], given[:, pixels:]
    told = told if attn.context_pre_only else attn.to_add_out(told)
    return attn.to_out[1](attn.to_out[0](shown)), told


def _chosen(
    network: Any, lists: Sequence[str], layers: Sequence[str], usual: Sequence[int]
) -> dict[str, set[int]]:
    lengths = {name: len(getattr(network, name)) for name in lists}
    chosen: dict[str, set[int]] = {name: set() for name in lists}
    if not layers:
        for name, length in lengths.items():
            chosen[name] = {number for number in usual if number < length} or {length // 2}
        return chosen
    for layer in layers:
        name, _, number = layer.strip().rpartition(".")
        where = _list_of(name, lists)
        index = int(number) if number.isdecimal() and len(number) < 6 else -1
        if not name:
            for each in lists:
                if index < lengths[each]:
                    where = each
                    break
                index -= lengths[each]
        if where is None or not 0 <= index < lengths[where]:
            raise NodeError(
                f"The model has no layer “{layer}”.",
                f"It has {sum(lengths.values())}, counted from 0; leave the field empty for the usual ones.",
            )
        chosen[where].add(index)
    return chosen


def _list_of(name: str, lists: Sequence[str]) -> str | None:
    short = {"double": "transformer_blocks", "single": "single_transformer_blocks"}
    full = short.get(name, name)
    return full if full in lists else None
