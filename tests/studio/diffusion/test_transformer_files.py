"""SD3 and Flux from every kind of file, through the nodes a person uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch

from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import load_checkpoint, load_diffusion_model, load_text_encoders
from nodes.lora import load_lora_for_model
from nodes.sampling import k_sampler
from studio.diffusion.conditioning import entry
from studio.errors import FileError, NodeError
from studio.types import Model, TextEncoder
from tests.studio.diffusion import checkpoints
from tests.studio.diffusion import transformer_checkpoints as made
from tests.studio.diffusion.bench import context, store

MAKERS = {"sd3": made.sd3, "flux": made.flux}


@pytest.fixture(scope="module", params=["sd3", "flux"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> made.Files:
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param))


def loaded(recipe: Any) -> Any:
    with store().use(context(), recipe) as network:
        return network


def painted(model: Model, texts: TextEncoder) -> torch.Tensor:
    ctx = context(using=store())
    told = encode_text(ctx, texts, text="a fox in a meadow")
    blank = empty_latent(width=64, height=64)
    return k_sampler(
        ctx, model, told, told, blank, steps=2, guidance=1.0, solver="euler", schedule="simple"
    ).samples


def test_a_whole_file_has_the_weights_it_was_made_of(files: made.Files) -> None:
    parts = load_checkpoint(context(), path=str(files.whole()))
    network = loaded(parts.model.recipe)
    found, wanted = network.modules["transformer"].state_dict(), files.transformer.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert all(torch.equal(network.source["transformer"][key], wanted[key]) for key in wanted)
    words = loaded(parts.text_encoder.recipe)
    assert torch.equal(words.modules["t5"].shared.weight, files.t5.shared.weight)
    assert loaded(parts.vae.recipe).channels == network.channels == 16


def test_rows_of_fused_projections_stay_mapped(files: made.Files) -> None:
    network = loaded(load_checkpoint(context(), path=str(files.whole())).model.recipe)
    name = "transformer_blocks.0.attn.to_k.weight"
    weight = network.modules["transformer"].state_dict()[name]
    assert weight.data_ptr() == network.source["transformer"][name].data_ptr()


def test_files_apart_paint_what_the_whole_file_paints(files: made.Files) -> None:
    parts = load_checkpoint(context(), path=str(files.whole()))
    transformer, *texts = files.apart()
    model = load_diffusion_model(context(), path=str(transformer))
    names = ("first", "second", "third")
    kind: Any = "flux" if files.g is None else "stable_diffusion_3"
    given = {name: str(path) for name, path in zip(names, texts, strict=False)}
    encoder = load_text_encoders(context(), kind=kind, **given)
    whole = painted(parts.model, parts.text_encoder)
    # Where a weight begins in its file decides which sums are added first.
    assert torch.allclose(whole, painted(model, encoder), atol=1e-4)
    assert whole.std() > 0.1


def test_a_pipelines_folder_has_the_same_transformer(files: made.Files, tmp_path: Path) -> None:
    files.transformer.save_pretrained(tmp_path / "transformer")
    whole = loaded(load_diffusion_model(context(), path=str(files.whole())).recipe)
    apart = loaded(load_diffusion_model(context(), path=str(tmp_path / "transformer")).recipe)
    ours, theirs = (network.modules["transformer"].state_dict() for network in (whole, apart))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    settings = dict(apart.modules["transformer"].config)
    for name, value in whole.modules["transformer"].config.items():
        if name not in ("sample_size", "out_channels") and not name.startswith("_"):
            theirs_too = settings[name]
            assert value == (tuple(theirs_too) if isinstance(value, tuple) else theirs_too), name


def test_a_file_under_the_names_of_diffusers_has_the_same_transformer(
    files: made.Files, tmp_path: Path
) -> None:
    wanted = files.transformer.state_dict()
    file = checkpoints.save(tmp_path / "transformer.safetensors", ("transformer.", wanted))
    network = loaded(load_diffusion_model(context(), path=str(file)).recipe)
    found = network.modules["transformer"].state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_a_packed_file_gives_what_diffusers_makes_of_it(tmp_path: Path) -> None:
    from diffusers import GGUFQuantizationConfig, SD3Transformer2DModel

    files = made.sd3(tmp_path)
    files.transformer.save_pretrained(tmp_path / "transformer")
    path = made.packed(tmp_path / "model.gguf", files.original, "sd3", gguf.GGMLQuantizationType.Q5_0)
    theirs: Any = SD3Transformer2DModel.from_single_file(
        str(path),
        config=str(tmp_path),
        subfolder="transformer",
        quantization_config=GGUFQuantizationConfig(compute_dtype=torch.float32),
        dtype=torch.float32,
    )
    told = entry(torch.randn(1, 6, made.WIDTH * 2 + 16), torch.randn(1, made.WIDTH * 2))
    x = torch.randn(1, 16, 8, 8)
    with torch.no_grad():
        wanted = theirs(
            hidden_states=x,
            encoder_hidden_states=told.embeddings,
            pooled_projections=told.pooled,
            timestep=torch.tensor([500.0]),
            return_dict=False,
        )[0]
        found = loaded(load_diffusion_model(context(), path=str(path)).recipe)(x, 0.5, [told])[0]
    assert torch.allclose(found, x - wanted * 0.5, atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_eighths_paint_nearly_the_same(files: made.Files, tmp_path: Path, scaled: bool) -> None:
    small: dict[str, torch.Tensor] = {}
    for name, tensor in files.original.items():
        if not name.endswith("weight") or tensor.ndim != 2:
            small[name] = tensor
            continue
        scale = tensor.abs().max() / 448 if scaled else torch.tensor(1.0)
        small[name] = (tensor / scale).to(torch.float8_e4m3fn)
        if scaled:
            small[name.removesuffix("weight") + "scale_weight"] = scale
    if scaled:
        small["scaled_fp8"] = torch.empty(2, dtype=torch.float8_e4m3fn)
    file = checkpoints.save(tmp_path / "fp8.safetensors", ("model.diffusion_model.", small))
    network = loaded(load_diffusion_model(context(), path=str(file)).recipe)
    for name, tensor in network.modules["transformer"].state_dict().items():
        wanted = files.transformer.state_dict()[name]
        assert tensor.dtype == torch.float32
        assert (tensor - wanted).abs().max() <= 0.07 * wanted.abs().max() + 1e-6, name


def test_the_projection_of_a_lone_clip_l_is_passed_over(tmp_path: Path) -> None:
    files = made.sd3(tmp_path)
    _, low, high, words = (str(path) for path in files.apart())
    pooled: list[torch.Tensor] = []
    for projection in (True, False):
        if not projection:
            plain = checkpoints.plain_clip(files.l)
            plain.pop("text_projection.weight")
            low = str(checkpoints.save(tmp_path / "plain.safetensors", ("", plain)))
        texts = load_text_encoders(context(), kind="stable_diffusion_3", first=low, second=high, third=words)
        given = encode_text(context(using=store()), texts, text="a fox").entries[0].pooled
        assert given is not None
        pooled.append(given)
    assert torch.equal(*pooled)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_packed_files_stay_packed_and_paint_nearly_the_same(
    files: made.Files, tmp_path: Path, kind: str
) -> None:
    arch = "flux" if files.g is None else "sd3"
    path = made.packed(tmp_path / "model.gguf", files.original, arch, gguf.GGMLQuantizationType[kind])
    model = load_diffusion_model(context(), path=str(path))
    network = loaded(model.recipe)
    layer = network.modules["transformer"].transformer_blocks[0].attn.to_q
    assert layer.weight.dtype == torch.uint8
    assert network.nbytes < loaded(load_diffusion_model(context(), path=str(files.whole())).recipe).nbytes
    texts = load_checkpoint(context(), path=str(files.whole())).text_encoder
    plain = painted(load_diffusion_model(context(), path=str(files.whole())), texts)
    found = painted(model, texts)
    apart = (found - plain).std() / plain.std()
    assert 0 < apart < (0.1 if kind == "Q8_0" else 0.6)


def test_a_pickled_transformer_is_converted_and_paints_the_same(files: made.Files, tmp_path: Path) -> None:
    torch.save({"state_dict": files.original}, tmp_path / "model.ckpt")
    network = loaded(load_diffusion_model(context(), path=str(tmp_path / "model.ckpt")).recipe)
    wanted = files.transformer.state_dict()
    found = network.modules["transformer"].state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_a_missing_vocabulary_is_told_when_the_prompt_is_read(files: made.Files, tmp_path: Path) -> None:
    t5 = dict(files.t5.state_dict())
    t5.pop("encoder.embed_tokens.weight")
    words = checkpoints.save(tmp_path / "t5xxl_fp16.safetensors", ("", t5))
    clip = checkpoints.save(tmp_path / "clip_l.safetensors", ("", checkpoints.plain_clip(files.l)))
    kind: Any = "flux" if files.g is None else "stable_diffusion_3"
    encoder = load_text_encoders(context(), kind=kind, first=str(words), second=str(clip))
    with pytest.raises(NodeError, match="vocabulary of T5 is missing") as told:
        encode_text(context(using=store()), encoder, text="a fox")
    assert "spiece.model" in told.value.remedy


def test_a_lacking_weight_and_a_cut_file_are_sentences(files: made.Files, tmp_path: Path) -> None:
    lacking = dict(files.original)
    lacking.pop("final_layer.linear.bias")
    file = checkpoints.save(tmp_path / "lacking.safetensors", ("", lacking))
    with pytest.raises(NodeError, match=r"proj_out\.bias"):
        loaded(load_diffusion_model(context(), path=str(file)).recipe)
    whole = file.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="cut short"):
        load_diffusion_model(context(), path=str(tmp_path / "cut.safetensors"))
    packed = made.packed(tmp_path / "m.gguf", files.original, "flux", gguf.GGMLQuantizationType.Q8_0)
    packed.write_bytes(packed.read_bytes()[:-5000])
    with pytest.raises(FileError, match="cut short"):
        load_diffusion_model(context(), path=str(packed))


def adapter(files: made.Files, path: Path) -> Path:
    """A LoRA of rank 2 on one projection of every block, under PEFT's names."""
    random = torch.Generator().manual_seed(6)
    tensors: dict[str, torch.Tensor] = {}
    for name, layer in files.transformer.named_modules():
        if name.endswith("attn.to_q"):
            tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(2, layer.in_features, generator=random)
            tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(
                layer.out_features, 2, generator=random
            )
    return checkpoints.save(path, ("", tensors))


