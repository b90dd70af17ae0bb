"""Networks in files of their own: denoisers, text encoders, autoencoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nodes.autoencoder import vae_decode, vae_encode
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint, load_diffusion_model, load_text_encoders, load_vae
from studio.errors import NodeError
from studio.paths import assets_dir
from studio.types import Recipe
from tests.studio.diffusion import checkpoints
from tests.studio.diffusion.bench import context, store

STARTER = str(assets_dir() / "starter")


def loaded(recipe: Recipe) -> Any:
    with store().use(context(), recipe) as network:
        return network


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small text encoders that are told apart by their width, as the real ones are."""
    monkeypatch.setattr("studio.models.parts._WIDTHS", {32: "clip_l", 48: "clip_h", 64: "clip_g"})


def test_a_denoiser_is_taken_from_wherever_it_lies(tmp_path: Path) -> None:
    network = checkpoints.unet()
    file = checkpoints.save(tmp_path / "unet.safetensors", ("", checkpoints.original_unet(network)))
    network.save_pretrained(tmp_path / "folder")
    bare = checkpoints.save(tmp_path / "new.safetensors", ("", network.state_dict()))
    for path in (file, bare, tmp_path / "folder"):
        recipe = load_diffusion_model(context(), path=str(path)).recipe
        assert (recipe.family, recipe.part) == ("stable_diffusion", "unet")
        state = loaded(recipe).modules["unet"].state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    whole = load_checkpoint(context(), path=STARTER).model.recipe
    assert load_diffusion_model(context(), path=STARTER).recipe == whole


def test_what_is_no_denoiser_is_told_as_what_it_is(tmp_path: Path) -> None:
    file = checkpoints.save(tmp_path / "vae.safetensors", ("", checkpoints.original_vae(checkpoints.vae())))
    with pytest.raises(NodeError, match=r"vae\.safetensors is a VAE"):
        load_diffusion_model(context(), path=str(file))
    with pytest.raises(NodeError, match="is a VAE, and holds no text encoder"):
        load_text_encoders(context(), first=str(file))


@pytest.mark.usefixtures("widths")
def test_text_encoders_are_put_together_in_any_order(tmp_path: Path) -> None:
    low, high = checkpoints.clip(32), checkpoints.clip(64, projected=True, act="gelu")
    first = checkpoints.save(tmp_path / "l.safetensors", ("", checkpoints.plain_clip(low)))
    second = checkpoints.save(tmp_path / "g.safetensors", ("", checkpoints.plain_clip(high)))
    recipe = load_text_encoders(context(), first=str(second), second=str(first)).recipe
    assert recipe.family == "sdxl"
    assert [(member.part, member.family) for member in recipe.members] == [
        ("clip_l", "clip"),
        ("clip_g", "clip"),
    ]
    encoder = loaded(recipe)
    assert list(encoder.networks) == ["l", "g"]
    row = [49406, 320, 1125, 49407, *(0,) * 73]
    with torch.no_grad():
        hidden, pooled = encoder.networks["g"].encode([row], skip=None, embeddings={})
        wanted = high(torch.tensor([row]), output_hidden_states=True)
    torch.testing.assert_close(pooled, wanted.text_embeds)
    torch.testing.assert_close(hidden, wanted.hidden_states[-2])
    assert list(encoder.modules) == ["clip_l", "clip_g"]
    alone = load_text_encoders(context(), first=str(first)).recipe
    assert alone.family == "stable_diffusion"
    assert alone.members[0] == recipe.members[0]
    with pytest.raises(NodeError, match="There is no CLIP-H among these files, which hold CLIP-L"):
        load_text_encoders(context(), first=str(first), kind="stable_diffusion_2")


def test_the_same_text_encoder_is_loaded_once_for_all_who_use_it() -> None:
    using = store()
    recipe = load_text_encoders(context(), first=STARTER).recipe
    assert recipe == load_checkpoint(context(), path=STARTER).text_encoder.recipe
    with using.use(context(), recipe) as encoder, using.use(context(), recipe.members[0]) as member:
        assert encoder.modules["clip_l"] is member.modules["clip_l"]


def test_a_vae_gives_latents_in_the_scale_of_its_kind(tmp_path: Path) -> None:
    tensors = checkpoints.original_vae(checkpoints.vae())
    plain = str(checkpoints.save(tmp_path / "some.safetensors", ("", tensors)))
    named = str(checkpoints.save(tmp_path / "sdxl_vae.safetensors", ("", tensors)))
    assert load_vae(context(), path=plain).recipe.part == "stable_diffusion"
    assert load_vae(context(), path=named).recipe.part == "sdxl"
    pixels = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    first = loaded(load_vae(context(), path=plain, kind="stable_diffusion").recipe).encode(pixels)
    second = loaded(load_vae(context(), path=plain, kind="sdxl").recipe).encode(pixels)
    torch.testing.assert_close(first / 0.18215, second / 0.13025)
    with pytest.raises(NodeError, match="is a VAE of 4 channels, which is not one of this kind of model"):
        load_vae(context(), path=plain, kind="flux")


