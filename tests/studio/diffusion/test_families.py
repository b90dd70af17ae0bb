"""Every kind of UNet: the same networks from a single file in the first layout and from a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import Checkpoint, load_checkpoint, load_diffusion_model
from nodes.sampling import k_sampler
from studio.diffusion.conditioning import changed, entry
from studio.models.recognise import kind_at
from studio.types import Conditioning
from tests.studio.diffusion import checkpoints
from tests.studio.diffusion.bench import context, store

UNET, VAE = "model.diffusion_model.", "first_stage_model."
LINEAR = {"use_linear_projection": True, "attention_head_dim": 1}
# The base model has no attention at full size, and three resolutions.
XL = {
    **LINEAR,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (2, 2, 2),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}


@dataclass(frozen=True)
class Case:
    family: str
    variant: str
    unet: dict[str, Any]
    levels: int = 2
    prediction: str = "epsilon"
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    vae_levels: int = 4
    texts: tuple[str, ...] = ("l",)


CASES = {
    "1": Case("stable_diffusion", "", {}),
    "1 inpainting": Case("stable_diffusion", "inpainting", {"in_channels": 9}),
    "pix2pix": Case("stable_diffusion", "pix2pix", {"in_channels": 8}),
    "2": Case("stable_diffusion_2", "", LINEAR, texts=("h",)),
    "2 inpainting": Case("stable_diffusion_2", "inpainting", {**LINEAR, "in_channels": 9}, texts=("h",)),
    "2 depth": Case("stable_diffusion_2", "depth", {**LINEAR, "in_channels": 5}, texts=("h",)),
    "2 unclip": Case(
        "stable_diffusion_2",
        "unclip",
        {**LINEAR, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 48},
        prediction="v_prediction",
        texts=("h",),
    ),
    "xl": Case(
        "sdxl",
        "",
        {**XL, "projection_class_embeddings_input_dim": 6 * 256 + 64},
        levels=3,
        texts=("l", "g"),
    ),
    "xl inpainting": Case(
        "sdxl",
        "inpainting",
        {**XL, "projection_class_embeddings_input_dim": 6 * 256 + 64, "in_channels": 9},
        levels=3,
        texts=("l", "g"),
    ),
    "xl refiner": Case(
        "sdxl",
        "refiner",
        {
            **XL,
            "down_block_types": (
                "DownBlock2D",
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "DownBlock2D",
            ),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (2, 2, 2, 2),
            "projection_class_embeddings_input_dim": 5 * 256 + 64,
            "cross_attention_dim": 64,
            "layers_per_block": 2,
        },
        levels=4,
        extra={"aesthetic": 2.5},
        texts=("g",),
    ),
    "x4": Case(
        "x4_upscaler",
        "",
        {
            "use_linear_projection": True,
            "in_channels": 7,
            "num_class_embeds": 50,
            "only_cross_attention": (True, True, False),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "block_out_channels": (32, 64, 96),
            "cross_attention_dim": 96,
        },
        levels=3,
        prediction="v_prediction",
        extra={"noise_level": 20},
        vae_levels=3,
        texts=("h",),
    ),
}
WIDTHS = {"stable_diffusion": 32, "stable_diffusion_2": 64, "x4_upscaler": 96}


def made(place: Path, case: Case) -> tuple[Path, Path]:
    """The same networks as one file in the first layout, and as a folder."""
    width = WIDTHS.get(case.family, 96)
    networks: dict[str, Any] = {
        "unet": checkpoints.unet(**{"context": width, "levels": case.levels, **_context(case)}),
        "vae": checkpoints.vae(levels=case.vae_levels, scaling_factor=_scale(case.family)),
    }
    parts = [
        (UNET, checkpoints.original_unet(networks["unet"])),
        (VAE, checkpoints.original_vae(networks["vae"])),
    ]
    if case.texts[0] == "l":
        networks["text_encoder"] = checkpoints.clip(32)
        before = "conditioner.embedders.0" if case.family == "sdxl" else "cond_stage_model"
        parts.append((f"{before}.transformer.", checkpoints.plain_clip(networks["text_encoder"])))
    if "g" in case.texts:
        networks["text_encoder_2"] = checkpoints.clip(64, projected=True, act="gelu")
        before = f"conditioner.embedders.{len(case.texts) - 1}.model."
        parts.append((before, checkpoints.open_clip(networks["text_encoder_2"])))
    if "h" in case.texts:
        whole = checkpoints.clip(width, layers=3, act="gelu")
        parts.append(("cond_stage_model.model.", checkpoints.open_clip(whole)))
        # The folder's encoder lacks the last layer, which is not used.
        networks["text_encoder"] = checkpoints.clip(width, layers=2, act="gelu")
        state = whole.state_dict()
        networks["text_encoder"].load_state_dict(
            {name: state[name] for name in networks["text_encoder"].state_dict()}
        )
    scheduler: dict[str, Any] = {"prediction_type": case.prediction}
    if case.family == "x4_upscaler":
        scheduler |= {"beta_start": 0.0001, "beta_end": 0.02}
    folder = checkpoints.save_folder(place / "folder", {}, scheduler, **networks)
    return checkpoints.save(place / "file.safetensors", *parts), folder


def _context(case: Case) -> dict[str, Any]:
    settings = dict(case.unet)
    if "cross_attention_dim" in settings:
        settings["context"] = settings.pop("cross_attention_dim")
    return settings


def _scale(family: str) -> float:
    return {"sdxl": 0.13025, "x4_upscaler": 0.08333}.get(family, 0.18215)


def told(parts: Checkpoint, text: str, case: Case) -> Conditioning:
    entries = encode_text(context(), parts.text_encoder, text=text).entries
    return Conditioning(tuple(changed(entry, extra=case.extra) for entry in entries))


def painted(parts: Checkpoint, case: Case) -> torch.Tensor:
    ctx = context(using=store())
    blank = empty_latent(width=64, height=64)
    told_, untold = told(parts, "a fox, running", case), told(parts, "", case)
    return k_sampler(ctx, parts.model, told_, untold, blank, steps=2, guidance=3.0).samples


@pytest.mark.parametrize("name", CASES)
def test_single_file_and_folder_are_the_same_model(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    file, folder = made(tmp_path, case)
    for place in (file, folder):
        kind = kind_at(place)
        assert kind is not None
        assert (kind.type, kind.family, kind.variant) == ("checkpoint", case.family, case.variant)
    whole, apart = (load_checkpoint(context(), path=str(place)) for place in (file, folder))
    assert whole.model.recipe.family == case.family
    samples = painted(whole, case)
    assert bool(samples.isfinite().all())
    assert float(samples.std()) > 0.01
    assert torch.equal(samples, painted(apart, case))
    with store().use(context(), whole.vae.recipe) as one, store().use(context(), apart.vae.recipe) as other:
        latent = samples[:1, :, :4, :4]
        assert torch.equal(one.decode(latent), other.decode(latent))
        assert one.downscale == 2 ** (case.vae_levels - 1)


def test_a_unet_that_is_told_its_guidance_is_told_it_as_its_pipeline_does(tmp_path: Path) -> None:
    from diffusers.models.embeddings import get_timestep_embedding

    network = checkpoints.unet(time_cond_proj_dim=32)
    texts, vae = checkpoints.clip(), checkpoints.vae()
    scheduler = {"prediction_type": "epsilon"}
    folder = checkpoints.save_folder(
        tmp_path / "folder", {}, scheduler, unet=network, text_encoder=texts, vae=vae
    )
    bare = checkpoints.save(tmp_path / "lcm.safetensors", ("", network.state_dict()))
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    tokens = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(5))
    how = get_timestep_embedding(torch.tensor([3.5 - 1]), 32, downscale_freq_shift=1, scale=1000)
    with torch.no_grad():
        wanted = network(noise, 999, tokens, timestep_cond=how).sample
    told_ = entry(tokens, extra={"guidance": 3.5})
    for recipe in (
        load_checkpoint(context(), path=str(folder)).model.recipe,
        load_diffusion_model(context(), path=str(bare)).recipe,
    ):
        with store().use(context(), recipe) as unet, torch.no_grad():
            assert unet.defaults["solver"] == "lcm"
            sigma = unet.sampling.high
            x = noise * (1 + sigma**2) ** 0.5
            found = (x - unet(x, sigma, [told_])[0]) / sigma
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
