"""Small control networks of random weights, a call for them, and loaders that need no run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from studio.diffusion.conditioning import changed, entry
from studio.diffusion.denoisers.unet import Batch
from studio.diffusion.device import Place
from studio.diffusion.families.controlnet import FAMILY
from studio.types import ConditioningEntry, Control, Recipe

WIDTH, CHANNELS, HEADS = 768, (32, 64), 8


class Here:
    """A loader for tests: on the CPU, in float32."""

    place = Place("cpu", "float32", "test", "For tests.")

    def check(self) -> None:
        """Nobody cancels."""

    def get(self, recipe: Recipe) -> Any:
        raise AssertionError(recipe)


def randomised(network: Any, seed: int = 0) -> Any:
    """Weights all drawn: those that begin as zeros would hide what they multiply."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            spread = 0.3 / max(1, weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1
            weight.copy_(torch.randn(weight.shape, generator=generator) * spread + (weight.ndim == 1))
    return network.eval()


def tiny_controlnet(seed: int = 0, **settings: Any) -> Any:
    from diffusers import ControlNetModel

    return randomised(
        ControlNetModel(
            **{
                "block_out_channels": CHANNELS,
                "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
                "layers_per_block": 1,
                "cross_attention_dim": WIDTH,
                "attention_head_dim": HEADS,
                "conditioning_embedding_out_channels": (16, 32),
                **settings,
            }
        ),
        seed,
    )


def saved(network: Any, folder: Path, name: str = "control.safetensors") -> Path:
    path = folder / name
    save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, path)
    return path


def loaded(path: Path) -> tuple[Recipe, Any]:
    parts = FAMILY.recognise(path)
    assert parts is not None
    recipe = Recipe(str(path), str(path), next(iter(parts)), "controlnet")
    return recipe, FAMILY.load(recipe, Here())


def told(seed: int, *controls: Control, width: int = WIDTH) -> ConditioningEntry:
    generator = torch.Generator().manual_seed(seed)
    return changed(entry(torch.randn(1, 7, width, generator=generator)), controls=controls)


def call(entries: Sequence[ConditioningEntry], count: int = 2, side: int = 8, **added: torch.Tensor) -> Batch:
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(len(entries) * count, 4, side, side, generator=generator)
    tokens = torch.cat([item.embeddings.expand(count, -1, -1) for item in entries])
    return Batch(entries, count, x, torch.tensor(431.0), tokens, added)


def picture(seed: int, height: int, width: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))