@pytest.mark.parametrize("ending", ["gguf", "safetensors"])
def test_a_lora_acts_on_packed_weights_too_and_is_taken_off_exactly(
    files: made.Files, tmp_path: Path, ending: str
) -> None:
    path = files.whole()
    if ending == "gguf":
        path = made.packed(tmp_path / "m.gguf", files.original, "flux", gguf.GGMLQuantizationType.Q8_0)
    ctx = context(using=store())
    plain = load_diffusion_model(ctx, path=str(path))
    changed = load_lora_for_model(ctx, plain, path=str(adapter(files, tmp_path / "lora.safetensors")))
    told = entry(torch.ones(1, 4, made.WIDTH * 2 + 16), None)
    x, name = torch.randn(1, 16, 8, 8), "transformer_blocks.0.attn.to_q.weight"
    estimates: list[torch.Tensor] = []
    for model in (plain, changed, plain):
        with ctx.weights.use(ctx, model.recipe) as network, torch.inference_mode():
            estimates.append(network(x, 0.7, [told])[0])
            source = network.source["transformer"][name].float()
            weight = network.modules["transformer"].get_parameter(name)
            if model is changed:
                assert (weight.float() - source).abs().max() > 1e-3
    assert torch.equal(estimates[0], estimates[2])
    assert (estimates[0] - estimates[1]).abs().max() > 1e-4


