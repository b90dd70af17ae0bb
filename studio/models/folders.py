"""What a diffusers folder is, from its index and the configurations of its networks: no weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from studio.errors import FileError
from studio.models.header import read_header
from studio.models.kinds import Kind, Type, precision

_LIMIT_BYTES = 4 * 2**20
_WIDTHS = {1024: "clip_h", 1280: "clip_g"}
_IN_CHANNELS: dict[str, dict[int, str]] = {
    "stable_diffusion": {9: "inpainting", 8: "pix2pix"},
    "stable_diffusion_2": {9: "inpainting", 5: "depth"},
    "sdxl": {9: "inpainting", 8: "pix2pix"},
    "x4_upscaler": {},
    "latent_upscaler": {},
}
_FLUX_CHANNELS = {128: "control", 384: "fill"}
_TEXTS: dict[str, tuple[str, ...]] = {
    "stable_diffusion": ("clip_l",),
    "stable_diffusion_2": ("clip_h",),
    "x4_upscaler": ("clip_h",),
    "latent_upscaler": ("clip_l",),
    "sdxl": ("clip_l", "clip_g"),
    "stable_diffusion_3": ("clip_l", "clip_g", "t5"),
    "flux": ("clip_l", "t5"),
}
"""What the folders ``text_encoder``, ``text_encoder_2``, ``text_encoder_3`` of a family hold."""
_LONE: dict[str, Type] = {
    "AutoencoderKL": "vae",
    "AutoencoderTiny": "tiny_vae",
    "ControlNetModel": "controlnet",
    "ControlNetUnionModel": "controlnet",
    "SD3ControlNetModel": "controlnet",
    "FluxControlNetModel": "controlnet",
    "T2IAdapter": "t2i_adapter",
    "CLIPTextModel": "text_encoder",
    "CLIPTextModelWithProjection": "text_encoder",
    "T5EncoderModel": "text_encoder",
    "CLIPVisionModelWithProjection": "clip_vision",
    "CLIPVisionModel": "clip_vision",
    "SiglipVisionModel": "clip_vision",
}


def kind_of_folder(path: Path) -> Kind | None:
    """Tell which pipeline, or which one network, lies in a folder; None if nothing that is known here."""
    index = settings(path / "model_index.json")
    if index is None:
        return _lone(path)
    there = {name for name, entry in index.items() if isinstance(entry, list) and any(cast("Any", entry))}
    part = next((name for name in ("unet", "transformer") if name in there), "")
    told = _denoiser(settings(path / part / "config.json") or {}) if part else None
    if told is None:
        return None
    family, variant = told
    held = {part: part}
    for number, text in enumerate(_TEXTS[family]):
        folder = "text_encoder" if number == 0 else f"text_encoder_{number + 1}"
        if folder in there and (path / folder).is_dir():
            held[text] = folder
    if "vae" in there:
        held["vae"] = "vae"
    if "image_encoder" in there and (path / "image_encoder").is_dir():
        held["clip_vision"] = "image_encoder"
    if "image_normalizer" in there:
        held["noise_augmentor"] = "image_normalizer"
    return Kind("checkpoint", family, variant, _precision(path / part), "diffusers", held)


def settings(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; None if it is missing, too large, or none."""
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _lone(path: Path) -> Kind | None:
    found = settings(path / "config.json")
    if found is None:
        return None
    told = _denoiser(found)
    if told is not None:
        part = "unet" if found.get("_class_name") == "UNet2DConditionModel" else "transformer"
        return Kind("denoiser", *told, _precision(path), "diffusers", {part: "."})
    architectures = cast("object", found.get("architectures"))
    first = (
        cast("list[object]", architectures)[0] if isinstance(architectures, list) and architectures else ""
    )
    name = found.get("_class_name") or first
    kind = _LONE.get(name) if isinstance(name, str) else None
    if kind is None:
        return None
    part = {"tiny_vae": "vae", "text_encoder": _text(str(name), found)}.get(kind, kind)
    if kind in ("vae", "tiny_vae"):
        variant = f"{found.get('latent_channels')} channels"
    else:
        variant = part if kind == "text_encoder" else ""
    return Kind(kind, "", variant, _precision(path), "diffusers", {part: "."})


def _text(name: str, found: Mapping[str, Any]) -> str:
    return "t5" if name == "T5EncoderModel" else _WIDTHS.get(found.get("hidden_size", 0), "clip_l")


def _denoiser(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """Family and variant of a denoiser by its configuration."""
    match found:
        case {"_class_name": "UNet2DConditionModel", "in_channels": int(channels)}:
            return _unet(found, channels)
        case {"_class_name": "SD3Transformer2DModel"}:
            variant = "3.5-medium" if found.get("dual_attention_layers") else "3-medium"
            large = variant == "3-medium" and found.get("qk_norm")
            return "stable_diffusion_3", "3.5-large" if large else variant
        case {"_class_name": "FluxTransformer2DModel", "in_channels": int(channels)}:
            plain = "dev" if found.get("guidance_embeds") else "schnell"
            return "flux", _FLUX_CHANNELS.get(channels, plain)
        case _:
            return None


def _unet(found: Mapping[str, Any], channels: int) -> tuple[str, str] | None:
    if found.get("encoder_hid_dim_type") or found.get("motion_module_type"):
        return None
    if "KDownBlock2D" in cast("list[object]", found.get("down_block_types", [])):
        return "latent_upscaler", ""
    family = "stable_diffusion_2" if found.get("use_linear_projection") else "stable_diffusion"
    if found.get("num_class_embeds"):
        family = "x4_upscaler"
    if found.get("addition_embed_type") == "text_time":
        family = "sdxl"
        if len(cast("list[object]", found.get("down_block_types", []))) > 3:
            return family, "refiner"
    if found.get("class_embed_type") == "projection":
        return family, "unclip"
    return family, _IN_CHANNELS[family].get(channels, "")


def _precision(folder: Path) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return ""
    try:
        return precision(read_header(weights[0]).tensors.values())
    except FileError:
        return ""
