"""Pipelines with a LoRA beside our graph with the same file, whole and at another strength."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nodes.conditioning import encode_text
from nodes.lora import load_lora
from studio.diffusion.noise import initial
from tests.parity import test_flux, tiny, tiny_transformers
from tests.parity.both import NEGATIVE, PROMPT, SEED, Ours, theirs
from tests.parity.conftest import Compare

pytest.importorskip("peft")
# diffusers 0.42's Euler scheduler hands a tensor to NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "q_proj", "v_proj", "out_proj", "proj_mlp")


def layers(pipe: Any, part: str) -> Iterator[tuple[str, Any]]:
    for name, module in getattr(pipe, part).named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(ATTENTION):
            yield name, module


def adapter(
    pipe: Any, names: Mapping[str, str], ends: tuple[str, str], flat: bool
) -> dict[str, torch.Tensor]:
    """A LoRA for the attention of the pipeline's parts; `names` says what stands before their layers."""
    generator = torch.Generator().manual_seed(SEED)
    tensors: dict[str, torch.Tensor] = {}
    for part, prefix in names.items():
        for name, module in layers(pipe, part):
            if part.startswith("text") and not name.startswith("text_model."):
                name = f"text_model.{name}"
            layer = prefix + (name.replace(".", "_") if flat else name)
            shapes = ((2, module.in_features), (module.out_features, 2))
            for end, shape in zip(ends, shapes, strict=True):
                tensors[f"{layer}.{end}.weight"] = torch.randn(shape, generator=generator) * 0.2
            if flat:
                tensors[f"{layer}.alpha"] = torch.tensor(1.0)
    return tensors


def fused(pipe: Any, tensors: Mapping[str, torch.Tensor], strength: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers and peft warn of each other
        pipe.load_lora_weights(dict(tensors))
        parts = [part for part in pipe._lora_loadable_modules if getattr(pipe, part, None) is not None]
        pipe.fuse_lora(components=[part for part in parts if part != "text_encoder_3"], lora_scale=strength)


def adapted(ours: Ours, path: Path, strength: float) -> tuple[Any, Any, Any]:
    """The model, and both prompts as the text encoder with the LoRA encodes them."""
    given = load_lora(
        ours.ctx,
        ours.parts.model,
        ours.parts.text_encoder,
        path=str(path),
        strength=strength,
        text_strength=strength,
    )
    told = (encode_text(ours.ctx, given.text_encoder, text=text) for text in (PROMPT, NEGATIVE))
    return given.model, *told


KOHYA = ("lora_down", "lora_up"), True
DIFFUSERS = ("lora_A", "lora_B"), False


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_stable_diffusion_with_a_lora_of_kohya(tmp_path: Path, compare: Compare, strength: float) -> None:
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "model")
    tensors = adapter(pipe, {"unet": "lora_unet_", "text_encoder": "lora_te_"}, *KOHYA)
    save_file(tensors, tmp_path / "lora.safetensors")
    plain, _ = theirs(pipe)
    fused(pipe, tensors, strength)
    latents, image = theirs(pipe)
    assert not torch.allclose(latents, plain, atol=0.05)
    ours = Ours(tmp_path / "model")
    model, positive, negative = adapted(ours, tmp_path / "lora.safetensors", strength)
    mine = ours.sampled(positive, negative, model=model)
    compare(
        "SD 1.x",
        f"LoRA of kohya, strength {strength:g}",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_stable_diffusion_xl_with_a_lora_of_diffusers(
    tmp_path: Path, compare: Compare, strength: float
) -> None:
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path / "model")
    names = {part: f"{part}." for part in ("unet", "text_encoder", "text_encoder_2")}
    tensors = adapter(pipe, names, *DIFFUSERS)
    save_file(tensors, tmp_path / "lora.safetensors")
    fused(pipe, tensors, strength)
    latents, image = theirs(pipe)
    ours = Ours(tmp_path / "model")
    model, positive, negative = adapted(ours, tmp_path / "lora.safetensors", strength)
    mine = ours.sampled(positive, negative, model=model)
    compare(
        "SDXL",
        f"LoRA of diffusers, strength {strength:g}",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_stable_diffusion_3_with_a_lora(tmp_path: Path, compare: Compare, strength: float) -> None:
    pipe = tiny_transformers.stable_diffusion_3()
    pipe.save_pretrained(tmp_path / "model")
    names = {part: f"{part}." for part in ("transformer", "text_encoder", "text_encoder_2")}
    tensors = adapter(pipe, names, *DIFFUSERS)
    save_file(tensors, tmp_path / "lora.safetensors")
    fused(pipe, tensors, strength)
    latents, image = theirs(pipe, latents=initial(test_flux.SHAPE, SEED))
    ours = Ours(tmp_path / "model")
    model, positive, negative = adapted(ours, tmp_path / "lora.safetensors", strength)
    mine = ours.sampled(positive, negative, model=model, schedule="normal")
    compare(
        "SD 3.5 medium",
        f"LoRA of diffusers, strength {strength:g}",
        "StableDiffusion3Pipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_flux_with_a_lora(tmp_path: Path, compare: Compare, strength: float) -> None:
    from nodes.guiders import distilled_guidance

    pipe = tiny_transformers.flux()
    pipe.save_pretrained(tmp_path / "model")
    tensors = adapter(pipe, {"transformer": "transformer.", "text_encoder": "text_encoder."}, *DIFFUSERS)
    save_file(tensors, tmp_path / "lora.safetensors")
    fused(pipe, tensors, strength)
    latents, image = test_flux.run(pipe, prompt=PROMPT, num_inference_steps=5, guidance_scale=2.0)
    ours = Ours(tmp_path / "model")
    model, positive, _ = adapted(ours, tmp_path / "lora.safetensors", strength)
    mine = ours.sampled(distilled_guidance(positive, guidance=2.0), model=model, guidance=1.0)
    compare(
        "Flux.1 dev",
        f"LoRA of diffusers, strength {strength:g}",
        "FluxPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
