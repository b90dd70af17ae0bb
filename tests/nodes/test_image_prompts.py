from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nodes.image_prompts import apply_ip_adapter, load_ip_adapter, unclip_conditioning
from studio.diffusion.pictures.unclip import noised
from studio.errors import NodeError
from studio.types import Conditioning, ImageEmbeds, IpAdapter, Model, Recipe
from tests.studio.diffusion.bench import context
from tests.studio.diffusion.controls import told
from tests.studio.diffusion.pictures.test_ip_adapter import EMBEDS, WIDTH, attention, drawn, plain, plus


def adapter(tmp_path: Path, kind: str = "plain") -> IpAdapter:
    path = tmp_path / f"{kind}.safetensors"
    save_file((plain() if kind == "plain" else plus()) | attention(), path)
    return load_ip_adapter(context(), path=str(path))


def seen(pooled: int = EMBEDS, hidden: int = EMBEDS, count: int = 2) -> ImageEmbeds:
    return ImageEmbeds(drawn(count, pooled), drawn(count, 5, hidden), drawn(1, 5, hidden, seed=3))


def words(width: int = WIDTH) -> Conditioning:
    return Conditioning((told(0, width=width),))


def test_the_negative_is_told_a_picture_of_nothing(tmp_path: Path) -> None:
    embeds = seen()
    both = apply_ip_adapter(words(), words(), adapter(tmp_path), embeds, strength=0.5, end=0.8)
    (shown,), (nothing,) = both.positive.entries[0].images, both.negative.entries[0].images
    assert torch.equal(shown.embeds, embeds.pooled[:, None])
    assert not nothing.embeds.any()
    assert (shown.strength, shown.span) == (0.5, (0.0, 0.8))
    both = apply_ip_adapter(words(), words(), adapter(tmp_path, "plus"), embeds)
    (shown,), (nothing,) = both.positive.entries[0].images, both.negative.entries[0].images
    assert torch.equal(shown.embeds, embeds.hidden)
    assert torch.equal(nothing.embeds, embeds.blank.expand(2, -1, -1))


def test_a_part_of_an_adapter_shares_the_weights_of_the_whole(tmp_path: Path) -> None:
    whole = adapter(tmp_path)
    both = apply_ip_adapter(words(), None, whole, seen(), take="style")
    recipe = both.positive.entries[0].images[0].recipe
    assert (recipe.part, recipe.members) == ("style", (whole.recipe,))


def test_another_encoder_and_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="seen 40 wide, the image encoder gives 41") as caught:
        apply_ip_adapter(words(), None, adapter(tmp_path), seen(pooled=41))
    assert caught.value.socket == "embeds"
    with pytest.raises(NodeError, match="encoded for SDXL") as caught:
        apply_ip_adapter(words(2048), None, adapter(tmp_path), seen())
    assert caught.value.socket == "ip_adapter"


def test_an_adapter_for_faces_as_numbers_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "face.safetensors"
    made = {"image_proj.proj.0.weight": drawn(8, 4), "image_proj.norm.weight": drawn(4)}
    save_file(made | attention(), path)
    with pytest.raises(NodeError, match="recogniser of faces"):
        load_ip_adapter(context(), path=str(path))


def test_noise_of_unclip_is_measured_where_pictures_are_even() -> None:
    mean, deviation = torch.full((1, 64), 3.0), torch.full((1, 64), 2.0)
    noise = drawn(1, 64)
    told_little = noised(mean, 0, noise, (mean, deviation))
    assert torch.allclose(told_little[:, :64], mean, atol=0.1)
    told_much = noised(mean, 999, noise, (mean, deviation))
    assert torch.allclose(told_much[:, :64], noise * deviation + mean, atol=0.05)
    assert told_much.shape == (1, 128)


def test_a_model_without_statistics_of_pictures_is_no_unclip_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"conv_in.weight": torch.zeros(1)}, path)
    model = Model(Recipe(str(path), "m", "unet", "stable_diffusion"))
    with pytest.raises(NodeError, match="no statistics"):
        unclip_conditioning(context(), model, words(), seen())


def test_statistics_come_from_a_file_or_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({f"noise_augmentor.data_{end}": torch.ones(EMBEDS) for end in ("mean", "std")}, path)
    (tmp_path / "folder/image_normalizer").mkdir(parents=True)
    save_file(
        {end: torch.ones(1, EMBEDS) for end in ("mean", "std")},
        tmp_path / "folder/image_normalizer/diffusion_pytorch_model.safetensors",
    )
    labels = [
        unclip_conditioning(
            context(), Model(Recipe(str(place), "m", "unet", "x")), words(), seen(), noise_level=50, seed=3
        )
        .entries[0]
        .hints["unclip"]
        for place in (path, tmp_path / "folder")
    ]
    assert torch.equal(labels[0], labels[1])
    assert np.isfinite(labels[0].numpy()).all()
    other = unclip_conditioning(
        context(), Model(Recipe(str(path), "m", "unet", "x")), words(), seen(), noise_level=50, seed=4
    )
    assert not torch.equal(other.entries[0].hints["unclip"], labels[0])
