from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.autoencoder import vae_decode
from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import Checkpoint, load_checkpoint
from nodes.sampling import k_sampler
from studio.diffusion.weights import WeightsStore
from studio.errors import Cancelled, FileError, NodeError
from studio.types import Recipe
from tests.studio.diffusion import checkpoints
from tests.studio.diffusion.bench import context, store

OLD = ("model.diffusion_model.", "cond_stage_model.transformer.", "first_stage_model.")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Stable Diffusion 1 as one file and as a folder, of the same networks."""
    place = tmp_path_factory.mktemp("first")
    networks = {"unet": checkpoints.unet(), "text_encoder": checkpoints.clip(), "vae": checkpoints.vae()}
    parts = (
        checkpoints.original_unet(networks["unet"]),
        checkpoints.plain_clip(networks["text_encoder"]),
        checkpoints.original_vae(networks["vae"]),
    )
    file = checkpoints.save(place / "first.safetensors", *zip(OLD, parts, strict=True))
    folder = checkpoints.save_folder(place / "folder", {}, {}, **networks)
    return file, folder, networks


def loaded(recipe: Recipe, using: WeightsStore | None = None) -> Any:
    with (using or store()).use(context(), recipe) as network:
        return network


def painted(parts: Checkpoint) -> torch.Tensor:
    using = store()
    ctx = context(using=using)
    told = encode_text(ctx, parts.text_encoder, text="a fox (in snow:1.2)")
    untold = encode_text(ctx, parts.text_encoder, text="")
    blank = empty_latent(width=64, height=64)
    return k_sampler(ctx, parts.model, told, untold, blank, steps=2, guidance=3.0).samples


def test_single_file_has_the_weights_it_was_made_of(first: tuple[Path, Path, dict[str, Any]]) -> None:
    file, _, networks = first
    parts = load_checkpoint(context(), path=str(file))
    unet, vae = loaded(parts.model.recipe), loaded(parts.vae.recipe)
    words = loaded(parts.text_encoder.recipe)
    for network, name, folder in (
        (unet, "unet", "unet"),
        (vae, "vae", "vae"),
        (words, "clip_l", "text_encoder"),
    ):
        found, wanted = network.modules[name].state_dict(), networks[folder].state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
        assert all(torch.equal(network.source[name][key], wanted[key]) for key in wanted)


def test_single_file_and_folder_give_the_same_picture(first: tuple[Path, Path, dict[str, Any]]) -> None:
    file, folder, _ = first
    whole, apart = (load_checkpoint(context(), path=str(path)) for path in (file, folder))
    samples = painted(whole)
    assert torch.equal(samples, painted(apart))
    latent = empty_latent(width=64, height=64)
    pixels = [vae_decode(context(using=store()), parts.vae, latent) for parts in (whole, apart)]
    assert (pixels[0] == pixels[1]).all()


def test_weights_of_a_single_file_stay_mapped(first: tuple[Path, Path, dict[str, Any]]) -> None:
    unet = loaded(load_checkpoint(context(), path=str(first[0])).model.recipe)
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    weight, origin = unet.modules["unet"].state_dict()[name], unet.source["unet"][name]
    assert weight.data_ptr() == origin.data_ptr()


def test_loading_a_single_file_can_be_cancelled(
    first: tuple[Path, Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr("studio.diffusion.files.loading._LOOK_BYTES", 1)
    cancelled = threading.Event()
    recipe = load_checkpoint(context(), path=str(first[0])).model.recipe
    loaded(recipe)
    cancelled.set()
    with pytest.raises(Cancelled), store().use(context(cancelled=cancelled), recipe):
        raise AssertionError("loaded all the same")


def test_a_file_without_text_encoder_says_which_node_helps(
    first: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    tensors = checkpoints.original_unet(first[2]["unet"])
    file = checkpoints.save(tmp_path / "part.safetensors", (OLD[0], tensors))
    with pytest.raises(NodeError, match="has no text encoder and no VAE") as caught:
        load_checkpoint(context(), path=str(file))
    assert "Load text encoders" in caught.value.remedy


def test_an_alien_file_is_named_where_it_is_known(tmp_path: Path) -> None:
    file = checkpoints.save(tmp_path / "alien.safetensors", ("motion_modules.", {"a": torch.zeros(1)}))
    with pytest.raises(NodeError, match="AnimateDiff"):
        load_checkpoint(context(), path=str(file))


def test_a_tensor_of_another_shape_is_a_sentence(
    first: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    tensors = checkpoints.original_unet(first[2]["unet"])
    tensors["out.2.bias"] = torch.zeros(7)
    parts = [(OLD[0], tensors), (OLD[1], checkpoints.plain_clip(first[2]["text_encoder"]))]
    parts.append((OLD[2], checkpoints.original_vae(first[2]["vae"])))
    recipe = load_checkpoint(
        context(), path=str(checkpoints.save(tmp_path / "odd.safetensors", *parts))
    ).model.recipe
    with pytest.raises(NodeError, match=r"conv_out\.bias is \[7\], not \[4\]"):
        loaded(recipe)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "odd.safetensors").read_bytes()[:-100])
    with pytest.raises(FileError, match="cut short"):
        load_checkpoint(context(), path=str(tmp_path / "cut.safetensors"))


def test_a_text_encoder_of_another_vocabulary_is_a_sentence(
    first: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    parts = [checkpoints.original_unet(first[2]["unet"]), checkpoints.plain_clip(first[2]["text_encoder"])]
    name = "text_model.embeddings.token_embedding.weight"
    parts[1][name] = parts[1][name][:1000]
    parts.append(checkpoints.original_vae(first[2]["vae"]))
    file = checkpoints.save(tmp_path / "small.safetensors", *zip(OLD, parts, strict=True))
    recipe = load_checkpoint(context(), path=str(file)).text_encoder.recipe
    with pytest.raises(NodeError, match="knows 1,000 tokens, its vocabulary has 49,408"):
        loaded(recipe)