def test_a_vae_of_sixteen_channels_is_shifted_too(tmp_path: Path) -> None:
    network = checkpoints.vae(latent_channels=16, use_quant_conv=False, use_post_quant_conv=False)
    path = str(checkpoints.save(tmp_path / "ae.safetensors", ("", checkpoints.original_vae(network))))
    pixels = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.no_grad():
        mode = network.encode(pixels).latent_dist.mode()
    recipe = load_vae(context(), path=path).recipe
    assert recipe.part == "flux"
    torch.testing.assert_close(loaded(recipe).encode(pixels), (mode - 0.1159) * 0.3611, rtol=1e-3, atol=1e-3)
    other = loaded(load_vae(context(), path=path, kind="stable_diffusion_3").recipe)
    torch.testing.assert_close(other.encode(pixels), (mode - 0.0609) * 1.5305, rtol=1e-3, atol=1e-3)


def test_a_tiny_vae_is_read_from_one_file_two_files_or_a_folder(tmp_path: Path) -> None:
    network = checkpoints.tiny_vae()
    state = network.state_dict()
    whole = checkpoints.save(tmp_path / "tiny.safetensors", ("", state))
    network.save_pretrained(tmp_path / "folder")
    halves: dict[str, dict[str, torch.Tensor]] = {"encoder": {}, "decoder": {}}
    for name, tensor in state.items():
        half, _, rest = name.partition(".layers.")
        number, _, end = rest.partition(".")
        halves[half][f"{int(number) + (half == 'decoder')}.{end}"] = tensor
    for half, tensors in halves.items():
        save_file(tensors, tmp_path / f"taesd_{half}.safetensors")
    latent = empty_latent(width=64, height=64)
    results: list[Any] = []
    for path in (whole, tmp_path / "folder", tmp_path / "taesd_decoder.safetensors"):
        vae = load_vae(context(), path=str(path))
        image = vae_decode(context(using=store()), vae, latent)
        results.append((image, vae_encode(context(using=store()), vae, image).samples))
    assert all((image == results[0][0]).all() for image, _ in results)
    assert all(torch.equal(samples, results[0][1]) for _, samples in results)
    assert results[0][1].shape == (1, 4, 8, 8)
    by_encoder = load_vae(context(), path=str(tmp_path / "taesd_encoder.safetensors"))
    assert by_encoder == load_vae(context(), path=str(tmp_path / "taesd_decoder.safetensors"))


def test_what_a_name_decides_enters_the_key() -> None:
    assert load_vae.refs is not None
    assert load_vae.refs({"path": "/models/sdxl_vae.safetensors", "kind": "auto"}) == ["sdxl_vae.safetensors"]
    assert load_vae.refs({"path": "/models/sdxl_vae.safetensors", "kind": "sdxl"}) == []
    halves = load_vae.refs({"path": "/models/taesd_decoder.safetensors", "kind": "sdxl"})
    assert halves == [str(Path("/models/taesd_encoder.safetensors"))]


def test_a_tiny_decoder_alone_decodes_and_says_that_it_cannot_encode(tmp_path: Path) -> None:
    tensors = {
        f"{int(rest.partition('.')[0]) + 1}.{rest.partition('.')[2]}": tensor
        for name, tensor in checkpoints.tiny_vae().state_dict().items()
        for half, _, rest in [name.partition(".layers.")]
        if half == "decoder"
    }
    save_file(tensors, tmp_path / "taesd_decoder.safetensors")
    vae = load_vae(context(), path=str(tmp_path / "taesd_decoder.safetensors"))
    image = vae_decode(context(using=store()), vae, empty_latent(width=64, height=64))
    assert image.shape == (1, 64, 64, 3)
    with pytest.raises(NodeError, match="only decodes"):
        vae_encode(context(using=store()), vae, image)


def test_shards_and_half_precision_of_a_folder_are_read(tmp_path: Path) -> None:
    network = checkpoints.unet()
    network.save_pretrained(tmp_path / "shards", max_shard_size="300KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    network.half().save_pretrained(tmp_path / "half", variant="fp16")
    state = (
        loaded(load_diffusion_model(context(), path=str(tmp_path / "half")).recipe)
        .modules["unet"]
        .state_dict()
    )
    for name, tensor in network.state_dict().items():
        assert torch.equal(state[name], tensor.float())
    shards = loaded(load_diffusion_model(context(), path=str(tmp_path / "shards")).recipe).modules["unet"]
    assert all(
        torch.equal(tensor.half(), network.state_dict()[name]) for name, tensor in shards.state_dict().items()
    )


def test_weights_of_eight_bits_are_widened(tmp_path: Path) -> None:
    tensors = checkpoints.original_unet(checkpoints.unet())
    small = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()}
    path = checkpoints.save(tmp_path / "small.safetensors", ("model.diffusion_model.", small))
    network = loaded(load_diffusion_model(context(), path=str(path)).recipe)
    state = network.modules["unet"].state_dict()
    assert torch.equal(state["conv_in.bias"], small["input_blocks.0.0.bias"].float())
    assert network.source["unet"]["conv_in.bias"].dtype == torch.float8_e4m3fn
