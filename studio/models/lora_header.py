"""Which family an adapter file (LoRA and its kin) was made for, from its header alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from studio.models.header import Header, TensorPlace, read_header

FAMILIES: Mapping[str, str] = {
    "stable_diffusion": "Stable Diffusion 1",
    "stable_diffusion_2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "stable_diffusion_3": "Stable Diffusion 3",
    "flux": "Flux",
}
"""Families that adapters are told apart for, and what people call them."""

# Width of what the denoiser's cross-attention reads; 1280 is the SDXL refiner's.
_CROSS_ATTENTION = {768: "stable_diffusion", 1024: "stable_diffusion_2", 2048: "sdxl", 1280: "sdxl"}
_FLUX_WIDTH = 3072
_FLUX = ("double_blocks_", "single_blocks_", "single_transformer_blocks_")
_TRANSFORMER = re.compile(r"(?:^|transformer_|model_)transformer_blocks_\d+_(?:attn2?|ff|norm1)_")
_CROSS = re.compile(r"_attn2_to_[kv]$")
_LAYER = re.compile(
    r"(.+?)[._](?:lora|hada|lokr|oft|alpha|diff|dora|w_norm|b_norm|rescale)[^/]*$",
    re.IGNORECASE,
)


def recognise(header: Header) -> str | None:
    """Name of the family an adapter was made for; None where its names and shapes do not say.

    Args:
        header: Of its file.
    """
    layers: dict[str, dict[str, TensorPlace]] = {}
    for name, place in header.tensors.items():
        found = _LAYER.match(name)
        if found is not None:
            layer = found[1].replace(".processor.", ".").replace(".", "_")
            layers.setdefault(layer, {})[name[len(found[1]) + 1 :]] = place
    if any(part in layer for layer in layers for part in _FLUX):
        return "flux"
    if any("joint_blocks_" in layer for layer in layers):
        return "stable_diffusion_3"
    if any(_TRANSFORMER.search(layer) and "down_blocks" not in layer for layer in layers):
        widths = {width for layer in layers.values() for width in _widths(layer)}
        return "flux" if _FLUX_WIDTH in widths else "stable_diffusion_3"
    for layer, parts in layers.items():
        if _CROSS.search(layer):
            for width in _widths(parts):
                if width in _CROSS_ATTENTION:
                    return _CROSS_ATTENTION[width]
    return _by_text_encoder(layers)


def misfit(path: Path, family: str) -> str:
    """Say why an adapter does not belong to models of a family; empty where it may.

    Raises:
        FileError: The file is missing, cut short or no safetensors file.
    """
    made_for = recognise(read_header(path))
    if made_for is None or family not in FAMILIES or made_for == family:
        return ""
    return f"{path.name} was made for {FAMILIES[made_for]}, the model is {FAMILIES[family]}."


def _widths(parts: Mapping[str, TensorPlace]) -> Iterator[int]:
    """How many inputs the layer takes, as far as its tensors say."""
    shapes = {name.partition(".weight")[0]: place.shape for name, place in parts.items()}
    for name, shape in shapes.items():
        if len(shape) >= 2 and re.search(r"(down|lora_A|hada_w1_b|^diff)", name):
            yield shape[1]
    left = shapes.get("lokr_w1") or shapes.get("lokr_w1_b")
    right = shapes.get("lokr_w2") or shapes.get("lokr_w2_b")
    if left and right and len(left) >= 2 and len(right) >= 2:
        yield left[1] * right[1]


def _by_text_encoder(layers: Mapping[str, Mapping[str, TensorPlace]]) -> str | None:
    """What the widths of text encoders say: SD 2 alone has one of 1024, SDXL alone only CLIPs up to 1280."""
    widths: set[int] = set()
    for layer, parts in layers.items():
        if layer.startswith(("lora_te3_", "text_encoder_3_")) or "encoder_block_" in layer:
            return None
        if layer.endswith("self_attn_q_proj"):
            widths.update(_widths(parts))
    if 1024 in widths:
        return "stable_diffusion_2"
    return None
