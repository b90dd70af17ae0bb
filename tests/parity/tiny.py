"""Small random pipelines of diffusers, one of each kind, and folders that they are saved in."""

from __future__ import annotations

from typing import Any

import torch

from studio.paths import assets_dir

CROSS = 32
"""Width of what the small text encoders give."""


def unet(*, cross: int = CROSS, **settings: Any) -> Any:
    """A UNet of two levels; `settings` are those of diffusers."""
    from diffusers import UNet2DConditionModel

    plain: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": cross,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    torch.manual_seed(0)
    return UNet2DConditionModel(**(plain | settings)).eval()


def unet_xl(*, cross: int = 2 * CROSS, pooled: int = CROSS, sizes: int = 6, **settings: Any) -> Any:
    """A UNet that is told sizes and a pooled text beside the tokens, as Stable Diffusion XL's is."""
    plain: dict[str, Any] = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 8 * sizes + pooled,
        "use_linear_projection": True,
        "transformer_layers_per_block": (1, 2),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": (2, 4),
    }
    return unet(cross=cross, **(plain | settings))


def vae(channels: int = 4, **settings: Any) -> Any:
    """An autoencoder that halves the sides."""
    from diffusers import AutoencoderKL

    torch.manual_seed(1)
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        **({"scaling_factor": 0.3} | settings),
    ).eval()


def clip(*, projected: bool = False, seed: int = 2, act: str = "quick_gelu", pad: int = 49407) -> Any:
    """A CLIP text encoder of two layers over the whole vocabulary."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    settings = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=CROSS,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        projection_dim=CROSS,
        hidden_act=act,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=pad,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(settings).eval()


def tokenizer(pad: str = "<|endoftext|>") -> Any:
    """CLIP's tokenizer."""
    from transformers import CLIPTokenizer

    folder = assets_dir() / "configs/clip"
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token=pad, model_max_length=77
    )


def scheduler(prediction: str = "epsilon", **settings: Any) -> Any:
    """Euler over the schedule that ours calls ``simple``, where the steps divide 1,000."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        timestep_spacing="trailing",
        steps_offset=1,
        **settings,
    )


def stable_diffusion(prediction: str = "epsilon", **settings: Any) -> Any:
    """A StableDiffusionPipeline; `settings` are those of its UNet."""
    from diffusers import StableDiffusionPipeline

    return quiet(
        StableDiffusionPipeline(
            vae=vae(),
            text_encoder=clip(),
            tokenizer=tokenizer(),
            unet=unet(**settings),
            scheduler=scheduler(prediction),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def stable_diffusion_xl(**settings: Any) -> Any:
    """A StableDiffusionXLPipeline; `settings` are those of its UNet."""
    from diffusers import StableDiffusionXLPipeline

    return quiet(
        StableDiffusionXLPipeline(
            vae=vae(),
            text_encoder=clip(),
            text_encoder_2=clip(projected=True, seed=3, act="gelu"),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(pad="!"),
            unet=unet_xl(**settings),
            scheduler=scheduler(),
            add_watermarker=False,
        )
    )


def refiner() -> Any:
    """A StableDiffusionXLImg2ImgPipeline with one text encoder, as the refiner has."""
    from diffusers import StableDiffusionXLImg2ImgPipeline

    return quiet(
        StableDiffusionXLImg2ImgPipeline(
            vae=vae(),
            text_encoder=None,
            text_encoder_2=clip(projected=True, seed=3, act="gelu"),
            tokenizer=None,
            tokenizer_2=tokenizer(pad="!"),
            unet=unet_xl(
                cross=CROSS,
                sizes=5,
                block_out_channels=(16, 16, 32, 32),
                down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 2, "DownBlock2D"),
                up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
                attention_head_dim=(2, 2, 4, 4),
                transformer_layers_per_block=1,
            ),
            scheduler=scheduler(),
            requires_aesthetics_score=True,
            add_watermarker=False,
        )
    )


def times_four() -> Any:
    """A StableDiffusionUpscalePipeline."""
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionUpscalePipeline

    plain = stable_diffusion("v_prediction", in_channels=7, num_class_embeds=1000, use_linear_projection=True)
    parts = {name: plain.components[name] for name in ("text_encoder", "unet", "scheduler")}
    return quiet(
        StableDiffusionUpscalePipeline(
            **parts,
            tokenizer=tokenizer(pad="!"),
            vae=AutoencoderKL(
                block_out_channels=(8, 8, 8),
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                norm_num_groups=4,
                scaling_factor=0.08333,
            ),
            low_res_scheduler=DDPMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="scaled_linear"),
        )
    )


def unclip(encoder: Any, processor: Any, seen: int) -> Any:
    """A StableUnCLIPImg2ImgPipeline over an image encoder that gives `seen` numbers."""
    from diffusers import DDPMScheduler, StableUnCLIPImg2ImgPipeline
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
        StableUnCLIPImageNormalizer,
    )

    plain = stable_diffusion(
        "v_prediction",
        use_linear_projection=True,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=2 * seen,
    )
    statistics = StableUnCLIPImageNormalizer(seen)
    generator = torch.Generator().manual_seed(6)
    statistics.mean.data = torch.randn(1, seen, generator=generator)
    statistics.std.data = torch.rand(1, seen, generator=generator) + 0.5
    parts = {name: plain.components[name] for name in ("vae", "text_encoder", "unet", "scheduler")}
    return quiet(
        StableUnCLIPImg2ImgPipeline(
            **parts,
            tokenizer=tokenizer(pad="!"),
            image_encoder=encoder,
            feature_extractor=processor,
            image_normalizer=statistics,
            image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        )
    )


def quiet(pipe: Any) -> Any:
    """The pipeline without a progress bar."""
    pipe.set_progress_bar_config(disable=True)
    return pipe
