"""Small models that stand in for the ones a template asks for, or that fit the starter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from studio.paths import assets_dir
from tests.parity import test_ip_adapter as image_prompts
from tests.parity import tiny, tiny_transformers
from tests.studio import upscalers
from tests.studio.diffusion.controls import randomised

Make = Callable[[Path], Path]
STARTER = assets_dir() / "starter"
WIDE, EYE_PX = 32, 28


def unet() -> Any:
    """The starter's UNet."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(STARTER / "unet", local_files_only=True)


def lora(place: Path) -> Path:
    """A LoRA for the starter, as kohya's tools write it."""
    found: dict[str, torch.Tensor] = {}
    for name, weight in unet().state_dict().items():
        if name.endswith(("to_q.weight", "to_v.weight")):
            key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            found[f"{key}.lora_down.weight"] = torch.randn(4, weight.shape[1]) * 0.05
            found[f"{key}.lora_up.weight"] = torch.randn(weight.shape[0], 4) * 0.05
    return _file(place, found)


def controlnet(place: Path) -> Path:
    """A ControlNet for the starter, which takes hints of the picture's size."""
    from diffusers import ControlNetModel

    network = ControlNetModel.from_unet(
        unet(), conditioning_embedding_out_channels=(8, 8, 8, 8), load_weights_from_unet=False
    )
    randomised(network, 0).save_pretrained(place)
    return place


def clip_vision(place: Path) -> Path:
    """An image encoder."""
    image_prompts.encoder().save_pretrained(place)
    image_prompts.processor().save_pretrained(place)
    return place


def ip_adapter(place: Path) -> Path:
    """An IP-Adapter for the starter and that image encoder."""
    return _file(place, image_prompts.weights(unet(), "plain"))


def usual_layers() -> Any:
    """A small pipeline with as many layers as Stable Diffusion 1 has."""
    return tiny.stable_diffusion(
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=2,
        down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    )


def ip_adapter_of_usual_layers(place: Path) -> Path:
    """An IP-Adapter for that pipeline."""
    return _file(place, image_prompts.weights(usual_layers().unet, "plain"))


def upscaler(place: Path) -> Path:
    """An RRDB network of random weights."""
    place.mkdir(parents=True)
    return upscalers.saved(place / "upscaler.safetensors", upscalers.rrdb(doublings=1))


def embedding(place: Path) -> Path:
    """Two vectors for the starter's text encoder."""
    from transformers import CLIPTextConfig

    width = CLIPTextConfig.from_pretrained(STARTER / "text_encoder").hidden_size
    return _file(place, {"emb_params": torch.randn(2, width) * 0.05})


def small_picture(place: Path) -> Path:
    """The picture that ships, a quarter as large."""
    from PIL import Image

    place.mkdir(parents=True)
    with Image.open(assets_dir() / "pictures/palm_tree.png") as picture:
        picture.resize((32, 32)).save(place / "small.png")
    return place / "small.png"


def pipeline(make: Callable[[], Any]) -> Make:
    """A whole pipeline's folder."""

    def saved(place: Path) -> Path:
        make().save_pretrained(place)
        return place

    return saved


stable_diffusion = pipeline(tiny.stable_diffusion)
stable_diffusion_1 = pipeline(usual_layers)
sdxl = pipeline(tiny.stable_diffusion_xl)
refiner = pipeline(tiny.refiner)
stable_diffusion_3 = pipeline(tiny_transformers.stable_diffusion_3)
flux = pipeline(tiny_transformers.flux)


inpainting = pipeline(lambda: tiny.stable_diffusion(in_channels=9))
pix2pix = pipeline(lambda: tiny.stable_diffusion(in_channels=8))
depth = pipeline(lambda: tiny.stable_diffusion(in_channels=5, use_linear_projection=True))
times_four = pipeline(tiny.times_four)
unclip = pipeline(lambda: tiny.unclip(image_prompts.encoder(), image_prompts.processor(), image_prompts.SEEN))


def flux_fill(place: Path) -> Path:
    """Flux Fill; its mask has a channel for each pixel of the small autoencoder's latent pixel."""
    from diffusers import FluxFillPipeline

    parts = tiny_transformers.flux_parts(in_channels=64 + 64 + 16, out_channels=64)
    FluxFillPipeline(**parts).save_pretrained(place)
    return place


def siglip(place: Path) -> Path:
    """An image encoder as Redux has."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(5)
    settings = SiglipVisionConfig(
        hidden_size=WIDE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=EYE_PX,
        patch_size=14,
    )
    SiglipVisionModel(settings).save_pretrained(place)
    return place


def redux(place: Path) -> Path:
    """A Redux for that encoder and the small Flux."""
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder

    torch.manual_seed(6)
    network = ReduxImageEncoder(redux_dim=WIDE, txt_in_features=tiny_transformers.TEXT_WIDTH)
    return _file(place, dict(network.state_dict()))


def part(name: str) -> Make:
    """One network's folder of a small Stable Diffusion 1."""

    def saved(place: Path) -> Path:
        return stable_diffusion(place) / name

    return saved


def _file(place: Path, tensors: dict[str, torch.Tensor]) -> Path:
    place.mkdir(parents=True)
    save_file(tensors, place / "model.safetensors")
    return place / "model.safetensors"
