"""Where in a file the text encoders and autoencoders lie, by the names of tensors that nothing else has."""

from __future__ import annotations

from studio.models.kinds import Layout, Shapes

_CLIP = "embeddings.token_embedding.weight"
_OPEN_CLIP = "token_embedding.weight"
_T5 = "encoder.block.0.layer.0.SelfAttention.q.weight"
_VAE = "decoder.conv_in.weight"
_VISION = ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight")
_WIDTHS = {768: "clip_l", 1024: "clip_h", 1280: "clip_g"}
VAE_CHANNELS = (4, 16)
# What the names of a tiny autoencoder's layers begin with, and the number of the first convolution.
_TINY: tuple[tuple[str, int, Layout], ...] = (
    ("decoder.layers.", 0, "diffusers"),
    ("encoder.layers.", 0, "diffusers"),
    ("taesd_decoder.", 1, "original"),
    ("taesd_encoder.", 0, "original"),
    ("", 1, "original"),
    ("", 0, "original"),
)


def vae(shapes: Shapes) -> dict[str, str]:
    """``vae`` → what the names of the autoencoder's tensors begin with; empty if there is none."""
    for name, shape in shapes.items():
        if name.endswith(_VAE) and len(shape) == 4 and shape[1] in VAE_CHANNELS:
            return {"vae": name[: -len(_VAE)]}
    return {}


def vae_layout(shapes: Shapes, prefix: str) -> Layout:
    """Whose names an autoencoder's tensors bear."""
    return "original" if f"{prefix}decoder.mid.block_1.norm1.weight" in shapes else "diffusers"


def tiny_vae(shapes: Shapes) -> tuple[str, int, Layout] | None:
    """Which half (or ``both``) of a tiny autoencoder it is, channels of its latent, whose names it bears."""
    for prefix, first, layout in _TINY:
        entry = shapes.get(f"{prefix}{first}.weight", ())
        exit_ = shapes.get(f"{prefix}{_last(shapes, prefix)}.weight", ())
        blocks = (f"{prefix}{first + 1}.conv.0.weight", f"{prefix}{first + 2}.conv.0.weight")
        if len(entry) != 4 or len(exit_) != 4 or not any(block in shapes for block in blocks):
            continue
        half = "decoder" if exit_[0] == 3 else "encoder"
        channels = entry[1] if half == "decoder" else exit_[0]
        if channels in VAE_CHANNELS and 3 in (entry[1], exit_[0]):
            whole = layout == "diffusers" and "encoder.layers.0.weight" in shapes and half == "decoder"
            return "both" if whole else half, channels, layout
    return None


def _last(shapes: Shapes, prefix: str) -> int:
    numbers = (name[len(prefix) :].partition(".")[0] for name in shapes if name.startswith(prefix))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def text_encoders(shapes: Shapes, family: str = "", variant: str = "") -> dict[str, str]:
    """Text encoders of a file: ``clip_l``, ``clip_g``, ``clip_h``, ``t5`` → what their names begin with.

    Args:
        shapes: Of the whole file.
        family: Of the denoiser beside them.
        variant: Of that.
    """
    found: dict[str, str] = {}
    for name, shape in shapes.items():
        if name.endswith(_T5):
            found["t5"] = name[: -len(_T5)]
        elif len(shape) == 2 and name.endswith(_CLIP):
            # The projection lies beside the text model, not in it.
            prefix = name[: -len(_CLIP)].removesuffix("text_model.")
            found[_which(prefix, shape[1], family, variant, is_open=False)] = prefix
        elif len(shape) == 2 and name.endswith(_OPEN_CLIP):
            prefix = name[: -len(_OPEN_CLIP)]
            if f"{prefix}transformer.resblocks.0.ln_1.weight" in shapes:
                found[_which(prefix, shape[1], family, variant, is_open=True)] = prefix
    return found


def _which(prefix: str, width: int, family: str, variant: str, *, is_open: bool) -> str:
    """Which CLIP it is: by the name it bears, by the family it stands in, by its width."""
    for part in ("clip_l", "clip_g", "clip_h"):
        if f"{part}." in prefix:
            return part
    if family == "sdxl":
        second = is_open or variant == "refiner" or prefix.startswith("text_encoder_2.")
        return "clip_g" if second else "clip_l"
    if family in ("stable_diffusion_2", "x4_upscaler"):
        return "clip_h"
    if family == "stable_diffusion":
        return "clip_l"
    return _WIDTHS.get(width, "clip_h" if is_open else "clip_l")


def clip_layout(shapes: Shapes, prefix: str) -> Layout:
    """Whose names a CLIP's tensors bear: OpenCLIP's are the original ones."""
    return "original" if f"{prefix}transformer.resblocks.0.ln_1.weight" in shapes else "diffusers"


def clip_vision(shapes: Shapes) -> dict[str, str]:
    """``clip_vision`` → what the names of an image encoder's tensors begin with; empty if there is none."""
    for end in _VISION:
        for name in shapes:
            if name.endswith(end):
                return {"clip_vision": name[: -len(end)] + end.partition(".")[0] + "."}
    return {}
