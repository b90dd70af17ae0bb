"""Models at full size (transformers cut to few layers), random weights, from one file each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks._full_size import single_file, write
from tests.studio.diffusion.checkpoints import original_unet

MOST_GB = 20.0
ROOT_DIR = Path(__file__).parents[2]


def sdxl(folder: Path) -> Path:
    """SDXL's UNet under the first implementation's names."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        network = UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    named = original_unet(network).items()
    return _written(folder, ((f"model.diffusion_model.{name}", tensor) for name, tensor in named))


def sd3(folder: Path) -> Path:
    """Four of the 24 layers of Stable Diffusion 3 medium."""
    from diffusers import SD3Transformer2DModel

    with torch.device("meta"):
        network = SD3Transformer2DModel(
            sample_size=128,
            num_layers=4,
            num_attention_heads=24,
            attention_head_dim=64,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            out_channels=16,
            in_channels=16,
            pos_embed_max_size=192,
        )
    return _written(folder, network.state_dict().items())


def flux(folder: Path) -> Path:
    """Two of the 19 and two of the 38 layers of Flux.1 dev."""
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        network = FluxTransformer2DModel(num_layers=2, num_single_layers=2, guidance_embeds=True)
    return _written(folder, network.state_dict().items())


def _written(folder: Path, tensors: Any) -> Path:
    path = folder / "model.safetensors"
    write(path, tensors)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "make"), [("sd1", single_file), ("sdxl", sdxl), ("sd3", sd3), ("flux", flux)]
)
def test_a_full_size_file_loads_and_samples_within_20_gb(
    family: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.full_size.sample", family, str(path)],
        cwd=ROOT_DIR,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(family, f"{path.stat().st_size / 1e9:.1f} GB", found)
    assert found["peak_gb"] < MOST_GB
    assert found["shape"][0] == 1
