from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes import inspect
from nodes.autoencoder import vae_encode
from nodes.loaders import Checkpoint, load_checkpoint
from studio.errors import NodeError
from studio.files.pictures import read
from studio.paths import assets_dir
from studio.types import Image, Latent
from tests.studio.diffusion.bench import context

PALM = assets_dir() / "pictures" / "palm_tree.png"


@pytest.fixture
def palm() -> Image:
    return read(PALM)[0]


@pytest.fixture(scope="module")
def starter() -> Checkpoint:
    return load_checkpoint(context())


@pytest.fixture
def latent(starter: Checkpoint, palm: Image) -> Latent:
    return vae_encode(context(), starter.vae, palm)


def test_model_gives_a_latent_its_colours(starter: Checkpoint, latent: Latent, palm: Image) -> None:
    shown = inspect.latent_picture(context(), latent, starter.model, pixels=8)
    assert shown.shape == palm.shape
    small = palm.reshape(1, 16, 8, 16, 8, 3).mean((2, 4))
    assert np.abs(shown[:, ::8, ::8] - small).mean() < 0.1


def test_latent_of_another_family_is_refused(starter: Checkpoint) -> None:
    with pytest.raises(NodeError, match="16 channels, the model's have 4") as caught:
        inspect.latent_picture(context(), Latent(torch.zeros(1, 16, 4, 4), 8), starter.model)
    assert caught.value.socket == "model"


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_any_latent_has_a_picture_without_its_model(channels: int) -> None:
    samples = torch.randn(2, channels, 6, 5, generator=torch.Generator().manual_seed(1))
    shown = inspect.latent_picture(context(), Latent(samples, 8), pixels=2)
    assert shown.shape == (2, 12, 10, 3)
    assert shown.std((0, 1, 2))[: min(3, channels)].min() > 0.1
    scaled = inspect.latent_picture(context(), Latent(samples * 3 + 5, 8), pixels=2)
    assert np.abs(shown - scaled).max() < 1e-4


def test_latent_without_any_change_is_grey() -> None:
    assert np.unique(inspect.latent_picture(context(), Latent(torch.zeros(1, 4, 4, 4), 8))) == [0.5]


def test_every_channel_has_its_cell(latent: Latent) -> None:
    two = inspect.latent_channels(latent)
    assert two.shape[0] == 1
    # Channel 0 at ×8 in the first cell: red where it is above 0.
    cell = two[0, 8 : 8 + 128, 8 : 8 + 128]
    values = latent.samples[0, 0].numpy().repeat(8, 0).repeat(8, 1)
    warm = cell[..., 0] > cell[..., 2] + 0.02
    assert (warm == (values > 0))[np.abs(values) > 0.1].mean() == 1
    sixteen = inspect.latent_channels(Latent(torch.randn(3, 16, 8, 8), 8), limit=2.0)
    assert sixteen.shape[0] == 3


def test_histograms_of_other_values_look_other(latent: Latent, palm: Image) -> None:
    plain = inspect.latent_histogram(latent)
    assert plain.shape[0] == 1
    assert not np.array_equal(plain, inspect.latent_histogram(latent, counts="logarithmic"))
    assert inspect.latent_histogram(Latent(torch.zeros(1, 4, 4, 4), 8)).shape == plain.shape
    dark = inspect.image_histogram(palm * np.float32(0.25))
    blue = (dark[..., 2] > 0.7) & (dark[..., 0] < 0.6)
    assert np.argwhere(blue[0, 40:])[:, 1].max() < 0.3 * dark.shape[2]


def test_numbers_of_a_latent_are_told() -> None:
    samples = torch.stack([torch.full((4, 4), float(value)) for value in (-1, 1)])[None]
    told = inspect.latent_numbers(Latent(samples, 8))
    assert told[1:] == pytest.approx((0.0, 1.0, -1.0, 1.0))
    assert "1×2×4×4" in told.text
    assert "channel 1: 1.000 ± 0.000" in told.text


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("scale", (0, 10, 4)),
        ("offset", (0, 4.5, 4)),
        ("zero", (0, 0, 4)),
        ("swap", (0, 4, 2)),
        ("copy", (0, 4, 4)),
    ],
)
def test_one_channel_is_changed(change: str, wanted: tuple[float, ...]) -> None:
    samples = torch.arange(3.0)[None, :, None, None].expand(1, 3, 2, 2) * 2
    amount = 5.0 if change == "scale" else 2.5
    edited = inspect.edit_latent_channel(
        Latent(samples, 8),
        channel=1,
        change=change,
        amount=amount,
        other=2,  # type: ignore[arg-type]
    )
    assert edited.samples[0, :, 0, 0].tolist() == list(wanted)
    assert samples[0, :, 0, 0].tolist() == [0, 2, 4]


@pytest.mark.parametrize("socket", ["channel", "other"])
def test_channel_that_is_not_there_is_told(socket: str) -> None:
    with pytest.raises(NodeError, match="no channel 4: it has 4") as caught:
        inspect.edit_latent_channel(Latent(torch.zeros(1, 4, 2, 2), 8), change="swap", **{socket: 4})
    assert caught.value.socket == socket


def test_values_are_written_on_cards(latent: Latent) -> None:
    for value in (0.5, "a fox", True, latent, np.zeros((1, 4, 4, 3), np.float32)):
        card = inspect.show_value(value)
        assert card.shape[2:] == (512, 3)
        assert np.ptp(card) > 0.5
