"""ControlNets and T2I-Adapters, beside their pipelines."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.control import apply_controlnet, load_controlnet
from studio.types import Conditioning, ControlNet
from tests.parity import tiny
from tests.parity.both import NEGATIVE, PROMPT, Ours, picture, theirs
from tests.parity.conftest import Compare
from tests.studio.diffusion.controls import randomised

# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def control_network(pipe: Any, seed: int = 0) -> Any:
    """A ControlNet for the UNet of a pipeline, its weights drawn."""
    from diffusers import ControlNetModel

    network = ControlNetModel.from_unet(
        pipe.unet, conditioning_embedding_out_channels=(4, 8), load_weights_from_unet=False
    )
    return randomised(network, seed)


def named(ours: Ours, network: Any, place: Path) -> ControlNet:
    network.save_pretrained(place)
    return load_controlnet(ours.ctx, path=str(place))


def prompts(ours: Ours) -> tuple[Conditioning, Conditioning]:
    return ours.told(PROMPT), ours.told(NEGATIVE)


def hint(image: Any) -> torch.Tensor:
    return torch.from_numpy(image).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("span", "what"), [((0.0, 1.0), ""), ((0.2, 0.6), ", from 20 % to 60 %")])
def test_a_controlnet_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare, span: tuple[float, float], what: str
) -> None:
    from diffusers import StableDiffusionControlNetPipeline

    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "model")
    network, image = control_network(pipe), picture(seed=3)
    ours = Ours(tmp_path / "model")
    net = named(ours, network, tmp_path / "control")
    both = apply_controlnet(*prompts(ours), net, image, strength=0.8, start=span[0], end=span[1])
    mine = ours.sampled(*both)
    beside = StableDiffusionControlNetPipeline(
        **pipe.components, controlnet=network, requires_safety_checker=False
    )
    beside.set_progress_bar_config(disable=True)
    latents, pixels = theirs(
        beside,
        image=hint(image),
        controlnet_conditioning_scale=0.8,
        control_guidance_start=span[0],
        control_guidance_end=span[1],
    )
    compare(
        "SD 1.x",
        f"ControlNet{what}",
        "StableDiffusionControlNetPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), pixels),
    )


def test_two_controlnets_give_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionControlNetPipeline

    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "model")
    networks = [control_network(pipe, seed) for seed in (0, 5)]
    images = [picture(seed=3), picture(seed=4)]
    ours = Ours(tmp_path / "model")
    both = prompts(ours)
    for index, strength in enumerate((0.8, 0.3)):
        net = named(ours, networks[index], tmp_path / f"control_{index}")
        both = apply_controlnet(*both, net, images[index], strength=strength)
    mine = ours.sampled(*both)
    beside = StableDiffusionControlNetPipeline(
        **pipe.components, controlnet=networks, requires_safety_checker=False
    )
    beside.set_progress_bar_config(disable=True)
    latents, pixels = theirs(
        beside,
        image=[hint(image) for image in images],
        controlnet_conditioning_scale=[0.8, 0.3],
    )
    compare(
        "SD 1.x",
        "two ControlNets",
        "StableDiffusionControlNetPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), pixels),
    )


def beside_xl(kind: Any, pipe: Any, **more: Any) -> Any:
    images = ("image_encoder", "feature_extractor")
    parts = {name: part for name, part in pipe.components.items() if name not in images}
    taken = inspect.signature(kind.__init__).parameters
    if "add_watermarker" in taken:
        more["add_watermarker"] = False
    made = kind(**parts, **more)
    made.set_progress_bar_config(disable=True)
    return made


def test_a_controlnet_of_xl_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import StableDiffusionXLControlNetPipeline

    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path / "model")
    network, image = control_network(pipe), picture(seed=3)
    ours = Ours(tmp_path / "model")
    net = named(ours, network, tmp_path / "control")
    both = apply_controlnet(*prompts(ours), net, image, strength=0.8)
    mine = ours.sampled(*both, guidance=2.0)
    beside = beside_xl(StableDiffusionXLControlNetPipeline, pipe, controlnet=network)
    latents, pixels = theirs(beside, image=hint(image), controlnet_conditioning_scale=0.8, guidance_scale=2.0)
    compare(
        "SDXL",
        "ControlNet",
        "StableDiffusionXLControlNetPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), pixels),
    )


def test_a_union_controlnet_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import ControlNetUnionModel, StableDiffusionXLControlNetUnionPipeline

    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path / "model")
    settings: Any = {
        name: pipe.unet.config[name]
        for name in inspect.signature(ControlNetUnionModel.__init__).parameters
        if name in pipe.unet.config
    }
    network = ControlNetUnionModel(
        **settings, conditioning_embedding_out_channels=(4, 8), num_trans_channel=16, num_proj_channel=16
    )
    network, image = randomised(network, 2), picture(seed=3)
    ours = Ours(tmp_path / "model")
    net = named(ours, network, tmp_path / "control")
    both = apply_controlnet(*prompts(ours), net, image, strength=0.8, kind="line")
    mine = ours.sampled(*both, guidance=2.0)
    beside = beside_xl(StableDiffusionXLControlNetUnionPipeline, pipe, controlnet=network)
    latents, pixels = theirs(
        beside,
        control_image=[hint(image)],
        control_mode=[3],
        controlnet_conditioning_scale=0.8,
        guidance_scale=2.0,
    )
    compare(
        "SDXL",
        "union ControlNet",
        "StableDiffusionXLControlNetUnionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), pixels),
    )


@pytest.mark.parametrize("family", ["SD 1.x", "SDXL"])
def test_an_adapter_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare, family: str) -> None:
    from diffusers import StableDiffusionAdapterPipeline, StableDiffusionXLAdapterPipeline, T2IAdapter

    # The autoencoder halves the sides; adapters of SDXL begin after the first halving of the UNet.
    if family == "SDXL":
        made: Any = StableDiffusionXLAdapterPipeline
        pipe = tiny.stable_diffusion_xl(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )
        kind: dict[str, Any] = {"downscale_factor": 4, "adapter_type": "full_adapter_xl"}
    else:
        made, pipe, kind = StableDiffusionAdapterPipeline, tiny.stable_diffusion(), {"downscale_factor": 2}
    pipe.save_pretrained(tmp_path / "model")
    network = randomised(T2IAdapter(channels=[16, 32], num_res_blocks=1, **kind), 4)
    image = picture(seed=3)
    ours = Ours(tmp_path / "model")
    net = named(ours, network, tmp_path / "control")
    both = apply_controlnet(*prompts(ours), net, image, strength=0.8)
    mine = ours.sampled(*both, guidance=2.0)
    if family == "SDXL":
        beside = beside_xl(made, pipe, adapter=network)
    else:
        parts = {name: part for name, part in pipe.components.items() if name != "image_encoder"}
        beside = made(**parts, adapter=network, requires_safety_checker=False)
        beside.set_progress_bar_config(disable=True)
    latents, pixels = theirs(beside, image=hint(image), adapter_conditioning_scale=0.8, guidance_scale=2.0)
    compare(
        family,
        "T2I-Adapter",
        made.__name__,
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), pixels),
    )
