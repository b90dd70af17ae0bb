from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nodes.upscaling import load_upscale_model, scale_image, scale_to_megapixels, upscale_with_model
from studio.errors import FileError, NodeError
from studio.files.pictures import read
from studio.paths import assets_dir
from tests.studio.diffusion.bench import context, store
from tests.studio.upscalers import first_keys, rrdb, saved, srvgg

PALM = assets_dir() / "pictures" / "palm_tree.png"


def test_model_is_a_recipe_and_enlarges_a_picture(tmp_path: Path) -> None:
    path = saved(tmp_path / "4x.safetensors", srvgg(scale=4))
    ctx = context(using=store())
    model = load_upscale_model(ctx, path=str(path))
    assert (model.recipe.family, model.recipe.part) == ("upscaler", "upscaler")
    palm = read(PALM)[0]
    found = upscale_with_model(ctx, model, palm, tile=64, overlap=16)
    assert found.shape == (1, 512, 512, 3)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1


def test_same_weights_elsewhere_are_the_same_recipe_but_for_the_place(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = load_upscale_model(context(), path=str(saved(tmp_path / "a.safetensors", rrdb())))
    again = load_upscale_model(context(), path=str(saved(tmp_path / "other" / "b.safetensors", rrdb())))
    changed = load_upscale_model(context(), path=str(saved(tmp_path / "c.safetensors", rrdb(blocks=1))))
    assert first.recipe.key_part == again.recipe.key_part
    assert first.recipe.key_part != changed.recipe.key_part


def test_pickled_model_is_converted_and_gives_the_same_picture(tmp_path: Path) -> None:
    weights = rrdb(doublings=1)
    torch.save({"params_ema": first_keys(weights)}, tmp_path / "2x.pth")
    ctx = context(using=store())
    palm = read(PALM)[0][:, :16, :16]
    pickled = upscale_with_model(ctx, load_upscale_model(ctx, path=str(tmp_path / "2x.pth")), palm)
    plain = saved(tmp_path / "2x.safetensors", weights)
    assert np.array_equal(pickled, upscale_with_model(ctx, load_upscale_model(ctx, path=str(plain)), palm))


def test_file_that_is_cut_short_or_no_model_is_a_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.safetensors", rrdb())
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    with pytest.raises(FileError, match="cut short"):
        load_upscale_model(context(), path=str(path))
    (tmp_path / "text.pth").write_text("not a model")
    with pytest.raises(FileError, match=r"text\.pth"):
        load_upscale_model(context(), path=str(tmp_path / "text.pth"))
    with pytest.raises(NodeError, match="no upscale model") as caught:
        load_upscale_model(context(), path="")
    assert caught.value.socket == "path"


@pytest.mark.parametrize("method", ["lanczos", "bicubic", "bilinear", "area", "nearest"])
def test_scaled_picture_is_the_same_scene(method: str) -> None:
    palm = read(PALM)[0]
    large = scale_image(palm, factor=1.5, method=method)  # type: ignore[arg-type]
    assert large.shape == (1, 192, 192, 3)
    assert np.allclose(large.mean((1, 2)), palm.mean((1, 2)), atol=0.01)


def test_area_takes_the_mean_of_what_falls_together() -> None:
    palm = read(PALM)[0]
    means = palm.reshape(1, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.allclose(scale_image(palm, factor=0.25, method="area"), means, atol=1e-5)


def test_megapixels_keep_the_proportions_in_whole_multiples() -> None:
    picture = np.zeros((1, 90, 160, 3), np.float32)
    assert scale_to_megapixels(picture, megapixels=0.25, multiple=8).shape == (1, 384, 680, 3)
    with pytest.raises(NodeError, match="32768×128 px") as caught:
        scale_image(np.zeros((1, 8, 2048, 3), np.float32), factor=16)
    assert caught.value.socket == "factor"
