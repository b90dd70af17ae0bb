from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint
from nodes.lora import load_lora, load_lora_for_model
from nodes.sampling import k_sampler
from studio.errors import FileError, NodeError
from tests.studio.diffusion.bench import context, tiny_model
from tests.studio.diffusion.checkpoints import original_unet
from tests.studio.diffusion.checkpoints import unet as unet_of
from tests.studio.diffusion.lora import tiny

ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    return load_checkpoint(context(), path=str(tiny_model(tmp_path / "model")))


@pytest.fixture
def file(tmp_path: Path) -> str:
    layers = [(ATTENTION, 8, 8), (TEXT, 32, 16)]
    return str(tiny.saved(tmp_path / "cat.safetensors", tiny.lora(layers)))


def sampled(model: Any, parts: Any, text_encoder: Any = None, ctx: Any = None) -> torch.Tensor:
    ctx = ctx or context()
    told = encode_text(ctx, text_encoder or parts.text_encoder, text="a cat")
    latent = empty_latent(width=64, height=64)
    return k_sampler(ctx, model, told, told, latent, steps=4, guidance=1.0, solver="euler").samples


def test_a_lora_changes_the_picture_and_leaves_the_model_as_it_was(parts: Any, file: str) -> None:
    ctx = context()
    plain = sampled(parts.model, parts)
    adapted = load_lora(ctx, parts.model, parts.text_encoder, path=file)
    assert not torch.allclose(sampled(adapted.model, parts), plain, atol=1e-3)
    assert not torch.allclose(sampled(parts.model, parts, adapted.text_encoder), plain, atol=1e-4)
    assert torch.equal(sampled(parts.model, parts), plain)


def test_strengths_add_up_along_a_chain(parts: Any, file: str) -> None:
    ctx = context()
    once = load_lora_for_model(ctx, parts.model, path=file, strength=1.0)
    twice = load_lora_for_model(ctx, parts.model, path=file, strength=0.5)
    twice = load_lora_for_model(ctx, twice, path=file, strength=0.5)
    assert len(twice.recipe.patches) == 2
    torch.testing.assert_close(sampled(twice, parts), sampled(once, parts), atol=1e-4, rtol=1e-4)


def test_a_lora_may_act_in_a_part_of_the_steps_alone(parts: Any, file: str) -> None:
    ctx = context()
    results = {
        span: sampled(load_lora_for_model(ctx, parts.model, path=file, start=span[0], end=span[1]), parts)
        for span in ((0.0, 1.0), (0.5, 1.0), (0.0, 0.5))
    }
    plain = sampled(parts.model, parts)
    given = [plain, *results.values()]
    assert not any(torch.equal(one, other) for i, one in enumerate(given) for other in given[:i])


def test_a_late_lora_resumes_from_the_steps_before_it(parts: Any, file: str, tmp_path: Path) -> None:
    from studio.cache.store import Store
    from studio.diffusion import tensors

    tensors.register()
    checkpoints = Store(2**28, None)
    calls: list[Any] = []
    late = {
        strength: load_lora_for_model(context(), parts.model, path=file, strength=strength, start=0.5)
        for strength in (0.5, 1.0)
    }
    expected = sampled(late[1.0], parts)
    ctx = context(checkpoints=checkpoints, report=lambda done, total, picture: calls.append(done))
    sampled(late[0.5], parts, ctx=ctx)
    calls.clear()
    assert torch.equal(sampled(late[1.0], parts, ctx=ctx), expected)
    assert 1 not in calls


def test_nothing_to_do_leaves_the_recipe_alone(parts: Any, file: str) -> None:
    given = load_lora(context(), parts.model, parts.text_encoder, path=file, strength=0.0, text_strength=0.0)
    assert (given.model, given.text_encoder) == (parts.model, parts.text_encoder)
    assert load_lora_for_model(context(), parts.model, path=file, start=0.4, end=0.4) == parts.model


def test_where_the_file_lies_is_not_what_it_is(parts: Any, file: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(Path(file).read_bytes())
    here, there = (load_lora_for_model(context(), parts.model, path=str(at)) for at in (file, moved))
    assert here.recipe.key_part == there.recipe.key_part
    other = tiny.saved(tmp_path / "other.safetensors", tiny.lora([(ATTENTION, 8, 8)], alpha=3.0))
    changed = load_lora_for_model(context(), parts.model, path=str(other))
    assert changed.recipe.key_part != here.recipe.key_part


def test_what_cannot_be_is_a_sentence(parts: Any, file: str, tmp_path: Path) -> None:
    ctx = context()
    with pytest.raises(NodeError, match="No LoRA is chosen"):
        load_lora_for_model(ctx, parts.model)
    with pytest.raises(NodeError, match="before it begins"):
        load_lora_for_model(ctx, parts.model, path=file, start=0.6, end=0.5)
    with pytest.raises(NodeError, match="There is no model at"):
        load_lora_for_model(ctx, parts.model, path=str(tmp_path / "gone.safetensors"))
    with pytest.raises(NodeError, match="is a folder"):
        load_lora_for_model(ctx, parts.model, path=str(tmp_path))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(file).read_bytes()[:-10])
    with pytest.raises(FileError, match="cut short"):
        load_lora_for_model(ctx, parts.model, path=str(cut))


def test_a_lora_of_another_family_is_refused(parts: Any, tmp_path: Path) -> None:
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    path = tiny.saved(tmp_path / "xl.safetensors", tiny.lora([(layer, 640, 2048)]))
    with pytest.raises(NodeError, match="made for SDXL, the model is Stable Diffusion 1") as caught:
        load_lora(context(), parts.model, parts.text_encoder, path=str(path))
    assert caught.value.socket == "path"
    unknown = replace(parts.model.recipe, family="acme/own")
    assert load_lora_for_model(context(), replace(parts.model, recipe=unknown), path=str(path)).recipe.patches


def test_a_file_of_another_kind_is_told_as_what_it_is(parts: Any, tmp_path: Path) -> None:
    unet = tmp_path / "fox.safetensors"
    tiny.saved(
        unet, {f"model.diffusion_model.{name}": value for name, value in original_unet(unet_of(32)).items()}
    )
    with pytest.raises(
        NodeError, match=r"fox\.safetensors is a diffusion model \(Stable Diffusion 1\), not a LoRA"
    ):
        load_lora_for_model(context(), parts.model, path=str(unet))
    none = tmp_path / "gone.gguf"
    none.write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 64)
    with pytest.raises(FileError, match=r"gone\.gguf is no GGUF file"):
        load_lora_for_model(context(), parts.model, path=str(none))


def test_naming_a_lora_needs_no_torch(file: str, tmp_path: Path) -> None:
    code = f"""
import sys, threading
from datetime import datetime
from pathlib import Path
from studio.context import Context, RunFacts
from studio.registry import discover
from nodes.loaders import load_checkpoint
from nodes.lora import load_lora_for_model
facts = RunFacts("run", datetime.now(), Path())
ctx = Context("it", facts, threading.Event(), print, print, extensions=discover().extensions)
load_lora_for_model(ctx, load_checkpoint(ctx).model, path={file!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
