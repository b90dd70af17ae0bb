"""IP-Adapters: pictures become tokens, and tokens keys and values of their own beside those of the words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from studio.diffusion.api import Check, Loader
from studio.diffusion.files import loading
from studio.errors import NodeError
from studio.models.image_header import AdapterPlan

_HEAD = 64
_BLOCKS = ("IPAdapterPlusImageProjectionBlock",)
# The first implementation's names of the parts of a layer of the resampler.
_RESAMPLER = {
    "0.norm1": "ln0",
    "0.norm2": "ln1",
    "0.to_q": "attn.to_q",
    "0.to_out": "attn.to_out.0",
    "1.0": "ff.0",
    "1.1": "ff.1.net.0.proj",
    "1.3": "ff.1.net.2",
}
_FULL = {"proj.0": "ff.net.0.proj", "proj.2": "ff.net.2", "proj.3": "norm"}
_LAYERS_SD, _LAYERS_XL = 16, 70
WEIGHTS: Mapping[str, Mapping[int, Mapping[int, float]]] = {
    "style": {
        _LAYERS_SD: {**dict.fromkeys(range(4), 1.0), **dict.fromkeys(range(8, 15), 1.0)},
        _LAYERS_XL: dict.fromkeys(range(34, 44), 1.0),
    },
    "composition": {
        _LAYERS_SD: {4: 0.25, 5: 1.0},
        _LAYERS_XL: dict.fromkeys(range(14, 24), 1.0),
    },
}
"""What is taken from a picture → number of cross-attention layers of the model → layer → factor.

Layers are counted down, up, middle. Of SDXL, the second attention of the first block on the way up carries
style, the second of the last on the way down the arrangement (InstantStyle, Wang et al. 2024); of Stable
Diffusion 1, which has no such clear place, those around them.
"""


class Adapter:
    """A loaded IP-Adapter; see `studio.diffusion.api.Network`.

    Attributes:
        width: Of the tokens of the model it is made for.
    """

    def __init__(self, files: Sequence[Path], plan: AdapterPlan, loader: Loader) -> None:
        self.check: Check = loader.check
        library = loading.imported("diffusers.models.embeddings", loader.check)
        tensors = _named(loading.mapped(list(files)), plan)
        with warnings.catch_warnings(), torch.device("meta"):
            network = _Adapting(library, plan, tensors)
        source = loading.give(network, tensors, loader.place, loader.check, files[0].name)
        loading.stop_inside(network, _BLOCKS, lambda: self.check())
        self.modules: Mapping[str, torch.nn.Module] = {"ip_adapter": network}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {"ip_adapter": source}
        self.nbytes = loading.nbytes(network)
        self.width = plan.width
        self.count = len(plan.layers)
        self._plan = plan
        self._network = network
        self._shown: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def tokens(self, embeds: torch.Tensor) -> torch.Tensor:
        """Tokens of pictures, one behind the other: ``[1, tokens, width]``; kept for the pictures told last.

        Args:
            embeds: ``[N, tokens, width]`` as the image encoder gives them.

        Raises:
            NodeError: They are of another encoder.
        """
        kept = self._shown.get(id(embeds))
        if kept is not None and kept[0] is embeds:
            return kept[1]
        if embeds.shape[-1] != self._plan.embeds:
            raise NodeError(
                f"The IP-Adapter takes pictures seen {self._plan.embeds} wide, these are {embeds.shape[-1]}.",
                "Use the image encoder that belongs to the IP-Adapter.",
                socket="positive",
            )
        weight = next(self._network.parameters())
        given = embeds.to(weight.device, weight.dtype)
        plain = self._plan.kind == "plain"
        made = self._network.project(given.flatten(0, 1) if plain else given)
        tokens = made.reshape(1, -1, made.shape[-1])
        while len(self._shown) >= 8:
            del self._shown[next(iter(self._shown))]
        self._shown[id(embeds)] = (embeds, tokens)
        return tokens

    def key_values(self, layer: int, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values ``[n, tokens, inner]`` for a cross-attention layer, counted down, up, middle.

        Raises:
            NodeError: The model has other layers than the one it was made for.
        """
        if layer >= self.count:
            raise _alien()
        key, value = self._network.keys[layer], self._network.values[layer]
        return key(tokens), value(tokens)

    def weight(self, layer: int) -> float:
        """Factor of what it adds in a layer."""
        return 1.0


