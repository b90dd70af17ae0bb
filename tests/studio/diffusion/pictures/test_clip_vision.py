from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from nodes.image_prompts import encode_image, load_clip_vision
from studio.diffusion.pictures.clip_vision import normalised
from studio.errors import NodeError
from tests.studio.diffusion.bench import context, store

SIDE = 28
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 1,
    "intermediate_size": 96,
    "image_size": SIDE,
    "patch_size": 14,
}


def clip() -> Any:
    torch.manual_seed(0)
    settings = CLIPVisionConfig(**SMALL, projection_dim=24, hidden_act="gelu")
    return CLIPVisionModelWithProjection(settings).eval()


def siglip() -> Any:
    torch.manual_seed(0)
    return SiglipVisionModel(SiglipVisionConfig(**SMALL)).eval()


def photograph(height: int, width: int) -> np.ndarray[Any, Any]:
    bits = np.random.default_rng(3).integers(0, 256, (1, height, width, 3))
    return (bits / 255).astype(np.float32)


def seen(place: Path, image: np.ndarray[Any, Any], *, crop: bool = True) -> Any:
    ctx = context(using=store())
    return encode_image(ctx, load_clip_vision(ctx, path=str(place)), image, crop=crop)


@pytest.mark.parametrize("size", [(40, 60), (61, 40), (28, 28), (20, 20)])
def test_pixels_are_those_of_the_processors_of_transformers(size: tuple[int, int]) -> None:
    image = photograph(*size)
    bits = (image[0] * 255).round().astype(np.uint8)
    theirs = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})(
        bits, return_tensors="pt"
    ).pixel_values
    assert torch.allclose(normalised(image[0], SIDE, "clip", squeeze=False), theirs, atol=1e-5)
    theirs = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})(
        bits, return_tensors="pt"
    ).pixel_values
    assert torch.allclose(normalised(image[0], SIDE, "siglip", squeeze=True), theirs, atol=1e-5)


@pytest.mark.parametrize("layout", ["folder", "file"])
@torch.no_grad()
def test_a_clip_encoder_sees_what_transformers_see(tmp_path: Path, layout: str) -> None:
    network = clip()
    place = tmp_path / "clip"
    if layout == "folder":
        network.save_pretrained(place)
    else:
        place = tmp_path / "clip.safetensors"
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, place)
    image = photograph(40, 60)
    mine = seen(place, np.concatenate([image, image[:, ::-1]]))
    pixels = normalised(image[0], SIDE, "clip", squeeze=False)
    theirs = network(pixels, output_hidden_states=True)
    blank = network(torch.zeros_like(pixels), output_hidden_states=True)
    assert mine.pooled.shape == (2, 24)
    assert torch.allclose(mine.pooled[:1], theirs.image_embeds, atol=1e-5)
    assert torch.allclose(mine.hidden[:1], theirs.hidden_states[-2], atol=1e-5)
    assert torch.allclose(mine.blank, blank.hidden_states[-2], atol=1e-5)


@torch.no_grad()
def test_siglip_sees_what_transformers_see(tmp_path: Path) -> None:
    network = siglip()
    path = tmp_path / "siglip.safetensors"
    # Files that other tools use are those of the first implementation, one level further in.
    save_file(
        {f"vision_model.{name}": value.contiguous() for name, value in network.state_dict().items()}, path
    )
    image = photograph(40, 60)
    mine = seen(path, image)
    theirs = network(normalised(image[0], SIDE, "siglip", squeeze=True))
    assert torch.allclose(mine.hidden, theirs.last_hidden_state, atol=1e-5)
    assert torch.allclose(mine.pooled, theirs.pooler_output, atol=1e-5)


@pytest.mark.parametrize("prefix", ["visual.", "embedder.model.visual."])
def test_open_clip_writes_the_same_encoder_down_otherwise(tmp_path: Path, prefix: str) -> None:
    network = clip()
    plain = {name.removeprefix("vision_model."): value for name, value in network.state_dict().items()}
    found = {
        "conv1.weight": plain["embeddings.patch_embedding.weight"],
        "class_embedding": plain["embeddings.class_embedding"],
        "positional_embedding": plain["embeddings.position_embedding.weight"],
        "proj": plain["visual_projection.weight"].T.contiguous(),
    }
    for end in ("weight", "bias"):
        found[f"ln_pre.{end}"] = plain[f"pre_layrnorm.{end}"]
        found[f"ln_post.{end}"] = plain[f"post_layernorm.{end}"]
        for layer in range(3):
            old, new = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
            thirds = [plain[f"{old}self_attn.{part}_proj.{end}"] for part in "qkv"]
            found[f"{new}attn.in_proj_{end}"] = torch.cat(thirds)
            found[f"{new}attn.out_proj.{end}"] = plain[f"{old}self_attn.out_proj.{end}"]
            found[f"{new}ln_1.{end}"] = plain[f"{old}layer_norm1.{end}"]
            found[f"{new}ln_2.{end}"] = plain[f"{old}layer_norm2.{end}"]
            found[f"{new}mlp.c_fc.{end}"] = plain[f"{old}mlp.fc1.{end}"]
            found[f"{new}mlp.c_proj.{end}"] = plain[f"{old}mlp.fc2.{end}"]
    path = tmp_path / "open.safetensors"
    save_file({prefix + name: value.contiguous() for name, value in found.items()}, path)
    network.save_pretrained(tmp_path / "same")
    image = photograph(30, 30)
    mine, same = seen(path, image), seen(tmp_path / "same", image)
    assert torch.allclose(mine.pooled, same.pooled, atol=1e-5)
    assert torch.allclose(mine.hidden, same.hidden, atol=1e-5)


def test_a_file_that_is_no_encoder_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"conv_in.weight": torch.zeros(1)}, path)
    with pytest.raises(NodeError, match="not an image encoder"):
        load_clip_vision(context(), path=str(path))
    with pytest.raises(NodeError, match="no model at"):
        load_clip_vision(context(), path=str(tmp_path / "missing.safetensors"))
