from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from studio.errors import FileError
from studio.models.recognise import kind_at, stranger
from tests.studio.models.headers import hollow

Shapes = dict[str, tuple[int, ...]]
SD3: Shapes = {
    "x_embedder.proj.weight": (1536, 16, 2, 2),
    "joint_blocks.0.x_block.mlp.fc1.weight": (6144, 1536),
    "pos_embed": (1, 36864, 1536),
}
SD3_NEW: Shapes = {
    "pos_embed.proj.weight": (1536, 16, 2, 2),
    "transformer_blocks.0.attn.add_q_proj.weight": (1536, 1536),
}
FLUX: Shapes = {"img_in.weight": (3072, 64), "double_blocks.0.img_attn.qkv.weight": (9216, 3072)}
FLUX_NEW: Shapes = {
    "x_embedder.weight": (3072, 64),
    "single_transformer_blocks.0.proj_mlp.weight": (12288, 3072),
    "transformer_blocks.0.attn.add_q_proj.weight": (3072, 3072),
}
CLIP_L: Shapes = {"text_model.embeddings.token_embedding.weight": (49408, 768)}
CLIP_G: Shapes = {"text_model.embeddings.token_embedding.weight": (49408, 1280)}
OPEN_H: Shapes = {
    "token_embedding.weight": (49408, 1024),
    "transformer.resblocks.0.ln_1.weight": (1024,),
}
T5: Shapes = {"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096), "shared.weight": (32128, 4096)}
VAE: Shapes = {
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "decoder.conv_in.weight": (512, 4, 3, 3),
    "decoder.mid.block_1.norm1.weight": (512,),
}
TINY: Shapes = {
    "encoder.layers.0.weight": (64, 3, 3, 3),
    "encoder.layers.1.conv.0.weight": (64, 64, 3, 3),
    "encoder.layers.14.weight": (4, 64, 3, 3),
    "decoder.layers.0.weight": (64, 4, 3, 3),
    "decoder.layers.2.conv.0.weight": (64, 64, 3, 3),
    "decoder.layers.18.weight": (3, 64, 3, 3),
}
TINY_DECODER: Shapes = {
    "1.weight": (64, 16, 3, 3),
    "3.conv.0.weight": (64, 64, 3, 3),
    "19.weight": (3, 64, 3, 3),
}
TINY_ENCODER: Shapes = {
    "0.weight": (64, 3, 3, 3),
    "1.conv.0.weight": (64, 64, 3, 3),
    "14.weight": (4, 64, 3, 3),
}

FILES: list[tuple[str, Shapes, tuple[str, str, str]]] = [
    ("SD 3", SD3, ("denoiser", "stable_diffusion_3", "3-medium")),
    (
        "SD 3.5 medium",
        {**SD3, "joint_blocks.0.x_block.attn2.qkv.weight": (4608, 1536)},
        ("denoiser", "stable_diffusion_3", "3.5-medium"),
    ),
    (
        "SD 3.5 large",
        {**SD3, "joint_blocks.0.x_block.attn.ln_q.weight": (64,)},
        ("denoiser", "stable_diffusion_3", "3.5-large"),
    ),
    ("SD 3 of diffusers", SD3_NEW, ("denoiser", "stable_diffusion_3", "3-medium")),
    ("Flux schnell", FLUX, ("denoiser", "flux", "schnell")),
    (
        "Flux dev",
        {**FLUX, "guidance_in.in_layer.weight": (3072, 256)},
        ("denoiser", "flux", "dev"),
    ),
    ("Flux Fill", {**FLUX, "img_in.weight": (3072, 384)}, ("denoiser", "flux", "fill")),
    ("Flux Canny", {**FLUX, "img_in.weight": (3072, 128)}, ("denoiser", "flux", "control")),
    ("Flux of diffusers", FLUX_NEW, ("denoiser", "flux", "schnell")),
    ("CLIP-L", CLIP_L, ("text_encoder", "", "clip_l")),
    ("CLIP-G", CLIP_G, ("text_encoder", "", "clip_g")),
    ("OpenCLIP-H", OPEN_H, ("text_encoder", "", "clip_h")),
    ("T5", T5, ("text_encoder", "", "t5")),
    ("VAE", VAE, ("vae", "", "4 channels")),
    ("VAE of Flux", {**VAE, "decoder.conv_in.weight": (512, 16, 3, 3)}, ("vae", "", "16 channels")),
    ("TAESD", TINY, ("tiny_vae", "", "4 channels")),
    ("TAEF1 decoder", TINY_DECODER, ("tiny_vae", "", "16 channels, decoder")),
    ("TAESD encoder", TINY_ENCODER, ("tiny_vae", "", "4 channels, encoder")),
    (
        "Redux",
        {"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)},
        ("style", "flux", "redux"),
    ),
    (
        "IP-Adapter",
        {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)},
        ("ip_adapter", "stable_diffusion", ""),
    ),
    (
        "CLIP vision",
        {"vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14)},
        ("clip_vision", "", ""),
    ),
    (
        "LoRA",
        {
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768),
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 4),
        },
        ("lora", "stable_diffusion", ""),
    ),
    ("embedding", {"emb_params": (8, 768)}, ("embedding", "stable_diffusion", "")),
    ("embedding of SDXL", {"clip_l": (8, 768), "clip_g": (8, 1280)}, ("embedding", "sdxl", "")),
]