class Partial:
    """An IP-Adapter that acts in some layers only, and shares its weights with the whole one."""

    def __init__(self, whole: Adapter, part: str) -> None:
        self._whole = whole
        self.modules: Mapping[str, torch.nn.Module] = {}
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {}
        self.nbytes = 0
        self.width = whole.width
        self.tokens = whole.tokens
        self.key_values = whole.key_values
        known = WEIGHTS[part]
        if whole.count not in known:
            raise NodeError(
                f"Which layers carry {part} is known for Stable Diffusion 1 and SDXL, "
                f"but the IP-Adapter is for a model of {whole.count} layers.",
                "Choose to take everything from the picture.",
                socket="positive",
            )
        self._factors = known[whole.count]

    @property
    def check(self) -> Check:
        """Called before every block of the whole one, whose blocks these are."""
        return self._whole.check

    @check.setter
    def check(self, check: Check) -> None:
        self._whole.check = check

    def weight(self, layer: int) -> float:
        """Factor of what it adds in a layer."""
        return self._factors.get(layer, 0.0)


class _Adapting(torch.nn.Module):
    """The projection of pictures, and the key and value projections of every layer."""

    def __init__(self, library: Any, plan: AdapterPlan, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.project = _projection(library, plan, tensors)
        linear = torch.nn.Linear
        self.keys = torch.nn.ModuleList(linear(plan.width, wide, bias=False) for wide in plan.layers)
        self.values = torch.nn.ModuleList(linear(plan.width, wide, bias=False) for wide in plan.layers)


def _projection(library: Any, plan: AdapterPlan, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    if plan.kind == "plain":
        return library.ImageProjection(plan.embeds, plan.width, plan.tokens)
    if plan.kind == "full":
        return library.IPAdapterFullImageProjection(plan.embeds, plan.width)
    inner = tensors["project.latents"].shape[-1]
    depth = sum(name.endswith("attn.to_q.weight") for name in tensors)
    wide = tensors["project.layers.0.ff.1.net.0.proj.weight"].shape[0]
    return library.IPAdapterPlusImageProjection(
        embed_dims=plan.embeds,
        output_dims=tensors["project.proj_out.weight"].shape[0],
        hidden_dims=inner,
        depth=depth,
        heads=tensors["project.layers.0.attn.to_q.weight"].shape[0] // _HEAD,
        num_queries=plan.tokens,
        ffn_ratio=wide / inner,
    )


def _named(tensors: Mapping[str, torch.Tensor], plan: AdapterPlan) -> dict[str, torch.Tensor]:
    """The weights under the names of `_Adapting`."""
    named: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if match := re.fullmatch(r"ip_adapter\.(\d+)\.to_([kv])_ip\.weight", name):
            part = "keys" if match[2] == "k" else "values"
            named[f"{part}.{int(match[1]) // 2}.weight"] = value
        elif name.startswith("image_proj."):
            rest = name.removeprefix("image_proj.")
            named |= {f"project.{new}": part for new, part in _of_projection(rest, value, plan).items()}
    return named


def _of_projection(name: str, value: torch.Tensor, plan: AdapterPlan) -> dict[str, torch.Tensor]:
    if plan.kind == "plain":
        return {name.replace("proj.", "image_embeds."): value}
    if plan.kind == "full":
        module, _, end = name.rpartition(".")
        return {f"{_FULL.get(module, module)}.{end}": value}
    match = re.fullmatch(r"layers\.(\d+)\.(\d\.\w+)(\..+)", name)
    if match is None:
        return {name: value}
    layer = f"layers.{match[1]}"
    if match[2] == "0.to_kv":
        key, values = value.chunk(2)
        return {f"{layer}.attn.to_k{match[3]}": key, f"{layer}.attn.to_v{match[3]}": values}
    return {f"{layer}.{_RESAMPLER.get(match[2], match[2])}{match[3]}": value}


def _alien() -> NodeError:
    return NodeError(
        "The IP-Adapter was made for another kind of model.",
        "Choose an IP-Adapter that was made for this model.",
        socket="positive",
    )
