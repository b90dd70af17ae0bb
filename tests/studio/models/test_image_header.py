from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from studio.models.image_header import adapter_of, is_face_id, is_redux, vision_of

# Width, layers, heads, inner width, side of a picture, side of a patch, width of the projection, function.
CLIPS = [
    (768, 12, 12, 3072, 224, 32, 512, "gelu"),
    (1024, 24, 16, 4096, 224, 14, 768, "quick_gelu"),
    (1024, 24, 16, 4096, 336, 14, 768, "quick_gelu"),
    (1280, 32, 16, 5120, 224, 14, 1024, "gelu"),
    (1664, 48, 16, 8192, 224, 14, 1280, "gelu"),
]


def shapes_of(network: torch.nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    return {prefix + name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def adapter(kind: str, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for index in range(layers):
        for part in "kv":
            found[f"ip_adapter.{2 * index + 1}.to_{part}_ip.weight"] = (320, width)
    project: dict[str, tuple[int, ...]] = {
        "plain": {"proj.weight": (4 * width, 1024), "norm.weight": (width,)},
        "full": {"proj.0.weight": (1280, 1280), "proj.2.weight": (width, 1280), "proj.3.weight": (width,)},
        "plus": {"latents": (1, 16, 768), "proj_in.weight": (768, 1280), "proj_out.weight": (width, 768)},
        "face": {"proj.0.weight": (1024, 512), "proj.2.weight": (4 * width, 1024), "norm.weight": (width,)},
    }[kind]
    return found | {f"image_proj.{name}": shape for name, shape in project.items()}


@pytest.mark.parametrize("told", CLIPS)
def test_shapes_alone_tell_how_an_encoder_of_clip_is_built(told: tuple[Any, ...]) -> None:
    names = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "image_size",
        "patch_size",
        "projection_dim",
        "hidden_act",
    )
    settings = dict(zip(names, told, strict=True))
    with torch.device("meta"):
        shapes = shapes_of(CLIPVisionModelWithProjection(CLIPVisionConfig(**settings)))
    plan = vision_of(shapes)
    assert plan is not None
    assert (plan.kind, plan.open_clip) == ("clip", False)
    assert dict(plan.config) == settings
    # A file of a whole CLIP holds the text's half, too.
    assert vision_of(shapes | {"text_model.embeddings.token_embedding.weight": (49408, 768)}) == plan


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_shapes_alone_tell_how_siglip_is_built(prefix: str) -> None:
    settings: dict[str, Any] = {
        "hidden_size": 1152,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "intermediate_size": 4304,
        "image_size": 384,
        "patch_size": 14,
    }
    with torch.device("meta"):
        shapes = shapes_of(SiglipVisionModel(SiglipVisionConfig(**settings)), prefix)
    plan = vision_of(shapes)
    assert plan is not None
    assert (plan.kind, plan.prefix) == ("siglip", prefix)
    assert dict(plan.config) == settings | {"vision_use_head": True}


@pytest.mark.parametrize(
    ("kind", "width", "layers", "seen", "tokens"),
    [
        ("plain", 768, 16, 1024, 4),
        ("plain", 2048, 70, 1024, 4),
        ("plus", 768, 16, 1280, 16),
        ("plus", 2048, 70, 1280, 16),
        ("full", 768, 16, 1280, 0),
    ],
)
def test_adapters_are_told_apart(kind: str, width: int, layers: int, seen: int, tokens: int) -> None:
    plan = adapter_of(adapter(kind, width, layers))
    assert plan is not None
    assert (plan.kind, plan.width, plan.embeds, plan.tokens) == (kind, width, seen, tokens)
    assert len(plan.layers) == layers
    assert not is_face_id(adapter(kind, width, layers))


def test_an_adapter_for_faces_is_none_of_them() -> None:
    assert is_face_id(adapter("face", 768, 16))
    assert adapter_of(adapter("face", 768, 16)) is None


def test_redux_is_known_by_its_two_layers() -> None:
    assert is_redux({"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)})
    assert not is_redux({"redux_up.weight": (12288,)})


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"vision_model.embeddings.patch_embedding.weight": ()},
        {"embeddings.patch_embedding.weight": (8, 3, 2, 2)},
        {"visual.transformer.resblocks.0.attn.in_proj_weight": (3, 1)},
    ],
)
def test_headers_with_holes_are_nothing(shapes: dict[str, tuple[int, ...]]) -> None:
    assert vision_of(shapes) is None
    assert adapter_of(shapes) is None
