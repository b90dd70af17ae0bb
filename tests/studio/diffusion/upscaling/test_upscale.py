from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from studio.diffusion.families.upscaler import recipe_of
from studio.diffusion.upscaling.upscale import tiles_of, upscale
from studio.errors import Cancelled, NodeError
from studio.files.pictures import read
from studio.paths import assets_dir
from studio.types import Image
from tests.studio.diffusion.bench import context, store
from tests.studio.upscalers import Weights, first_keys, rrdb, saved, second_keys, srvgg

PALM = assets_dir() / "pictures" / "palm_tree.png"


@pytest.fixture
def palm() -> Image:
    return np.ascontiguousarray(read(PALM)[0][:, 20:68, 10:74])


def enlarged(path: Path, image: Image, *, tile: int = 0, overlap: int = 0) -> Image:
    ctx = context(using=store())
    return upscale(ctx, recipe_of(str(path), ctx), image, tile=tile, overlap=overlap)


def planes(image: Image) -> torch.Tensor:
    return torch.tensor(image[..., :3]).permute(0, 3, 1, 2)


def picture(result: torch.Tensor) -> Image:
    return result.clamp(0, 1).permute(0, 2, 3, 1).numpy()


def by_formula(weights: Weights, image: Image, unshuffle: int = 1) -> Image:
    """ESRGAN as its paper draws it, written down once more."""

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), padding="same")

    def dense(name: str, x: torch.Tensor) -> torch.Tensor:
        parts = [x]
        for layer in (1, 2, 3, 4):
            y = functional.leaky_relu(conv(f"{name}.conv{layer}", torch.cat(parts, 1)), 0.2)
            if f"{name}.conv1x1.weight" in weights and layer == 2:
                y = y + conv(f"{name}.conv1x1", x)
            if f"{name}.conv1x1.weight" in weights and layer == 4:
                y = y + parts[2]
            parts.append(y)
        return x + 0.2 * conv(f"{name}.conv5", torch.cat(parts, 1))

    x = conv("conv_first", functional.pixel_unshuffle(planes(image), unshuffle))
    y = x
    for block in range(2):
        z = y
        for part in (1, 2, 3):
            z = dense(f"body.{block}.rdb{part}", z)
        y = y + 0.2 * z
    x = x + conv("conv_body", y)
    up = 1
    while f"conv_up{up}.weight" in weights:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = functional.leaky_relu(conv(f"conv_up{up}", x), 0.2)
        up += 1
    return picture(conv("conv_last", functional.leaky_relu(conv("conv_hr", x), 0.2)))


@pytest.mark.parametrize("style", [dict, first_keys, second_keys])
@pytest.mark.parametrize(("doublings", "unshuffle", "skips"), [(2, 1, False), (1, 1, True), (2, 2, False)])
def test_every_style_of_keys_gives_the_picture_of_the_formula(
    tmp_path: Path, palm: Image, style: type[Weights], doublings: int, unshuffle: int, skips: bool
) -> None:
    weights = rrdb(doublings=doublings, unshuffle=unshuffle, skips=skips)
    wanted = by_formula(weights, palm, unshuffle)
    found = enlarged(saved(tmp_path / "m.safetensors", style(weights)), palm)
    assert found.shape == wanted.shape
    assert np.ptp(wanted) > 0.1
    assert np.abs(found - wanted).max() < 1e-5


def test_compact_network_adds_to_the_nearest_pixel(tmp_path: Path, palm: Image) -> None:
    weights = srvgg(scale=3, layers=1)
    x = pixels = planes(palm)
    for index in range(0, 5, 2):
        x = functional.conv2d(x, weights[f"body.{index}.weight"], weights[f"body.{index}.bias"], padding=1)
        if index < 4:
            x = torch.where(x > 0, x, x * weights[f"body.{index + 1}.weight"][:, None, None])
    nearest = pixels.repeat_interleave(3, 2).repeat_interleave(3, 3)
    wanted = picture(functional.pixel_shuffle(x, 3) + nearest)
    found = enlarged(saved(tmp_path / "m.safetensors", weights), palm)
    assert found.shape == (1, 144, 192, 3)
    assert np.abs(found - wanted).max() < 1e-5


def test_tiles_give_the_picture_of_the_whole(tmp_path: Path, palm: Image) -> None:
    path = saved(tmp_path / "m.safetensors", srvgg(scale=2, layers=1))
    whole = enlarged(path, palm)
    tiled = enlarged(path, palm, tile=32, overlap=16)  # its quarter is more than the network looks
    assert np.abs(tiled - whole).max() < 1e-6


def test_tiles_of_a_network_that_looks_far_leave_no_seam(tmp_path: Path, palm: Image) -> None:
    path = saved(tmp_path / "m.safetensors", rrdb(doublings=1))
    difference = np.abs(enlarged(path, palm, tile=40, overlap=20) - enlarged(path, palm))
    assert difference.max() < 0.02
    assert difference.mean() < 1e-4


@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [(100, 32, 8), (33, 32, 16), (31, 32, 16), (257, 64, 0)]
)
def test_tiles_cover_every_pixel(size: int, tile: int, overlap: int) -> None:
    seen = np.zeros((size, size), int)
    for box in tiles_of(size, size, tile, overlap):
        assert 0 <= box.top < box.bottom <= size
        assert box.bottom - box.top <= tile
        assert box.top % 8 == box.left % 8 == 0
        seen[box.top : box.bottom, box.left : box.right] += 1
    assert seen.min() == 1


