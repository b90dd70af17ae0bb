"""What prompts hold besides words, beside diffusers: embeddings, clip skip, size and crop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.conditioning import encode_text
from nodes.conditioning_changes import zero_conditioning
from nodes.encoding import encode_text_sdxl
from studio.paths import HOME_VARIABLE
from tests.parity import tiny
from tests.parity.both import NEGATIVE, PROMPT, SIDE_PX, Ours, theirs
from tests.parity.conftest import Compare

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    folder = tmp_path / "home/data/models/embeddings"
    folder.mkdir(parents=True)
    return folder


def rows(seed: int) -> torch.Tensor:
    return torch.randn(3, tiny.CROSS, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_an_embedding_acts_as_in_diffusers(tmp_path: Path, embeddings: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path / "model")
    save_file({"emb_params": rows(1)}, embeddings / "mine.safetensors")
    ours = Ours(tmp_path / "model")
    mine = ours.sampled(ours.told("a fox, embedding:mine, in a meadow"))
    pipe.load_textual_inversion({"<mine>": rows(1)}, token="<mine>")
    latents, image = theirs(pipe, prompt="a fox, <mine>, in a meadow")
    compare(
        "SD 1.x",
        "textual inversion of three vectors",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_an_embedding_of_two_text_encoders_acts_as_in_diffusers(
    tmp_path: Path, embeddings: Path, compare: Compare
) -> None:
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path / "model")
    save_file({"clip_l": rows(1), "clip_g": rows(2)}, embeddings / "mine.safetensors")
    ours = Ours(tmp_path / "model")
    mine = ours.sampled(ours.told("a fox, embedding:mine, in a meadow"))
    for number, encoder, tokenizer in (
        (1, pipe.text_encoder, pipe.tokenizer),
        (2, pipe.text_encoder_2, pipe.tokenizer_2),
    ):
        pipe.load_textual_inversion(
            {"<mine>": rows(number)}, token="<mine>", text_encoder=encoder, tokenizer=tokenizer
        )
    latents, image = theirs(pipe, prompt="a fox, <mine>, in a meadow")
    compare(
        "SDXL",
        "textual inversion for both text encoders",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_clip_skip_takes_the_layer_that_diffusers_takes(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    # In diffusers, the negative prompt keeps all layers.
    told = encode_text(ours.ctx, ours.parts.text_encoder, text=PROMPT, clip_skip=2)
    mine = ours.sampled(told, guidance=2.0)
    # diffusers 0.42 looks for the normalisation where transformers 4 had it.
    pipe.text_encoder.__dict__["text_model"] = pipe.text_encoder
    latents, image = theirs(pipe, clip_skip=1, guidance_scale=2.0)
    compare(
        "SD 1.x",
        "clip skip 2",
        "StableDiffusionPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_size_crop_and_two_texts_act_as_in_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    texts = ((PROMPT, "an owl"), (NEGATIVE, "a dog"))
    mine = ours.sampled(
        *(
            encode_text_sdxl(
                ours.ctx,
                ours.parts.text_encoder,
                text_l=first,
                text_g=second,
                width=800,
                height=600,
                crop_x=16,
                crop_y=8,
                target_width=512,
                target_height=256,
            )
            for first, second in texts
        )
    )
    latents, image = theirs(
        pipe,
        prompt_2="an owl",
        negative_prompt_2="a dog",
        original_size=(600, 800),
        crops_coords_top_left=(8, 16),
        target_size=(256, 512),
    )
    compare(
        "SDXL",
        "two texts, size and crop",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )


def test_zeros_for_a_negative_prompt_act_as_in_diffusers(tmp_path: Path, compare: Compare) -> None:
    pipe = tiny.stable_diffusion_xl()
    pipe.save_pretrained(tmp_path)
    ours = Ours(tmp_path)
    mine = ours.sampled(negative=zero_conditioning(ours.told("")))
    pipe.register_to_config(force_zeros_for_empty_prompt=True)
    latents, image = theirs(
        pipe, negative_prompt=None, original_size=(SIDE_PX, SIDE_PX), target_size=(SIDE_PX, SIDE_PX)
    )
    compare(
        "SDXL",
        "zeros instead of a negative prompt",
        "StableDiffusionXLPipeline",
        latents=(mine.samples, latents),
        images=(ours.decoded(mine), image),
    )
