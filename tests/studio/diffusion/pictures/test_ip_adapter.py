from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.unet import UNet2DConditionLoadersMixin
from safetensors.torch import save_file

from studio.diffusion.families.image_prompts import IP_ADAPTER_FAMILY, name_of_alien
from studio.diffusion.pictures.ip_adapter import Partial
from studio.errors import NodeError
from studio.types import Recipe
from tests.studio.diffusion.controls import Here

WIDTH, EMBEDS, LAYERS = 24, 40, (16, 32, 16)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.2


def attention(layers: tuple[int, ...] = LAYERS) -> dict[str, torch.Tensor]:
    return {
        f"ip_adapter.{2 * index + 1}.to_{part}_ip.weight": drawn(wide, WIDTH, seed=index + ord(part))
        for index, wide in enumerate(layers)
        for part in "kv"
    }


def plain() -> dict[str, torch.Tensor]:
    return {
        "image_proj.proj.weight": drawn(4 * WIDTH, EMBEDS),
        "image_proj.proj.bias": drawn(4 * WIDTH),
        "image_proj.norm.weight": drawn(WIDTH, seed=1),
        "image_proj.norm.bias": drawn(WIDTH, seed=2),
    }


def full() -> dict[str, torch.Tensor]:
    return {
        "image_proj.proj.0.weight": drawn(EMBEDS, EMBEDS),
        "image_proj.proj.0.bias": drawn(EMBEDS),
        "image_proj.proj.2.weight": drawn(WIDTH, EMBEDS),
        "image_proj.proj.2.bias": drawn(WIDTH),
        "image_proj.proj.3.weight": drawn(WIDTH, seed=1),
        "image_proj.proj.3.bias": drawn(WIDTH, seed=2),
    }


def plus(inner: int = 48, tokens: int = 6) -> dict[str, torch.Tensor]:
    found = {
        "latents": drawn(1, tokens, inner),
        "proj_in.weight": drawn(inner, EMBEDS),
        "proj_in.bias": drawn(inner),
        "proj_out.weight": drawn(WIDTH, inner),
        "proj_out.bias": drawn(WIDTH),
        "norm_out.weight": drawn(WIDTH, seed=1),
        "norm_out.bias": drawn(WIDTH, seed=2),
    }
    for layer in range(4):
        found |= {
            f"layers.{layer}.0.norm1.weight": drawn(inner, seed=layer),
            f"layers.{layer}.0.norm1.bias": drawn(inner, seed=layer + 5),
            f"layers.{layer}.0.norm2.weight": drawn(inner, seed=layer + 6),
            f"layers.{layer}.0.norm2.bias": drawn(inner, seed=layer + 7),
            f"layers.{layer}.0.to_q.weight": drawn(128, inner, seed=layer),
            f"layers.{layer}.0.to_kv.weight": drawn(256, inner, seed=layer),
            f"layers.{layer}.0.to_out.weight": drawn(inner, 128, seed=layer),
            f"layers.{layer}.1.0.weight": drawn(inner, seed=layer + 8),
            f"layers.{layer}.1.0.bias": drawn(inner, seed=layer + 9),
            f"layers.{layer}.1.1.weight": drawn(4 * inner, inner, seed=layer),
            f"layers.{layer}.1.3.weight": drawn(inner, 4 * inner, seed=layer),
        }
    return {f"image_proj.{name}": value for name, value in found.items()}


PROJECTIONS = {"plain": plain, "full": full, "plus": plus}


def load(tensors: dict[str, torch.Tensor], folder: Path) -> tuple[str, Any]:
    path = folder / "adapter.safetensors"
    save_file(tensors, path)
    parts = IP_ADAPTER_FAMILY.recognise(path)
    assert parts is not None
    part = next(iter(parts))
    return part, IP_ADAPTER_FAMILY.load(Recipe(str(path), "it", part, "ip_adapter"), Here())


