"""IP-Adapters, beside the pipelines that load them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nodes.image_prompts import apply_ip_adapter, encode_image, load_clip_vision, load_ip_adapter
from nodes.latent import empty_latent
from studio.types import Latent
from tests.parity import tiny
from tests.parity.both import NEGATIVE, PROMPT, Ours, picture, theirs
from tests.parity.conftest import Compare

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SEEN, WIDE, EYE_PX = 24, 64, 28


def encoder() -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(4)
    settings = CLIPVisionConfig(
        hidden_size=WIDE,
        num_hidden_layers=3,
        num_attention_heads=1,
        intermediate_size=96,
        image_size=EYE_PX,
        patch_size=14,
        projection_dim=SEEN,
    )
    return CLIPVisionModelWithProjection(settings).eval()


def processor() -> Any:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"shortest_edge": EYE_PX}, crop_size={"height": EYE_PX, "width": EYE_PX}
    )


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.3


def weights(unet: Any, kind: str) -> dict[str, torch.Tensor]:
    """An IP-Adapter for a UNet, under the names of the first implementation."""
    width = unet.config.cross_attention_dim
    found: dict[str, torch.Tensor] = {}
    number = 1
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            inner = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for part in "kv":
                found[f"ip_adapter.{number}.to_{part}_ip.weight"] = drawn(
                    inner, width, seed=number + ord(part)
                )
            number += 2
    if kind == "plain":
        project = {"proj.weight": drawn(4 * width, SEEN), "proj.bias": drawn(4 * width)}
        project |= {"norm.weight": drawn(width, seed=1), "norm.bias": drawn(width, seed=2)}
    else:
        inner = 32
        project = {
            "latents": drawn(1, 6, inner),
            "proj_in.weight": drawn(inner, WIDE),
            "proj_in.bias": drawn(inner),
            "proj_out.weight": drawn(width, inner),
            "proj_out.bias": drawn(width),
            "norm_out.weight": drawn(width, seed=1),
            "norm_out.bias": drawn(width, seed=2),
        }
        for layer in range(4):
            for norm in ("0.norm1", "0.norm2", "1.0"):
                for end in ("weight", "bias"):
                    project[f"layers.{layer}.{norm}.{end}"] = drawn(inner, seed=layer + len(norm + end))
            project |= {
                f"layers.{layer}.0.to_q.weight": drawn(64, inner, seed=layer),
                f"layers.{layer}.0.to_kv.weight": drawn(128, inner, seed=layer),
                f"layers.{layer}.0.to_out.weight": drawn(inner, 64, seed=layer),
                f"layers.{layer}.1.1.weight": drawn(4 * inner, inner, seed=layer),
                f"layers.{layer}.1.3.weight": drawn(inner, 4 * inner, seed=layer),
            }
    return found | {f"image_proj.{name}": value for name, value in project.items()}


def state(flat: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    return {
        part: {name.removeprefix(f"{part}."): value for name, value in flat.items() if name.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }


def as_pil(image: np.ndarray[Any, Any]) -> Any:
    from PIL import Image

    return Image.fromarray((image[0] * 255).round().astype(np.uint8))


class Beside:
    """A pipeline with an image encoder, and our nodes with the same weights."""

    def __init__(self, pipe: Any, folder: Path, kind: str) -> None:
        pipe.save_pretrained(folder / "model")
        self.weights = weights(pipe.unet, kind)
        eye = encoder()
        eye.save_pretrained(folder / "eye")
        save_file(self.weights, folder / "adapter.safetensors")
        self.ours = Ours(folder / "model")
        self.eye = load_clip_vision(self.ours.ctx, path=str(folder / "eye"))
        self.adapter = load_ip_adapter(self.ours.ctx, path=str(folder / "adapter.safetensors"))
        pipe.register_modules(image_encoder=eye, feature_extractor=processor())
        pipe.load_ip_adapter([state(self.weights)], subfolder="", weight_name=["any"])
        self.pipe = pipe

    def sampled(self, images: np.ndarray[Any, Any], mask: Any = None, **knobs: Any) -> Latent:
        embeds = encode_image(self.ours.ctx, self.eye, images)
        told = self.ours.told(PROMPT), self.ours.told(NEGATIVE)
        both = apply_ip_adapter(*told, self.adapter, embeds, mask, **knobs)
        return self.ours.sampled(*both)


@pytest.mark.parametrize("kind", ["plain", "plus"])
@pytest.mark.parametrize("family", ["SD 1.x", "SDXL"])
def test_an_image_prompt_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare, kind: str, family: str
) -> None:
    pipe = tiny.stable_diffusion() if family == "SD 1.x" else tiny.stable_diffusion_xl()
    name = type(pipe).__name__
    beside = Beside(pipe, tmp_path, kind)
    image = picture(40, seed=3)
    mine = beside.sampled(image, strength=0.7)
    pipe.set_ip_adapter_scale(0.7)
    latents, painted = theirs(pipe, ip_adapter_image=as_pil(image))
    compare(
        family,
        f"IP-Adapter, {kind}",
        name,
        latents=(mine.samples, latents),
        images=(beside.ours.decoded(mine), painted),
    )


def test_two_pictures_in_one_prompt_give_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion()
    beside = Beside(pipe, tmp_path, "plain")
    images = np.concatenate([picture(40, seed=3), picture(40, seed=5)])
    mine = beside.sampled(images, strength=0.7)
    pipe.set_ip_adapter_scale(0.7)
    latents, painted = theirs(pipe, ip_adapter_image=[[as_pil(images[:1]), as_pil(images[1:])]])
    compare(
        "SD 1.x",
        "IP-Adapter, two pictures",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(beside.ours.decoded(mine), painted),
    )


def test_a_mask_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion()
    beside = Beside(pipe, tmp_path, "plain")
    image = picture(40, seed=3)
    mask = np.zeros((1, 32, 32), np.float32)
    mask[:, :, 16:] = 1
    mine = beside.sampled(image, mask, strength=0.7)
    pipe.set_ip_adapter_scale(0.7)
    latents, painted = theirs(
        pipe,
        ip_adapter_image=as_pil(image),
        cross_attention_kwargs={"ip_adapter_masks": [torch.from_numpy(mask)[None]]},
    )
    compare(
        "SD 1.x",
        "IP-Adapter, masked",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(beside.ours.decoded(mine), painted),
    )


def test_style_alone_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion(
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        attention_head_dim=2,
    )
    beside = Beside(pipe, tmp_path, "plain")
    image = picture(40, seed=3)
    mine = beside.sampled(image, take="style")
    on, off = 1.0, 0.0
    pipe.set_ip_adapter_scale(
        {
            "down": {"block_0": [on, on], "block_1": [on, on]},
            "up": {"block_1": [off, off, on], "block_2": [on, on, on], "block_3": [on, on, on]},
        }
    )
    latents, painted = theirs(pipe, ip_adapter_image=as_pil(image))
    compare(
        "SD 1.x",
        "IP-Adapter, style alone",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(beside.ours.decoded(mine), painted),
    )
    beside.sampled(image)  # the whole one, from the same weights


def test_told_up_to_a_point_pictures_act_no_longer_after_it(tmp_path: Path) -> None:
    beside = Beside(tiny.stable_diffusion(), tmp_path, "plain")
    image = picture(40, seed=3)
    whole, early = beside.sampled(image).samples, beside.sampled(image, end=0.5).samples
    never = beside.sampled(image, start=0.0, end=0.0).samples
    plain = beside.ours.sampled().samples
    assert not torch.allclose(whole, early, atol=1e-3)
    assert not torch.allclose(early, plain, atol=1e-3)
    assert torch.allclose(never, plain, atol=1e-6)


@pytest.mark.parametrize("masks", [2, 4])
def test_masks_of_another_number_than_pictures_come_round_again(tmp_path: Path, masks: int) -> None:
    beside = Beside(tiny.stable_diffusion(), tmp_path, "plain")
    embeds = encode_image(beside.ours.ctx, beside.eye, picture(40, seed=3))
    told = beside.ours.told(PROMPT), beside.ours.told(NEGATIVE)
    mask = np.stack([np.full((32, 32), index % 2, np.float32) for index in range(4)])
    batch = empty_latent(width=32, height=32, batch=3)

    def sampled(count: int) -> torch.Tensor:
        both = apply_ip_adapter(*told, beside.adapter, embeds, mask[:count])
        return beside.ours.sampled(*both, latent=batch).samples

    plain = beside.ours.sampled(latent=batch).samples
    own = sampled(3)
    assert torch.allclose(own[0], plain[0], atol=1e-5)
    assert not torch.allclose(own[1], plain[1], atol=1e-3)
    assert torch.equal(sampled(masks), own)
