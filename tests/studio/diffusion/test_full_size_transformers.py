"""SD3 and Flux in their full width, two blocks deep, from one file in the original layout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.studio.diffusion import transformer_checkpoints as made

pytestmark = pytest.mark.slow
LIMIT_BYTES = 20 * 2**30
ROOT = Path(__file__).parents[3]


def network(name: str) -> Any:
    """Without weights."""
    from diffusers import FluxTransformer2DModel, SD3Transformer2DModel

    with torch.device("meta"):
        if name == "flux":
            return FluxTransformer2DModel(num_layers=2, num_single_layers=2, guidance_embeds=True)
        return SD3Transformer2DModel(
            num_layers=2,
            num_attention_heads=38,
            caption_projection_dim=2432,
            pos_embed_max_size=192,
            qk_norm="rms_norm",
        )


def written(path: Path, name: str) -> Path:
    """The file, its numbers drawn once and used again and again."""
    drawn = torch.randn(2**24, generator=torch.Generator().manual_seed(0)).mul_(0.02).to(torch.bfloat16)
    original = (made.original_flux if name == "flux" else made.original_sd3)(network(name))
    begin, head = 0, {}
    for key, tensor in original.items():
        end = begin + tensor.numel() * 2
        head[key] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    data = json.dumps(head).encode()
    data += b" " * (-len(data) % 8)
    with path.open("wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        for tensor in original.values():
            left = tensor.numel()
            while left:
                part = drawn[: min(left, len(drawn))]
                file.write(part.view(torch.uint8).numpy().data)
                left -= len(part)
    return path


@pytest.mark.parametrize(("name", "width", "pooled"), [("flux", 4096, 768), ("sd3", 4096, 2048)])
def test_a_single_file_of_full_width_loads_and_samples(
    name: str, width: int, pooled: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / f"{name}.safetensors", name)
    command = [
        sys.executable,
        "-m",
        "tests.studio.diffusion.full_size",
        str(file),
        "77",
        str(width),
        str(pooled),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: file {file.stat().st_size / 1e9:.1f} GB, loaded in {said['load_s']:.1f} s, "
            f"{said['step_s']:.1f} s a step, peak {said['peak'] / 1e9:.1f} GB\n"
        )
    assert said["peak"] < LIMIT_BYTES
    assert said["shape"] == [1, 16, 16, 16]
    assert 0 < said["spread"] < 100
