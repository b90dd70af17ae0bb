from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from studio.diffusion.conditioning import control, name_of
from studio.diffusion.control.transformers import Call, block_samples
from studio.errors import NodeError
from tests.studio.diffusion.controls import loaded, picture, randomised, saved, tiny_controlnet, told

pytestmark = pytest.mark.filterwarnings("ignore:.*FluxPosEmbed:FutureWarning")
WIDTH, POOLED = 40, 24
_PLAIN = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
}
_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_OUTSIDE = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "controlnet_x_embedder": "pos_embed_input",
    "controlnet_blocks.0": "controlnet_blocks.0",
    "controlnet_blocks.1": "controlnet_blocks.1",
    "input_hint_block.conv_in": "input_hint_block.0",
    "input_hint_block.conv_out": "input_hint_block.14",
    **{f"input_hint_block.blocks.{index}": f"input_hint_block.{2 * index + 2}" for index in range(6)},
}


def flux(**settings: Any) -> Any:
    from diffusers import FluxControlNetModel

    plain: dict[str, Any] = {
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 128,
        "num_attention_heads": 1,
        "joint_attention_dim": WIDTH,
        "pooled_projection_dim": POOLED,
    }
    return randomised(FluxControlNetModel(**(plain | settings)), 3)


def call(*entries: Any, count: int = 1, blocks: tuple[int, int] = (4, 3), side: int = 8) -> Call:
    generator = torch.Generator().manual_seed(1)
    rows = len(entries) * count
    arguments = {
        "hidden_states": torch.randn(rows, side * side // 4, 64, generator=generator),
        "encoder_hidden_states": torch.cat([item.embeddings.expand(count, -1, -1) for item in entries]),
        "pooled_projections": torch.randn(rows, POOLED, generator=generator),
        "timestep": torch.full((rows,), 0.7),
        "img_ids": torch.zeros(side * side // 4, 3),
        "txt_ids": torch.zeros(7, 3),
        "guidance": torch.full((rows,), 3.5),
    }
    return Call(entries, count, (side, side), arguments, blocks)


class Squares:
    """Stands for an autoencoder: the mean of each square of 2 × 2 pixels, in sixteen channels."""

    downscale = 2

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pixels.mean(1, keepdim=True), 2).repeat(1, 16, 1, 1)


@torch.inference_mode()
def test_each_block_of_the_transformer_gets_its_share(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(flux(num_layers=2), tmp_path))
    vae = recipe.__class__("", "vae", "vae", "none")
    item = control(recipe, picture(1, 16, 16), vae=vae, strength=0.5)
    networks = {name_of(recipe): mine, name_of(vae): Squares()}
    given = block_samples(networks, call(told(0, item, width=WIDTH), told(1, width=WIDTH), count=2))
    first, second = given["controlnet_block_samples"], given["controlnet_single_block_samples"]
    assert (len(first), len(second)) == (4, 3)
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[2], first[3])
    assert not torch.equal(first[1], first[2])
    assert first[0][:2].any()
    assert not first[0][2:].any()  # the rows of the entry without a control
    twice = block_samples(networks, call(told(0, item, item, width=WIDTH)))
    once = block_samples(networks, call(told(0, item, width=WIDTH)))
    assert torch.allclose(
        twice["controlnet_block_samples"][0], once["controlnet_block_samples"][0] * 2, atol=1e-5
    )


@torch.inference_mode()
def test_a_mask_keeps_tokens_outside_of_it(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(flux(), tmp_path))
    vae = recipe.__class__("", "vae", "vae", "none")
    mask = torch.zeros(1, 32, 32)
    mask[:, :16] = 1
    item = control(recipe, picture(1, 16, 16), vae=vae, mask=mask)
    given = block_samples({name_of(recipe): mine, name_of(vae): Squares()}, call(told(0, item, width=WIDTH)))
    tokens = given["controlnet_block_samples"][0][0]
    assert tokens[:8].any()
    assert not tokens[8:].any()


def test_a_network_of_a_unet_is_refused(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(tiny_controlnet(), tmp_path))
    item = control(recipe, picture(1, 16, 16))
    with pytest.raises(NodeError, match="made for a UNet"):
        block_samples({name_of(recipe): mine}, call(told(0, item, width=WIDTH)))


def test_without_a_vae_the_picture_cannot_be_encoded(tmp_path: Path) -> None:
    recipe, mine = loaded(saved(flux(), tmp_path))
    item = control(recipe, picture(1, 16, 16))
    with torch.inference_mode(), pytest.raises(NodeError, match="takes its picture encoded"):
        block_samples({name_of(recipe): mine}, call(told(0, item, width=WIDTH)))


@torch.inference_mode()
def test_the_layout_of_xlabs_holds_the_same_weights(tmp_path: Path) -> None:
    network = flux(
        num_layers=2,
        num_single_layers=0,
        guidance_embeds=True,
        patch_size=2,
        conditioning_embedding_channels=16,
    )
    plain = network.state_dict()
    found: dict[str, torch.Tensor] = {}
    for name, value in plain.items():
        module, _, end = name.rpartition(".")
        if module in _OUTSIDE:
            found[f"{_OUTSIDE[module]}.{end}"] = value
        elif name.startswith("transformer_blocks."):
            number, _, inner = module.removeprefix("transformer_blocks.").partition(".")
            if inner in _PLAIN:
                last = "scale" if "norm_" in inner else end
                found[f"double_blocks.{number}.{_PLAIN[inner]}.{last}"] = value
    for number in range(2):
        for key, parts in _FUSED.items():
            for end in ("weight", "bias"):
                thirds = [plain[f"transformer_blocks.{number}.{part}.{end}"] for part in parts]
                found[f"double_blocks.{number}.{key}.{end}"] = torch.cat(thirds)
    path = tmp_path / "xlabs.safetensors"
    save_file({name: value.contiguous() for name, value in found.items()}, path)
    recipe, mine = loaded(path)
    assert recipe.part == "flux"
    ours = mine.modules["control"].state_dict()
    assert set(ours) == set(plain)
    assert all(torch.equal(ours[name], plain[name]) for name in plain)
    item = control(recipe, picture(1, 64, 64))
    given = block_samples({name_of(recipe): mine}, call(told(0, item, width=WIDTH), blocks=(5, 2)))
    shares = given["controlnet_block_samples"]
    assert len(shares) == 5
    assert torch.equal(shares[0], shares[2])  # they come round again
    assert not torch.equal(shares[0], shares[1])