@pytest.mark.parametrize("kind", ["plain", "full", "plus"])
@torch.inference_mode()
def test_pictures_become_the_tokens_of_diffusers(tmp_path: Path, kind: str) -> None:
    given = PROJECTIONS[kind]()
    part, mine = load(given | attention(), tmp_path)
    assert part == kind
    state = {name.removeprefix("image_proj."): value for name, value in given.items()}
    convert: Any = UNet2DConditionLoadersMixin._convert_ip_adapter_image_proj_to_diffusers  # pyright: ignore[reportPrivateUsage]
    wanted = convert(None, state, low_cpu_mem_usage=False).eval()
    if kind == "plain":
        embeds = drawn(3, 1, EMBEDS)
        theirs = wanted(embeds[:, 0])
    else:
        embeds = drawn(3, 9, EMBEDS)
        theirs = wanted(embeds)
    ours = mine.tokens(embeds)
    assert ours.shape == (1, theirs.shape[0] * theirs.shape[1], WIDTH)
    assert torch.allclose(ours[0], theirs.reshape(-1, WIDTH), atol=1e-5)
    assert mine.tokens(embeds) is ours


@torch.inference_mode()
def test_layers_have_the_keys_and_values_of_their_number(tmp_path: Path) -> None:
    weights = attention()
    _, mine = load(plain() | weights, tmp_path)
    tokens = drawn(1, 4, WIDTH)
    for layer in range(3):
        key, value = mine.key_values(layer, tokens)
        number = 2 * layer + 1
        assert torch.allclose(key, tokens @ weights[f"ip_adapter.{number}.to_k_ip.weight"].T, atol=1e-6)
        assert torch.allclose(value, tokens @ weights[f"ip_adapter.{number}.to_v_ip.weight"].T, atol=1e-6)
    with pytest.raises(NodeError, match="another kind of model"):
        mine.key_values(3, tokens)


def test_pictures_seen_by_another_encoder_are_refused(tmp_path: Path) -> None:
    _, mine = load(plain() | attention(), tmp_path)
    with pytest.raises(NodeError, match="seen 40 wide, these are 41"):
        mine.tokens(drawn(1, 1, 41))


def test_style_and_composition_act_in_layers_of_their_own(tmp_path: Path) -> None:
    _, whole = load(plain() | attention((8,) * 16), tmp_path)
    style, composition = Partial(whole, "style"), Partial(whole, "composition")
    factors = [(style.weight(layer), composition.weight(layer)) for layer in range(16)]
    assert all(not (one and other) for one, other in factors)
    assert [layer for layer, (_, other) in enumerate(factors) if other] == [4, 5]
    assert style.nbytes == 0
    assert whole.weight(0) == 1


def test_of_a_model_without_known_places_no_part_can_be_taken(tmp_path: Path) -> None:
    _, whole = load(plain() | attention(), tmp_path)
    with pytest.raises(NodeError, match="a model of 3 layers"):
        Partial(whole, "style")


def test_an_adapter_of_faces_as_numbers_is_known_for_one(tmp_path: Path) -> None:
    path = tmp_path / "face.safetensors"
    save_file(
        {
            "image_proj.proj.0.weight": drawn(8, 4),
            "image_proj.proj.2.weight": drawn(8, 8),
            "image_proj.norm.weight": drawn(4),
            **attention(),
        },
        path,
    )
    assert IP_ADAPTER_FAMILY.recognise(path) is None
    assert "FaceID" in name_of_alien(path)


@pytest.mark.parametrize(
    "hole",
    [
        {"ip_adapter.5.to_k_ip.weight": drawn(3)},
        {"ip_adapter.9.to_k_ip.weight": drawn(3, 3)},
        {"image_proj.proj.weight": drawn(3)},
    ],
)
def test_headers_with_holes_are_nothing(tmp_path: Path, hole: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "adapter.safetensors"
    save_file(plain() | attention() | hole, path)
    assert IP_ADAPTER_FAMILY.recognise(path) is None