@pytest.mark.parametrize("ending", ["gguf", "safetensors"])
def test_a_unet_that_is_packed_or_scaled_is_unpacked(tmp_path: Path, ending: str) -> None:
    unet = checkpoints.unet()
    original = checkpoints.original_unet(unet)
    if ending == "gguf":
        path = made.packed(tmp_path / "unet.gguf", original, "sd1", gguf.GGMLQuantizationType.Q8_0)
    else:
        small = {name: tensor for name, tensor in original.items() if tensor.ndim != 2}
        for name in original.keys() - small.keys():
            scale = original[name].abs().max() / 448
            small[name] = (original[name] / scale).to(torch.float8_e4m3fn)
            small[name.removesuffix("weight") + "scale_weight"] = scale
        small["scaled_fp8"] = torch.empty(2, dtype=torch.float8_e4m3fn)
        path = checkpoints.save(tmp_path / "unet.safetensors", ("model.diffusion_model.", small))
    network = loaded(load_diffusion_model(context(), path=str(path)).recipe)
    wanted = unet.state_dict()
    found = network.modules["unet"].state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32
        assert (tensor - wanted[name]).abs().max() <= 0.07 * wanted[name].abs().max() + 1e-6, name
    assert any(not torch.equal(tensor, wanted[name]) for name, tensor in found.items())


def test_what_a_packed_file_takes_is_known_before(files: made.Files, tmp_path: Path) -> None:
    from studio.diffusion.memory.predict import recipe_bytes

    path = made.packed(tmp_path / "m.gguf", files.original, "flux", gguf.GGMLQuantizationType.Q8_0)
    recipe = load_diffusion_model(context(), path=str(path)).recipe
    assert recipe_bytes(recipe, "float32") == pytest.approx(loaded(recipe).nbytes, rel=0.02)
