from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from nodes.loaders import load_checkpoint
from studio.diffusion.memory.predict import recipe_bytes
from studio.types import Recipe
from tests.studio.diffusion.bench import context, store, tiny_model


def test_the_size_of_every_part_is_known_before_it_is_loaded(tmp_path: Path) -> None:
    weights = store()
    ctx = context(using=weights)
    parts = load_checkpoint(ctx, path=str(tiny_model(tmp_path / "model")))
    for recipe in (parts.model.recipe, parts.vae.recipe, *parts.text_encoder.recipe.members):
        with weights.use(ctx, recipe) as network:
            assert recipe_bytes(recipe, "float32") == network.nbytes
            assert recipe_bytes(recipe, "bfloat16") == network.nbytes / 2


def test_of_a_file_with_several_networks_only_the_part_counts(tmp_path: Path) -> None:
    from studio.models.recognise import kind_at

    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "model.diffusion_model.input_blocks.1.1.proj_in.weight": (320, 320, 1, 1),
        "model.diffusion_model.time_embed.0.weight": (1280, 320),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (100, 768),
    }
    path = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, path)
    kind = kind_at(path)
    assert kind is not None
    counts = {part: recipe_bytes(Recipe(str(path), "", part, "x"), "bfloat16") for part in kind.parts}
    assert counts["vae"] == 2 * 512 * 4 * 9
    assert counts["clip_l"] == 2 * 100 * 768
    assert counts["unet"] == 2 * (320 * 36 + 320 * 768 + 320 * 320 + 1280 * 320)


def test_what_needs_no_file_takes_nothing() -> None:
    assert recipe_bytes(Recipe("", "", "text_encoder", "x"), "float32") == 0
