"""Denoising networks, told from names and shapes of their tensors: by structure, whatever their size."""

from __future__ import annotations

from studio.models.kinds import Denoiser, Shapes, count

_UNET_VARIANTS: dict[str, dict[int, str]] = {
    "stable_diffusion": {4: "", 9: "inpainting", 8: "pix2pix"},
    "stable_diffusion_2": {4: "", 9: "inpainting", 5: "depth"},
    "sdxl": {4: "", 9: "inpainting", 8: "pix2pix"},
}
_FLUX_VARIANTS = {64: "", 128: "control", 384: "fill"}
_LINEAR_SIDES = 2
MARKS: tuple[str, ...] = (
    "input_blocks.0.0.weight",
    "conv_in.weight",
    "joint_blocks.0.x_block.mlp.fc1.weight",
    "pos_embed.proj.weight",
    "double_blocks.0.img_attn.qkv.weight",
    "single_transformer_blocks.0.proj_mlp.weight",
)
"""One of these every denoiser known here has, under whatever its file puts before all names."""


def denoiser(shapes: Shapes) -> Denoiser | None:
    """Tell a denoiser by its tensors, named without what its file puts before them; None if alien."""
    if "joint_blocks.0.x_block.mlp.fc1.weight" in shapes:
        return _sd3(shapes, "original")
    if "double_blocks.0.img_attn.qkv.weight" in shapes:
        return _flux(shapes, "original")
    if "pos_embed.proj.weight" in shapes and "transformer_blocks.0.attn.add_q_proj.weight" in shapes:
        return _sd3(shapes, "diffusers")
    if "single_transformer_blocks.0.proj_mlp.weight" in shapes:
        return _flux(shapes, "diffusers")
    return _unet(shapes)


def _unet(shapes: Shapes) -> Denoiser | None:
    original = "input_blocks.0.0.weight" in shapes
    first = shapes.get("input_blocks.0.0.weight" if original else "conv_in.weight", ())
    mark = "time_embed.0.weight" if original else "time_embedding.linear_1.weight"
    if len(first) != 4 or mark not in shapes or _is_alien(shapes):
        return None
    found = _original_unet(shapes) if original else _diffusers_unet(shapes)
    if found is None:
        return None
    family, variant = found
    if not variant and family in _UNET_VARIANTS:
        named = _UNET_VARIANTS[family].get(first[1])
        if named is None:
            return None
        variant = named
    return Denoiser(family, variant, "original" if original else "diffusers", "unet")


def _is_alien(shapes: Shapes) -> bool:
    """Films, and languages that no text encoder here speaks."""
    strange = ("motion_modules.", "time_stack.", "temporal_transformer", "encoder_hid_proj.", "temp_conv")
    return any(word in name for name in shapes for word in strange)


def _original_unet(shapes: Shapes) -> tuple[str, str] | None:
    linear = _inner(shapes, ".proj_in.weight")
    if linear is None:
        return None
    if "label_emb.weight" in shapes:
        return "x4_upscaler", ""
    if "label_emb.0.0.weight" in shapes:
        outer = any(name.startswith("input_blocks.1.1.") for name in shapes)
        # The base model has three resolutions in nine input blocks, the refiner four in twelve; unCLIP has
        # attention at full size, which neither of them has.
        larger = "refiner" if count(shapes, "input_blocks.") > 9 else ""
        return ("stable_diffusion_2", "unclip") if outer else ("sdxl", larger)
    return ("stable_diffusion_2" if linear else "stable_diffusion"), ""


def _diffusers_unet(shapes: Shapes) -> tuple[str, str] | None:
    linear = _inner(shapes, ".proj_in.weight")
    if linear is None:
        return None
    if "class_embedding.weight" in shapes:
        return "x4_upscaler", ""
    if "add_embedding.linear_1.weight" in shapes:
        return "sdxl", "refiner" if count(shapes, "down_blocks.") > 3 else ""
    if "class_embedding.linear_1.weight" in shapes:
        return "stable_diffusion_2", "unclip"
    return ("stable_diffusion_2" if linear else "stable_diffusion"), ""


def _inner(shapes: Shapes, end: str) -> bool | None:
    """Whether attention is entered through a linear layer (from version 2 on); None if there is none."""
    shape = next((shape for name, shape in shapes.items() if name.endswith(end)), None)
    return None if shape is None else len(shape) == _LINEAR_SIDES


def _sd3(shapes: Shapes, layout: str) -> Denoiser | None:
    original = layout == "original"
    first = shapes.get("x_embedder.proj.weight" if original else "pos_embed.proj.weight", ())
    if len(first) != 4 or first[1] != 16:
        return None
    dual = "joint_blocks.0.x_block.attn2.qkv.weight" if original else "transformer_blocks.0.attn2.to_q.weight"
    normed = (
        "joint_blocks.0.x_block.attn.ln_q.weight" if original else "transformer_blocks.0.attn.norm_q.weight"
    )
    variant = "3.5-medium" if dual in shapes else "3.5-large" if normed in shapes else "3-medium"
    return Denoiser("stable_diffusion_3", variant, "original" if original else "diffusers", "transformer")


def _flux(shapes: Shapes, layout: str) -> Denoiser | None:
    original = layout == "original"
    strange = ("distilled_guidance_layer.", "double_stream_modulation", "single_stream_modulation")
    if any(name.startswith(strange) for name in shapes):
        return None
    first = shapes.get("img_in.weight" if original else "x_embedder.weight", ())
    guided = "guidance_in." if original else "time_text_embed.guidance_embedder."
    variant = _FLUX_VARIANTS.get(first[1]) if len(first) == 2 else None
    if variant is None:
        return None
    plain = "dev" if any(name.startswith(guided) for name in shapes) else "schnell"
    return Denoiser("flux", variant or plain, "original" if original else "diffusers", "transformer")
