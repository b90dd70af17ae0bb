from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nodes.control import apply_controlnet, load_controlnet
from studio.errors import FileError, NodeError
from studio.types import Conditioning, ControlNet, Recipe, Vae
from tests.studio.diffusion.bench import context
from tests.studio.diffusion.controls import randomised, saved, tiny_controlnet, told

IMAGE = np.random.default_rng(0).random((1, 16, 24, 4), np.float32)


def plain(tmp_path: Path) -> ControlNet:
    return load_controlnet(context(), path=str(saved(tiny_controlnet(), tmp_path)))


def words(width: int = 768) -> Conditioning:
    return Conditioning((told(0, width=width), told(1, width=width)))


def test_every_entry_bears_the_control_and_keeps_its_own_digest(tmp_path: Path) -> None:
    before = words()
    both = apply_controlnet(before, None, plain(tmp_path), IMAGE, strength=0.4, start=0.1, end=0.7)
    assert both.negative.entries == ()
    for old, new in zip(before.entries, both.positive.entries, strict=True):
        (control,) = new.controls
        assert (control.strength, control.span, control.kind) == (0.4, (0.1, 0.7), "")
        assert control.hint.shape == (1, 3, 16, 24)
        assert new.digest == old.digest
    again = apply_controlnet(both.positive, None, plain(tmp_path), IMAGE)
    assert len(again.positive.entries[0].controls) == 2


def test_what_is_to_be_made_up_is_marked(tmp_path: Path) -> None:
    repaint = np.zeros((1, 16, 24), np.float32)
    repaint[:, :8] = 1
    both = apply_controlnet(words(), None, plain(tmp_path), IMAGE, repaint=repaint)
    hint = both.positive.entries[0].controls[0].hint
    assert bool((hint[:, :, :8] == -1).all())
    assert bool((hint[:, :, 8:] >= 0).all())


def test_a_network_for_another_model_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(
        NodeError, match="made for Stable Diffusion 1, the prompt is encoded for SDXL"
    ) as caught:
        apply_controlnet(words(2048), None, plain(tmp_path), IMAGE)
    assert caught.value.socket == "control_net"


def test_ends_before_it_starts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"would end, at 0\.2, before it starts, at 0\.8"):
        apply_controlnet(words(), None, plain(tmp_path), IMAGE, start=0.8, end=0.2)


def test_a_union_network_must_be_told_the_kind(tmp_path: Path) -> None:
    from diffusers import ControlNetUnionModel

    network = ControlNetUnionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        layers_per_block=1,
        cross_attention_dim=768,
        addition_time_embed_dim=32,
    )
    net = load_controlnet(context(), path=str(saved(randomised(network), tmp_path)))
    with pytest.raises(NodeError, match="must be told which"):
        apply_controlnet(words(), None, net, IMAGE)
    with pytest.raises(NodeError, match="none of kind “tile”"):
        apply_controlnet(words(), None, net, IMAGE, kind="tile")
    both = apply_controlnet(words(), None, net, IMAGE, kind="depth", repaint=IMAGE[..., 0])
    assert both.positive.entries[0].controls[0].kind == "depth"
    assert float(both.positive.entries[0].controls[0].hint.min()) == 0


@pytest.mark.filterwarnings("ignore:.*FluxPosEmbed:FutureWarning")
def test_flux_takes_the_picture_encoded(tmp_path: Path) -> None:
    from diffusers import FluxControlNetModel

    network: Any = FluxControlNetModel(
        num_layers=1,
        num_single_layers=0,
        attention_head_dim=128,
        num_attention_heads=1,
        joint_attention_dim=4096,
        pooled_projection_dim=24,
    )
    net = load_controlnet(context(), path=str(saved(network, tmp_path)))
    with pytest.raises(NodeError, match="takes its picture encoded") as caught:
        apply_controlnet(words(4096), None, net, IMAGE)
    assert caught.value.socket == "vae"
    vae = Vae(Recipe("", "v", "vae", "flux"))
    both = apply_controlnet(words(4096), None, net, IMAGE, vae)
    assert both.positive.entries[0].controls[0].vae == vae.recipe


def test_files_that_are_no_controlnet_are_told_in_sentences(tmp_path: Path) -> None:
    save_file({"lora_controlnet": torch.zeros(1)}, tmp_path / "lora.safetensors")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((1000).to_bytes(8, "little") + b"{}")
    (tmp_path / "text.pth").write_bytes(b"no model at all")
    with pytest.raises(NodeError, match="is a Control-LoRA"):
        load_controlnet(context(), path=str(tmp_path / "lora.safetensors"))
    with pytest.raises(NodeError, match="not a ControlNet or T2I-Adapter"):
        load_controlnet(context(), path=str(tmp_path / "other.safetensors"))
    with pytest.raises(FileError, match="cut short"):
        load_controlnet(context(), path=str(tmp_path / "cut.safetensors"))
    with pytest.raises(FileError, match="no checkpoint"):
        load_controlnet(context(), path=str(tmp_path / "text.pth"))
    with pytest.raises(NodeError, match="no model at"):
        load_controlnet(context(), path=str(tmp_path / "missing.safetensors"))