def test_odd_sides_are_mirrored_and_cut_again(tmp_path: Path, palm: Image) -> None:
    path = saved(tmp_path / "m.safetensors", rrdb(doublings=2, unshuffle=4))
    odd = palm[:, :47, :61]
    found = enlarged(path, odd)
    assert found.shape == odd.shape
    assert enlarged(path, odd[:, :1, :1]).shape == (1, 1, 1, 3)


def test_alpha_is_kept_and_a_batch_is_its_pictures(tmp_path: Path, palm: Image) -> None:
    path = saved(tmp_path / "m.safetensors", srvgg(scale=2))
    alpha = np.linspace(0, 1, palm.shape[2], dtype=np.float32)
    both = np.concatenate([palm, np.broadcast_to(alpha[:, None], (*palm.shape[:3], 1))], 3)
    batch = enlarged(path, np.concatenate([both, both[:, ::-1]]))
    assert batch.shape == (2, 96, 128, 4)
    assert np.allclose(batch[0, ..., :3], enlarged(path, palm)[0], atol=1e-6)
    assert batch[0, 0, 0, 3] < 0.02
    assert batch[1, -1, -1, 3] > 0.98


def test_cancel_acts_between_tiles(tmp_path: Path, palm: Image) -> None:
    path = saved(tmp_path / "m.safetensors", srvgg(scale=2))
    flag = threading.Event()
    told: list[int] = []

    def report(done: int, total: int, preview: object) -> None:
        told.append(done)
        if done == 2:
            flag.set()

    ctx = context(report=report, cancelled=flag, using=store())
    with pytest.raises(Cancelled):
        upscale(ctx, recipe_of(str(path), ctx), palm, tile=16, overlap=8)
    assert told == [0, 1, 2]


def test_what_cannot_be_done_is_told_in_a_sentence(tmp_path: Path, palm: Image) -> None:
    path = saved(tmp_path / "m.safetensors", srvgg(scale=2))
    with pytest.raises(NodeError, match="overlap") as caught:
        enlarged(path, palm, tile=32, overlap=24)
    assert caught.value.socket == "overlap"
    with pytest.raises(NodeError, match="no upscale model at"):
        enlarged(tmp_path / "none.safetensors", palm)
    with pytest.raises(NodeError, match="known here"):
        enlarged(saved(tmp_path / "x.safetensors", {"x": torch.zeros(1)}), palm)
    other = saved(tmp_path / "o.safetensors", {"residual_layer.0.residual_layer.0.x": torch.zeros(1)})
    with pytest.raises(NodeError, match="OmniSR network, which needs the library spandrel"):
        enlarged(other, palm)


def test_weights_that_do_not_fit_one_another_are_told(tmp_path: Path, palm: Image) -> None:
    weights = rrdb()
    weights["body.1.rdb2.conv3.weight"] = torch.zeros(4, 5, 3, 3)
    with pytest.raises(NodeError, match=r"body\.1\.rdb2\.conv3\.weight is \[4, 5, 3, 3\], not"):
        enlarged(saved(tmp_path / "m.safetensors", weights), palm)
    del weights["conv_up2.bias"]
    with pytest.raises(NodeError, match=r"missing, conv_up\.1\.bias first"):
        enlarged(saved(tmp_path / "m.safetensors", weights), palm)


@pytest.mark.parametrize("weights", [rrdb(), srvgg()])
def test_half_precision_leaves_no_bands(tmp_path: Path, weights: Weights) -> None:
    path = saved(tmp_path / "m.safetensors", weights)
    ramp = np.linspace(0.4, 0.6, 64, dtype=np.float32)[None, None, :, None].repeat(8, 1).repeat(3, 3)
    half = store()
    half.place = replace(half.place, dtype="bfloat16")
    ctx = context(using=half)
    found = upscale(ctx, recipe_of(str(path), ctx), ramp, tile=0, overlap=0)
    assert np.abs(found - enlarged(path, ramp)).max() < 0.02
    assert len(np.unique(found)) > 1000  # bfloat16 has 128 values from 0.5 to 1


SPANDREL = """
import torch


class Twice(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self, x):
        return self.weight * torch.nn.functional.interpolate(x, scale_factor=2)


class Description:
    scale, input_channels = 2, 3

    def __init__(self, model):
        self.model = model

    def __call__(self, x):
        return self.model(x)


class ModelLoader:
    def load_from_state_dict(self, weights):
        return Description(Twice(weights["layers.0.residual_group.blocks.0.norm1.weight"]))
"""


def test_other_networks_are_built_by_spandrel_from_tensors(
    tmp_path: Path, palm: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spandrel.py").write_text(SPANDREL)
    (tmp_path / "torchvision.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    key = "layers.0.residual_group.blocks.0.norm1.weight"
    path = saved(tmp_path / "swin.safetensors", {key: torch.full((1,), 0.5)})
    found = enlarged(path, palm, tile=32, overlap=8)
    assert np.allclose(found, palm.repeat(2, 1).repeat(2, 2) / 2, atol=1e-6)
    monkeypatch.delitem(sys.modules, "spandrel")
