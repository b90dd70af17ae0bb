from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.conditioning import count_tokens, encode_text, resolve_prompt
from nodes.encoding import encode_text_flux, encode_text_refiner, encode_text_sd3, encode_text_sdxl
from nodes.loaders import Checkpoint, load_checkpoint
from studio.errors import NodeError
from studio.paths import HOME_VARIABLE
from tests.studio.diffusion.bench import context, registry


@pytest.fixture(scope="module")
def parts() -> Checkpoint:
    return load_checkpoint(context())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return tmp_path / "data"


def test_weights_and_readings_change_what_is_said(parts: Checkpoint) -> None:
    said = {
        (text, reading): encode_text(context(), parts.text_encoder, text=text, reading=reading)
        for text, reading in [
            ("a red fox", "comfyui"),
            ("a (red:1.0) fox", "comfyui"),
            ("a (red:1.3) fox", "comfyui"),
            ("a (red:1.3) fox", "a1111"),
            ("a (red:1.3) fox", "plain"),
        ]
    }
    digests = [conditioning.entries[0].digest for conditioning in said.values()]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_clip_skip_counts_layers_from_the_end(parts: Checkpoint) -> None:
    digests = [
        encode_text(context(), parts.text_encoder, text="a fox", clip_skip=skip).entries[0].digest
        for skip in (0, 1, 2, 3)
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_prompts_of_the_first_version_keep_their_brackets() -> None:
    version, params = registry().upgrade("core/encode_text", 1, {"text": "a (fox:1.2)"})
    assert version == 2
    assert params == {"text": "a (fox:1.2)", "reading": "plain"}


def test_embeddings_that_a_prompt_names_are_part_of_the_key(home: Path, parts: Checkpoint) -> None:
    folder = home / "models/embeddings"
    folder.mkdir(parents=True)
    for name in ("mine", "other"):
        save_file({"emb_params": torch.ones(2, 192)}, folder / f"{name}.safetensors")
    mine = str(folder / "mine.safetensors")
    assert encode_text.refs is not None
    knobs = {"text": "a (embedding:mine:1.2), embedding:gone", "reading": "comfyui", "steps": 20}
    assert encode_text.refs(knobs) == [mine]
    assert encode_text.refs({"text": "a Mine fox", "reading": "comfyui"}) == []
    assert encode_text.refs({"text": "a Mine fox", "reading": "a1111"}) == [mine]
    assert encode_text.refs({"text": "embedding:mine", "reading": "plain"}) == []
    assert encode_text_sdxl.refs is not None
    assert encode_text_sdxl.refs({"text_g": "", "text_l": "embedding:mine", "reading": "comfyui"}) == [mine]
    plain = encode_text(context(), parts.text_encoder, text="a fox")
    told = encode_text(context(), parts.text_encoder, text="a embedding:mine fox")
    assert told.entries[0].digest != plain.entries[0].digest
    assert bool(torch.isfinite(told.entries[0].embeddings).all())


def test_an_embedding_of_another_model_is_refused(home: Path, parts: Checkpoint) -> None:
    folder = home / "models/embeddings"
    folder.mkdir(parents=True)
    save_file({"emb_params": torch.ones(2, 768)}, folder / "mine.safetensors")
    with pytest.raises(NodeError, match="of another text encoder: 768 wide, not 192"):
        encode_text(context(), parts.text_encoder, text="embedding:mine")


def test_wildcards_are_drawn_and_part_of_the_key(home: Path) -> None:
    (home / "wildcards").mkdir(parents=True)
    file = home / "wildcards/beast.txt"
    file.write_text("fox\nowl\n")
    assert {resolve_prompt(text="a __beast__ # or what", seed=seed) for seed in range(20)} == {
        "a fox ",
        "a owl ",
    }
    assert resolve_prompt.refs is not None
    assert resolve_prompt.refs({"text": "{a|__beast__}", "seed": 0}) == [str(file)]


def test_tokens_are_counted_as_they_are_encoded(parts: Checkpoint) -> None:
    assert count_tokens(context(), parts.text_encoder, text="") == (0, 1)
    assert count_tokens(context(), parts.text_encoder, text="a (fox:1.2) in a meadow") == (5, 1)
    assert count_tokens(context(), parts.text_encoder, text="fox " * 76) == (76, 2)
    assert count_tokens(context(), parts.text_encoder, text="a BREAK a", reading="a1111") == (2, 2)


def test_sizes_and_guidance_ride_along(parts: Checkpoint) -> None:
    sdxl = encode_text_sdxl(context(), parts.text_encoder, text_l="a fox", width=800, height=600, crop_x=8)
    assert sdxl.entries[0].extra == {"size": [600, 800], "crop": [0, 8], "target": [1024, 1024]}
    refiner = encode_text_refiner(context(), parts.text_encoder, text="a fox", height=512)
    assert refiner.entries[0].extra == {"size": [512, 1024], "crop": [0, 0], "aesthetic": 6.0}
    flux = encode_text_flux(context(), parts.text_encoder, text_l="a fox", guidance=2.5)
    assert flux.entries[0].extra == {"guidance": 2.5}
    words = encode_text_sd3(context(), parts.text_encoder, text_l="a fox", text_g="an owl")
    plain = encode_text(context(), parts.text_encoder, text="a fox")
    assert words.entries[0].digest == plain.entries[0].digest
