"""Nodes that encode prompts for models with several text encoders, or with more than words to go by."""

from __future__ import annotations

from typing import Annotated

from nodes.conditioning import ClipSkip, Prompt, Reading, embedding_files, skipped
from studio.api import Conditioning, Context, Json, Range, TextEncoder, node

Side = Annotated[int, Range(1, 16384, step=8)]
Offset = Annotated[int, Range(0, 16384, step=8)]


@node(
    "encode_text_sdxl",
    title="Encode text (SDXL)",
    category="Conditioning",
    device=True,
    refs=embedding_files,
    synonyms=("CLIPTextEncodeSDXL", "size conditioning", "crop conditioning"),
)
def encode_text_sdxl(
    ctx: Context,
    text_encoder: TextEncoder,
    *,
    text_g: Prompt = "",
    text_l: Prompt = "",
    width: Side = 1024,
    height: Side = 1024,
    crop_x: Offset = 0,
    crop_y: Offset = 0,
    target_width: Side = 1024,
    target_height: Side = 1024,
    reading: Reading = "comfyui",
    clip_skip: ClipSkip = 0,
) -> Conditioning:
    """Encode a prompt for SDXL, with the picture's size and crop as it was trained to be told them.

    Args:
        text_encoder: Text encoder of an SDXL model.
        text_g: What the larger text encoder, CLIP-G, is told.
        text_l: What the smaller one, CLIP-L, is told; mostly the same.
        width: Width that the training picture is said to have had, in pixels; small values look blurred.
        height: Its height.
        crop_x: Pixels that are said to have been cut off at the left; above 0, things leave the frame.
        crop_y: Pixels that are said to have been cut off at the top.
        target_width: Width of the picture to be made.
        target_height: Its height.
        reading: What brackets mean; see “Encode text”.
        clip_skip: Layer of CLIP, counted from the end; 0 leaves it to the model.
    """
    from studio.diffusion.text.prompt import encode

    extra: dict[str, Json] = {
        "size": [height, width],
        "crop": [crop_y, crop_x],
        "target": [target_height, target_width],
    }
    texts = {"g": text_g, "l": text_l}
    return encode(text_encoder, texts, ctx, reading=reading, skip=skipped(clip_skip), extra=extra)


@node(
    "encode_text_refiner",
    title="Encode text (SDXL refiner)",
    category="Conditioning",
    device=True,
    refs=embedding_files,
    synonyms=("CLIPTextEncodeSDXLRefiner", "aesthetic score", "ascore"),
)
def encode_text_refiner(
    ctx: Context,
    text_encoder: TextEncoder,
    *,
    text: Prompt = "",
    width: Side = 1024,
    height: Side = 1024,
    aesthetic_score: Annotated[float, Range(0, 10, step=0.1)] = 6.0,
    reading: Reading = "comfyui",
) -> Conditioning:
    """Encode a prompt for SDXL's refiner, with the picture's size and how beautiful it should be.

    Args:
        text_encoder: Text encoder of an SDXL refiner.
        text: What the picture shows.
        width: Width of the picture, in pixels.
        height: Its height.
        aesthetic_score: 6 suits a prompt, 2.5 a negative one.
        reading: What brackets mean; see “Encode text”.
    """
    from studio.diffusion.text.prompt import encode

    extra: dict[str, Json] = {"size": [height, width], "crop": [0, 0], "aesthetic": aesthetic_score}
    return encode(text_encoder, text, ctx, reading=reading, extra=extra)


@node(
    "encode_text_sd3",
    title="Encode text (SD3)",
    category="Conditioning",
    device=True,
    refs=embedding_files,
    synonyms=("CLIPTextEncodeSD3", "TripleCLIP", "T5"),
)
def encode_text_sd3(
    ctx: Context,
    text_encoder: TextEncoder,
    *,
    text_l: Prompt = "",
    text_g: Prompt = "",
    text_t5: Prompt = "",
    reading: Reading = "comfyui",
) -> Conditioning:
    """Encode a prompt for SD3, with a text for each of its encoders.

    Args:
        text_encoder: Text encoder of an SD3 model.
        text_l: What CLIP-L is told.
        text_g: What CLIP-G is told.
        text_t5: What T5 is told, which understands whole sentences; unused where the model has no T5.
        reading: What brackets mean; see “Encode text”.
    """
    from studio.diffusion.text.prompt import encode

    return encode(text_encoder, {"l": text_l, "g": text_g, "t5": text_t5}, ctx, reading=reading)


@node(
    "encode_text_flux",
    title="Encode text (Flux)",
    category="Conditioning",
    device=True,
    refs=embedding_files,
    synonyms=("CLIPTextEncodeFlux", "T5"),
)
def encode_text_flux(
    ctx: Context,
    text_encoder: TextEncoder,
    *,
    text_l: Prompt = "",
    text_t5: Prompt = "",
    guidance: Annotated[float, Range(0, 100, step=0.1)] = 3.5,
    reading: Reading = "comfyui",
) -> Conditioning:
    """Encode a prompt for Flux, with a text for each of its encoders and the guidance it is told.

    Args:
        text_encoder: Text encoder of a Flux model.
        text_l: What CLIP-L is told, of which only the summary is used.
        text_t5: What T5 is told; most of what the picture shows comes from here.
        guidance: How closely the picture follows the prompt, told to the model itself; Flux schnell is deaf
            to it.
        reading: What brackets mean; see “Encode text”.
    """
    from studio.diffusion.text.prompt import encode

    texts = {"l": text_l, "t5": text_t5}
    return encode(text_encoder, texts, ctx, reading=reading, extra={"guidance": guidance})
