"""ControlNets of Flux and SD3, Redux, and pictures beside the latents of Flux, beside their pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nodes.control import apply_controlnet, load_controlnet
from nodes.guiders import distilled_guidance
from nodes.image_conditioning import edit_conditioning, inpaint_model_conditioning, reference_latent
from nodes.image_prompts import apply_style_model, encode_image, load_clip_vision, load_style_model
from studio.diffusion.noise import initial
from studio.types import Conditioning
from tests.parity import tiny_transformers as tiny
from tests.parity.both import NEGATIVE, PROMPT, SEED, SIDE_PX, Ours, picture, theirs
from tests.parity.conftest import Compare
from tests.parity.test_flux import SHAPE, run
from tests.studio.diffusion.controls import randomised

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore:.*FluxPosEmbed:FutureWarning"
)


def pixels(image: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()


def told(ours: Ours, guidance: float) -> Conditioning:
    return distilled_guidance(ours.told(PROMPT), guidance=guidance)


def flux_network(seed: int, **settings: Any) -> Any:
    from diffusers import FluxControlNetModel

    plain: dict[str, Any] = {
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "joint_attention_dim": tiny.TEXT_WIDTH,
        "pooled_projection_dim": tiny.CROSS,
        "guidance_embeds": True,
        "axes_dims_rope": (4, 14, 14),
    }
    return randomised(FluxControlNetModel(**(plain | settings)), seed)


@pytest.mark.parametrize(
    ("what", "settings", "mode", "kind"),
    [
        ("ControlNet", {}, None, "auto"),
        (
            "ControlNet without single blocks",
            {"num_single_layers": 0, "guidance_embeds": False},
            None,
            "auto",
        ),
        ("union ControlNet", {"num_mode": 5}, 2, "depth"),
    ],
)
def test_a_controlnet_of_flux_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare, what: str, settings: dict[str, Any], mode: int | None, kind: Any
) -> None:
    from diffusers import FluxControlNetPipeline

    network = flux_network(5, **settings)
    network.save_pretrained(tmp_path / "control")
    pipe = tiny.quiet(FluxControlNetPipeline(**tiny.flux_parts(), controlnet=network))
    tiny.flux().save_pretrained(tmp_path / "model")
    image = picture(seed=3)
    latents, painted = run(
        pipe,
        prompt=PROMPT,
        num_inference_steps=5,
        guidance_scale=2.0,
        control_image=pixels(image) * 2 - 1,
        control_mode=mode,
        controlnet_conditioning_scale=0.6,
    )
    ours = Ours(tmp_path / "model")
    net = load_controlnet(ours.ctx, path=str(tmp_path / "control"))
    positive = apply_controlnet(
        told(ours, 2.0), None, net, image, ours.parts.vae, strength=0.6, kind=kind
    ).positive
    mine = ours.sampled(positive=positive, guidance=1.0)
    compare(
        "Flux.1 dev",
        what,
        "FluxControlNetPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


@pytest.mark.parametrize(
    ("what", "settings"),
    [
        ("ControlNet", {"joint_attention_dim": tiny.TEXT_WIDTH, "caption_projection_dim": 32}),
        (
            "ControlNet without words and positions of its own",
            {
                "joint_attention_dim": None,
                "use_pos_embed": False,
                "pos_embed_type": None,
                "force_zeros_for_pooled_projection": False,
            },
        ),
    ],
)
def test_a_controlnet_of_stable_diffusion_3_gives_the_latents_of_diffusers(
    tmp_path: Path, compare: Compare, what: str, settings: dict[str, Any]
) -> None:
    from diffusers import SD3ControlNetModel, StableDiffusion3ControlNetPipeline

    pipe = tiny.stable_diffusion_3(large=True)
    pipe.save_pretrained(tmp_path / "model")
    network = randomised(
        SD3ControlNetModel(
            sample_size=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            pooled_projection_dim=2 * tiny.CROSS,
            pos_embed_max_size=24,
            **settings,
        ),
        3,
    )
    network.save_pretrained(tmp_path / "control")
    parts = {name: part for name, part in pipe.components.items() if "image_encoder" not in name}
    parts.pop("feature_extractor", None)
    beside = tiny.quiet(StableDiffusion3ControlNetPipeline(**parts, controlnet=network))
    image = picture(seed=3)
    latents, painted = theirs(
        beside,
        latents=initial(SHAPE, SEED),
        control_image=pixels(image) * 2 - 1,
        controlnet_conditioning_scale=0.7,
    )
    ours = Ours(tmp_path / "model")
    net = load_controlnet(ours.ctx, path=str(tmp_path / "control"))
    both = apply_controlnet(ours.told(PROMPT), ours.told(NEGATIVE), net, image, ours.parts.vae, strength=0.7)
    mine = ours.sampled(*both, schedule="normal")
    compare(
        "SD 3.5 large",
        what,
        "StableDiffusion3ControlNetPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_repainting_by_a_controlnet_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import SD3ControlNetModel, StableDiffusion3ControlNetInpaintingPipeline

    pipe = tiny.stable_diffusion_3(large=True)
    pipe.save_pretrained(tmp_path / "model")
    network = randomised(
        SD3ControlNetModel(
            sample_size=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=tiny.TEXT_WIDTH,
            caption_projection_dim=32,
            pooled_projection_dim=2 * tiny.CROSS,
            pos_embed_max_size=24,
            extra_conditioning_channels=1,
        ),
        3,
    )
    network.save_pretrained(tmp_path / "control")
    parts = {name: part for name, part in pipe.components.items() if "image_encoder" not in name}
    parts.pop("feature_extractor", None)
    beside = tiny.quiet(StableDiffusion3ControlNetInpaintingPipeline(**parts, controlnet=network))
    image, repaint = picture(seed=3), np.zeros((1, SIDE_PX, SIDE_PX), np.float32)
    repaint[:, 6:20, 8:26] = 1
    latents, painted = theirs(
        beside,
        latents=initial(SHAPE, SEED),
        control_image=pixels(image) * 2 - 1,
        control_mask=torch.from_numpy(repaint)[None],
        controlnet_conditioning_scale=0.7,
    )
    ours = Ours(tmp_path / "model")
    net = load_controlnet(ours.ctx, path=str(tmp_path / "control"))
    told_both = ours.told(PROMPT), ours.told(NEGATIVE)
    both = apply_controlnet(*told_both, net, image, ours.parts.vae, None, repaint, strength=0.7)
    mine = ours.sampled(*both, schedule="normal")
    compare(
        "SD 3.5 large",
        "ControlNet for repainting",
        "StableDiffusion3ControlNetInpaintingPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_fill_by_node_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxFillPipeline

    # Its mask has one channel for each pixel that a latent pixel stands for: 4 here, 64 in the real one.
    pipe = tiny.quiet(FluxFillPipeline(**tiny.flux_parts(in_channels=64 + 64 + 16, out_channels=64)))
    pipe.save_pretrained(tmp_path)
    image = picture()
    mask = np.zeros((1, SIDE_PX, SIDE_PX), np.float32)
    mask[:, 5:21, 8:30] = 1
    latents, painted = run(
        pipe,
        prompt=PROMPT,
        image=pixels(image),
        mask_image=torch.from_numpy(mask)[None],
        num_inference_steps=5,
        guidance_scale=30.0,
    )
    ours = Ours(tmp_path)
    shown = inpaint_model_conditioning(ours.ctx, told(ours, 30.0), None, ours.parts.vae, image, mask)
    mine = ours.sampled(shown.positive, guidance=1.0)
    compare(
        "Flux.1 Fill",
        "inpainting, by node",
        "FluxFillPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_canny_and_depth_by_node_give_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxControlPipeline

    pipe = tiny.quiet(FluxControlPipeline(**tiny.flux_parts(in_channels=128, out_channels=64)))
    pipe.save_pretrained(tmp_path)
    image = picture()
    latents, painted = run(
        pipe, prompt=PROMPT, control_image=pixels(image) * 2 - 1, num_inference_steps=5, guidance_scale=30.0
    )
    ours = Ours(tmp_path)
    shown = edit_conditioning(ours.ctx, told(ours, 30.0), None, ours.parts.vae, image)
    mine = ours.sampled(shown.positive, guidance=1.0)
    compare(
        "Flux.1 Canny, Depth",
        "control, by node",
        "FluxControlPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_kontext_by_node_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxKontextPipeline

    pipe = tiny.quiet(FluxKontextPipeline(**tiny.flux_parts()))
    pipe.save_pretrained(tmp_path)
    latents, painted = run(
        pipe,
        prompt=PROMPT,
        image=pixels(picture()),
        num_inference_steps=5,
        guidance_scale=2.5,
        max_area=SIDE_PX**2,
        _auto_resize=False,
    )
    ours = Ours(tmp_path)
    shown = reference_latent(told(ours, 2.5), ours.encoded(picture()))
    mine = ours.sampled(shown, guidance=1.0)
    compare(
        "Flux.1 Kontext",
        "editing, by node",
        "FluxKontextPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )


def test_redux_gives_the_latents_of_diffusers(tmp_path: Path, compare: Compare) -> None:
    from diffusers import FluxPriorReduxPipeline
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from transformers import SiglipVisionConfig, SiglipVisionModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    torch.manual_seed(8)
    eye = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=1,
            intermediate_size=96,
            image_size=28,
            patch_size=14,
        )
    ).eval()
    redux = ReduxImageEncoder(redux_dim=64, txt_in_features=tiny.TEXT_WIDTH).eval()
    eye.save_pretrained(tmp_path / "eye")
    save_file(redux.state_dict(), tmp_path / "redux.safetensors")
    pipe = tiny.flux()
    pipe.save_pretrained(tmp_path / "model")
    ours = Ours(tmp_path / "model")
    image = picture(40, seed=3)
    vision = load_clip_vision(ours.ctx, path=str(tmp_path / "eye"))
    style = load_style_model(ours.ctx, path=str(tmp_path / "redux.safetensors"))
    embeds = encode_image(ours.ctx, vision, image)
    mine = ours.sampled(apply_style_model(ours.ctx, told(ours, 2.5), style, embeds), guidance=1.0)
    prior = FluxPriorReduxPipeline(
        image_encoder=eye,
        feature_extractor=SiglipImageProcessorPil(size={"height": 28, "width": 28}),
        image_embedder=redux,
        **{
            name: pipe.components[name]
            for name in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
        },
    )
    from PIL import Image

    shown = Image.fromarray((image[0] * 255).round().astype(np.uint8))
    with torch.no_grad():
        words, pooled = prior(shown, prompt=PROMPT, return_dict=False)
    latents, painted = run(
        pipe, prompt_embeds=words, pooled_prompt_embeds=pooled, num_inference_steps=5, guidance_scale=2.5
    )
    compare(
        "Flux.1 Redux",
        "image variations",
        "FluxPriorReduxPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), painted),
    )