@pytest.mark.parametrize(("name", "shapes", "wanted"), FILES, ids=[row[0] for row in FILES])
def test_a_file_is_known_by_its_header(
    tmp_path: Path, name: str, shapes: Shapes, wanted: tuple[str, str, str]
) -> None:
    kind = kind_at(hollow(tmp_path / "model.safetensors", shapes))
    assert kind is not None
    assert (kind.type, kind.family, kind.variant) == wanted
    assert kind.precision == "fp16"


def test_parts_of_a_checkpoint_are_told_by_where_they_lie(tmp_path: Path) -> None:
    shapes = {f"model.diffusion_model.{name}": shape for name, shape in SD3.items()}
    shapes |= {f"text_encoders.clip_l.transformer.{name}": shape for name, shape in CLIP_L.items()}
    shapes |= {f"text_encoders.clip_g.transformer.{name}": shape for name, shape in CLIP_G.items()}
    shapes |= {f"text_encoders.t5xxl.transformer.{name}": shape for name, shape in T5.items()}
    shapes |= {f"first_stage_model.{name}": shape for name, shape in VAE.items()}
    kind = kind_at(hollow(tmp_path / "sd3.safetensors", shapes, "F8_E4M3"))
    assert kind is not None
    assert (kind.type, kind.family, kind.precision) == ("checkpoint", "stable_diffusion_3", "fp8")
    assert kind.parts == {
        "transformer": "model.diffusion_model.",
        "clip_l": "text_encoders.clip_l.transformer.",
        "clip_g": "text_encoders.clip_g.transformer.",
        "t5": "text_encoders.t5xxl.transformer.",
        "vae": "first_stage_model.",
    }


def test_kontext_is_known_by_its_authors_words(tmp_path: Path) -> None:
    shapes = {**FLUX, "guidance_in.in_layer.weight": (3072, 256)}
    words = {"modelspec.title": "Flux.1 Kontext dev"}
    kind = kind_at(hollow(tmp_path / "model.safetensors", shapes, **words))
    assert kind is not None
    assert kind.variant == "kontext"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("model.diffusion_model.input_blocks.1.1.time_stack.0.weight", "a model of films"),
        ("distilled_guidance_layer.in_proj.weight", "Chroma"),
        ("edm_mean", r"Playground 2\.5"),
        ("something.else", "no model that is known here"),
    ],
)
def test_an_alien_file_is_none_and_named_where_possible(tmp_path: Path, name: str, sentence: str) -> None:
    path = hollow(tmp_path / "model.safetensors", {name: (3, 2, 1)})
    assert kind_at(path) is None
    assert re.search(sentence, stranger(path))


def test_cut_and_broken_files_are_sentences(tmp_path: Path) -> None:
    path = hollow(tmp_path / "model.safetensors", VAE)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(FileError, match="cut short"):
        kind_at(path)
    path.write_bytes(b"<!doctype html>" * 20)
    with pytest.raises(FileError, match="is not a safetensors file"):
        kind_at(path)


def test_a_file_written_anew_is_looked_at_anew(tmp_path: Path) -> None:
    path = hollow(tmp_path / "model.safetensors", CLIP_L)
    first = kind_at(path)
    second = kind_at(hollow(path, VAE))
    assert first is not None
    assert second is not None
    assert (first.type, second.type) == ("text_encoder", "vae")


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"_class_name": "UNet2DConditionModel", "in_channels": 9}, ("stable_diffusion", "inpainting")),
        (
            {"_class_name": "UNet2DConditionModel", "in_channels": 5, "use_linear_projection": True},
            ("stable_diffusion_2", "depth"),
        ),
        (
            {"_class_name": "UNet2DConditionModel", "in_channels": 4, "addition_embed_type": "text_time"},
            ("sdxl", ""),
        ),
        (
            {"_class_name": "UNet2DConditionModel", "in_channels": 7, "num_class_embeds": 1000},
            ("x4_upscaler", ""),
        ),
        (
            {"_class_name": "FluxTransformer2DModel", "in_channels": 64, "guidance_embeds": True},
            ("flux", "dev"),
        ),
        (
            {"_class_name": "SD3Transformer2DModel", "qk_norm": "rms_norm"},
            ("stable_diffusion_3", "3.5-large"),
        ),
    ],
)
def test_a_folder_of_one_network_is_known_by_its_configuration(
    tmp_path: Path, config: dict[str, object], wanted: tuple[str, str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    kind = kind_at(tmp_path)
    assert kind is not None
    assert (kind.type, kind.family, kind.variant) == ("denoiser", *wanted)
