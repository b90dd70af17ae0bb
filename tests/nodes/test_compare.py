from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes.autoencoder import vae_encode
from nodes.compare import compare_grid, compare_images, compare_latents, vae_reconstruction
from nodes.inspect import edit_latent_channel
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


def test_pictures_are_compared(palm: Image) -> None:
    other = palm.copy()
    other[:, :64] += np.float32(0.05) * (palm[:, :64] < 0.9)
    found = compare_images(palm, other, gain=4)
    assert found.difference[:, 64:].max() == 0
    assert found.difference[:, :64].max() == pytest.approx(0.2, abs=1e-5)
    assert 26 < found.psnr < 40
    assert 0.9 < found.ssim < 1
    same = compare_images(palm, palm)
    assert (same.psnr, same.ssim) == (200, pytest.approx(1))
    with pytest.raises(NodeError, match="1 of 128×128 px, and 1 of 128×64 px") as caught:
        compare_images(palm, palm[:, :64])
    assert caught.value.socket == "second"


def test_latents_are_compared(latent: Latent) -> None:
    shifted = edit_latent_channel(latent, channel=2, amount=0.4)
    found = compare_latents(latent, shifted, gain=2)
    assert found.difference.shape == (1, 128, 128, 3)
    assert np.allclose(found.difference, 0.2)
    assert found.rms == pytest.approx(0.2)
    span = float(latent.samples.max() - latent.samples.min())
    assert found.psnr == pytest.approx(20 * np.log10(span / 0.2), abs=1e-4)
    with pytest.raises(NodeError, match="1×4×16×16 and 1×4×8×8"):
        compare_latents(latent, Latent(torch.zeros(1, 4, 8, 8), 8))


def test_vae_keeps_more_than_resampling(starter: Checkpoint, palm: Image) -> None:
    both = np.concatenate([palm, palm[:, ::-1]])[:, :, 3:]
    found = vae_reconstruction(context(), starter.vae, both)
    assert found.decoded.shape == found.resampled.shape == (2, 128, 120, 3)
    assert found.comparison.shape[0] == 2
    assert found.psnr > found.resampled_psnr + 3
    assert found.ssim > found.resampled_ssim
    fair = vae_reconstruction(context(), starter.vae, both, against="as many numbers")
    assert found.resampled_psnr < fair.resampled_psnr < found.psnr


def test_grid_takes_lists_and_batches(palm: Image) -> None:
    clear = np.concatenate([palm, np.zeros_like(palm[..., :1])], 3)
    found = compare_grid([palm, clear], [np.concatenate([palm, palm])], labels="a\nb", columns=4)
    assert found.shape[2] == 4 * 128 + 5 * 8
    assert np.array_equal(found[0, 8:136, 8:136], palm[0])
    assert found[0, 8:136, 144:272].max() == 0
