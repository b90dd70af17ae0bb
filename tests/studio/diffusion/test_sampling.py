from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.latent import empty_latent
from nodes.loaders import Checkpoint, load_checkpoint
from studio.cache.store import Store
from studio.diffusion import tensors
from studio.diffusion.sampling import Settings, sample
from studio.errors import Cancelled, NodeError
from studio.events import Picture
from studio.types import Conditioning, Latent, Model, Patch
from tests.studio.diffusion.bench import context, store, tiny_model

SETTINGS = Settings(seed=3, steps=6, guidance=3.0, solver="euler_ancestral", schedule="karras", denoise=1.0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(context(), path=str(tiny_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def prompts(parts: Checkpoint) -> tuple[Conditioning, Conditioning]:
    ctx = context()
    first, second = (encode_text(ctx, parts.text_encoder, text=text) for text in ("a fox", "a castle"))
    return first, second


@pytest.fixture
def canvas() -> Latent:
    return empty_latent(width=16, height=16, batch=2)


Prompts = tuple[Conditioning, Conditioning]


def test_same_seed_gives_the_same_bits(parts: Checkpoint, prompts: Prompts, canvas: Latent) -> None:
    first, second = (sample(context(), parts.model, *prompts, canvas, SETTINGS) for _ in range(2))
    assert torch.equal(first.samples, second.samples)
    other = sample(context(), parts.model, *prompts, canvas, replace(SETTINGS, seed=4))
    assert not torch.equal(first.samples, other.samples)


def test_result_is_a_plain_cpu_tensor_with_the_models_shape(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    made = sample(context(), parts.model, *prompts, canvas, SETTINGS)
    # The tiny model shrinks by 2 where an empty latent provisionally counts 8.
    assert made.samples.shape == (2, 4, 8, 8)
    assert (made.downscale, made.blank) == (2, False)
    assert made.samples.dtype == torch.float32
    assert not made.samples.is_inference()


def test_killed_between_steps_it_resumes_bit_for_bit(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    tensors.register()
    kept = Store(2**20, None)
    flag = threading.Event()

    def stop(done: int, total: int, picture: Picture | None) -> None:
        if done == 4:
            flag.set()

    with pytest.raises(Cancelled):
        sample(
            context(report=stop, checkpoints=kept, cancelled=flag), parts.model, *prompts, canvas, SETTINGS
        )
    steps: list[int] = []
    again = context(report=lambda done, total, picture: steps.append(done), checkpoints=kept)
    resumed = sample(again, parts.model, *prompts, canvas, SETTINGS)
    assert steps == [0, 4, 5, 6]
    unbroken = sample(context(), parts.model, *prompts, canvas, SETTINGS)
    assert torch.equal(resumed.samples, unbroken.samples)


def test_cancel_acts_inside_a_step(parts: Checkpoint, prompts: Prompts, canvas: Latent) -> None:
    looks = 0

    class Flag(threading.Event):
        def is_set(self) -> bool:
            nonlocal looks
            looks += 1
            return looks > 6

    reported: list[int] = []
    ctx = context(report=lambda done, total, picture: reported.append(done), cancelled=Flag())
    with pytest.raises(Cancelled):
        sample(ctx, parts.model, *prompts, canvas, SETTINGS)
    assert reported == [0]


def test_guidance_of_one_never_asks_for_the_negative(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    plain = replace(SETTINGS, guidance=1.0)
    first = sample(context(), parts.model, prompts[0], prompts[1], canvas, plain)
    second = sample(context(), parts.model, prompts[0], prompts[0], canvas, plain)
    assert torch.equal(first.samples, second.samples)


def test_prompts_of_different_length_go_together(parts: Checkpoint, prompts: Prompts, canvas: Latent) -> None:
    ctx = context()
    long = encode_text(ctx, parts.text_encoder, text="a fox in a meadow, " * 30)
    assert long.entries[0].embeddings.shape[1] == 77 * 3
    made = sample(ctx, parts.model, long, prompts[1], canvas, SETTINGS)
    short = sample(ctx, parts.model, prompts[0], prompts[1], canvas, SETTINGS)
    assert not torch.equal(made.samples, short.samples)


def test_no_denoise_leaves_the_latent_as_it_is(parts: Checkpoint, prompts: Prompts) -> None:
    latent = Latent(torch.rand(1, 4, 8, 8), 2)
    made = sample(context(), parts.model, *prompts, latent, replace(SETTINGS, denoise=0.0))
    assert torch.equal(made.samples, latent.samples)


def test_little_denoise_stays_nearer_than_much(parts: Checkpoint, prompts: Prompts) -> None:
    latent = Latent(torch.rand(1, 4, 8, 8), 2)
    far = [
        float((sample(context(), parts.model, *prompts, latent, replace(SETTINGS, denoise=part)).samples
               - latent.samples).abs().mean())
        for part in (0.1, 0.9)
    ]  # fmt: skip
    assert far[0] < far[1]


@pytest.mark.parametrize("solver", ["euler", "heun", "dpmpp_2m", "euler_ancestral", "lms"])
def test_mask_keeps_the_latent_where_it_is_zero(parts: Checkpoint, prompts: Prompts, solver: str) -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, :, 4:] = 1
    latent = Latent(torch.rand(2, 4, 8, 8), 2, mask)
    made = sample(context(), parts.model, *prompts, latent, replace(SETTINGS, solver=solver))
    assert torch.allclose(made.samples[..., :4], latent.samples[..., :4], atol=1e-5)
    assert not torch.allclose(made.samples[..., 4:], latent.samples[..., 4:], atol=0.1)


def test_latent_of_another_family_is_refused(parts: Checkpoint, prompts: Prompts) -> None:
    with pytest.raises(NodeError, match="16 channels") as caught:
        sample(context(), parts.model, *prompts, Latent(torch.rand(1, 16, 8, 8), 8), SETTINGS)
    assert caught.value.socket == "latent"


def test_conditioning_of_another_width_is_refused(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    entry = replace(prompts[0].entries[0], embeddings=torch.rand(1, 77, 24), digest="wide")
    with pytest.raises(NodeError, match="24 wide"):
        sample(context(), parts.model, Conditioning((entry,)), prompts[1], canvas, SETTINGS)


def test_prompt_that_ends_early_leaves_a_sentence(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    entry = replace(prompts[0].entries[0], span=(0.0, 0.5))
    with pytest.raises(NodeError, match="No prompt acts"):
        sample(context(), parts.model, Conditioning((entry,)), prompts[1], canvas, SETTINGS)


def test_unknown_solver_is_a_sentence(parts: Checkpoint, prompts: Prompts, canvas: Latent) -> None:
    with pytest.raises(NodeError, match="no solver “warp”"):
        sample(context(), parts.model, *prompts, canvas, replace(SETTINGS, solver="warp"))


def test_previews_are_small_pictures(parts: Checkpoint, prompts: Prompts, canvas: Latent) -> None:
    pictures: list[Picture] = []
    ctx = context(report=lambda done, total, picture: pictures.append(picture) if picture else None)
    sample(ctx, parts.model, *prompts, canvas, SETTINGS)
    assert pictures
    assert (pictures[0].width, pictures[0].height, len(pictures[0].rgb)) == (8, 8, 8 * 8 * 3)


def test_weights_are_shared_and_the_oldest_go_first(parts: Checkpoint, prompts: Prompts) -> None:
    small = store(budget_bytes=1)
    ctx = context(using=small)
    with small.use(ctx, parts.vae.recipe) as vae:
        pass
    with small.use(ctx, parts.vae.recipe) as again:
        assert again is vae
    moved = replace(parts.vae.recipe, path="/elsewhere")
    with small.use(ctx, moved) as same:
        assert same is vae
    held = small.held_bytes
    with small.use(ctx, parts.text_encoder.recipe):
        assert 0 < small.held_bytes != held
    with small.use(ctx, parts.vae.recipe) as reloaded:
        assert reloaded is not vae
    small.clear()
    assert small.held_bytes == 0


def test_loading_looks_whether_it_was_cancelled(parts: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.diffusion.files import loading

    monkeypatch.setattr(loading, "_LOOK_BYTES", 1)
    flag = threading.Event()
    flag.set()
    fresh = store()
    with pytest.raises(Cancelled), fresh.use(context(cancelled=flag, using=fresh), parts.model.recipe):
        pass
    assert fresh.held_bytes == 0


def test_model_that_lost_a_tensor_says_so(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_model(tmp_path)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights.pop("decoder.conv_in.bias")
    save_file(weights, file)
    fresh = store()
    recipe = load_checkpoint(context(), path=str(folder)).vae.recipe
    missing = r"missing, decoder\.conv_in\.bias"
    with pytest.raises(NodeError, match=missing), fresh.use(context(using=fresh), recipe):
        pass


def test_model_that_changed_since_it_was_named_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    recipe = load_checkpoint(context(), path=str(folder)).vae.recipe
    settings = folder / "vae" / "config.json"
    settings.write_text(settings.read_text().replace("0.3", "0.4"))
    fresh = store()
    with pytest.raises(NodeError, match="is another than when"), fresh.use(context(using=fresh), recipe):
        pass
    with (
        pytest.raises(NodeError, match="has gone"),
        fresh.use(context(using=fresh), replace(recipe, path=str(tmp_path / "nowhere"))),
    ):
        pass


def test_half_the_bits_give_nearly_the_same_latent(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    half = store()
    half.place = replace(half.place, dtype="bfloat16")
    whole = replace(SETTINGS, solver="euler", steps=4)
    made = [
        sample(context(using=using), parts.model, *prompts, canvas, whole).samples for using in (None, half)
    ]
    assert made[1].dtype == torch.float32
    assert not torch.equal(made[0], made[1])
    assert float((made[0] - made[1]).abs().mean()) < 0.05 * float(made[0].std())


def test_folder_may_bring_its_own_colours_for_previews(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path)
    (folder / "vae" / "preview.json").write_text("[[0,0,0],[0,0,0],[0,0,0],[0,0,0],[1,0.5,0]]")
    pictures: list[Picture] = []
    ctx = context(report=lambda done, total, picture: pictures.append(picture) if picture else None)
    parts = load_checkpoint(ctx, path=str(folder))
    said = encode_text(ctx, parts.text_encoder, text="a fox")
    sample(ctx, parts.model, said, said, empty_latent(width=16, height=16), SETTINGS)
    assert pictures[0].rgb[:3] == bytes([255, 128, 0])


def test_a_patch_of_the_denoiser_acts_in_its_range_alone(
    parts: Checkpoint, prompts: Prompts, canvas: Latent
) -> None:
    def patched(span: tuple[float, float]) -> Model:
        recipe = parts.model.recipe
        weighed = Patch("freeu", params={"b1": 1.5, "b2": 1.6, "s1": 0.5, "s2": 0.2}, span=span)
        return Model(replace(recipe, patches=(weighed,)))

    tensors.register()
    kept = Store(2**22, None)
    reported: list[int] = []
    ctx = context(checkpoints=kept, report=lambda done, total, picture: reported.append(done))
    plain = sample(ctx, parts.model, *prompts, canvas, SETTINGS)
    late = sample(ctx, patched((0.6, 1.0)), *prompts, canvas, SETTINGS)
    assert 0 < reported[reported.index(6) + 2] < 5
    assert torch.equal(
        late.samples, sample(context(), patched((0.6, 1.0)), *prompts, canvas, SETTINGS).samples
    )
    assert not torch.equal(late.samples, plain.samples)
    assert torch.equal(sample(context(), parts.model, *prompts, canvas, SETTINGS).samples, plain.samples)
