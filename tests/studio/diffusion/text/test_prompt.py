from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file

from nodes.conditioning import encode_text
from nodes.loaders import Checkpoint, load_checkpoint
from studio.context import Context
from studio.diffusion.text.chunks import Chunk, chunks
from studio.diffusion.text.prompt import Texts, encode, weighted
from studio.diffusion.text.reading import Reading
from studio.diffusion.text.tokenizer import clip
from studio.errors import NodeError
from studio.paths import HOME_VARIABLE, assets_dir
from studio.types import ConditioningEntry, Recipe, TextEncoder
from tests.studio.diffusion.bench import context


class Network:
    """A text network that gives, for every token, its id (or an embedding's first value) and its place."""

    width = 2

    def __init__(self, pad: int | None = None) -> None:
        self.tokenizer = clip(pad=pad)
        self.calls: list[int] = []

    def check(self) -> None: ...

    def encode(
        self, ids: Sequence[Sequence[int]], *, skip: int | None, embeddings: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.append(len(ids))
        rows = torch.tensor([[embeddings[it][0] if it < 0 else it for it in row] for row in ids])
        return torch.stack([rows.float(), torch.arange(77.0).expand_as(rows)], -1), rows[:, :2].float()


class Encoder:
    """Two networks side by side, lent as the weights store lends them."""

    def __init__(self) -> None:
        self.networks = {"l": Network(), "g": Network(pad=0)}

    def check(self) -> None: ...

    def join(
        self, outputs: Mapping[str, tuple[torch.Tensor, torch.Tensor | None]]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return torch.cat([hidden for hidden, _ in outputs.values()], -1), outputs["g"][1]

    @contextmanager
    def use(self, ctx: Context, recipe: Recipe) -> Generator[Encoder]:
        yield self


WIRE = TextEncoder(Recipe("", "", "text_encoder", ""))


def encoded(text: Texts, **settings: Any) -> tuple[tuple[ConditioningEntry, ...], Encoder]:
    encoder = Encoder()
    made = encode(WIRE, text, context(using=cast("Any", encoder)), **settings)
    return made.entries, encoder


def read(prompt: str, reading: Reading = "comfyui") -> tuple[list[Chunk], torch.Tensor, int]:
    network = Network()
    made = chunks(prompt, network.tokenizer, reading)
    hidden, _ = weighted(network, made, reading, None)
    return made, hidden[0], network.calls[0]


def test_weights_move_tokens_away_from_the_empty_prompt() -> None:
    made, hidden, rows = read("a (fox:1.5) (there:-1)")
    ids = [token for token, _ in made[0]]
    assert rows == 2
    assert hidden[1, 0] == ids[1]
    assert hidden[2, 0] == (ids[2] - 49407) * 1.5 + 49407
    assert hidden[3, 0] == -(ids[3] - 49407) + 49407
    assert hidden[:, 1].tolist() == list(range(77))


def test_without_weights_the_empty_prompt_is_not_encoded() -> None:
    for reading in ("comfyui", "a1111"):
        made, hidden, rows = read("a fox (there:1.0)", reading)
        assert rows == 1
        assert hidden[:, 0].tolist() == [token for token, _ in made[0]]


def test_chunks_stand_in_a_row_and_the_first_gives_the_pooled() -> None:
    network = Network()
    made = chunks("word " * 80, network.tokenizer)
    hidden, pooled = weighted(network, made, "comfyui", None)
    assert hidden.shape == (1, 154, 2)
    assert pooled is not None
    assert pooled.tolist() == [[49406, 2653]]


def test_a_very_long_prompt_is_encoded_in_parts() -> None:
    network = Network()
    made = chunks("word (heavy:1.5) " * 1000, network.tokenizer)
    hidden, pooled = weighted(network, made, "comfyui", None)
    assert network.calls == [16, 12]
    assert hidden.shape == (1, 27 * 77, 2)
    assert hidden[0, 26 * 77, 0] == 49406
    assert pooled is not None
    assert pooled.shape == (1, 2)


@pytest.mark.parametrize("weight", ["nan", "inf", "1e999"])
def test_a_weight_that_is_no_number_is_told_in_a_sentence(weight: str) -> None:
    with pytest.raises(NodeError, match="A weight in the prompt is infinite, or no number"):
        read(f"a (fox:{weight})")


def test_a1111_scales_tokens_and_brings_each_chunk_back_to_its_mean() -> None:
    plain = read("a fox BREAK there", "a1111")[1]
    _, hidden, rows = read("a (fox:2) BREAK there", "a1111")
    assert rows == 2
    first, second = hidden[:77], hidden[77:]
    assert first.mean().item() == pytest.approx(plain[:77].mean().item())
    assert (first[2] / first[1]).tolist() == pytest.approx((2 * plain[2] / plain[1]).tolist())
    assert torch.equal(second, plain[77:])


def test_networks_are_told_their_own_text_in_as_many_chunks() -> None:
    (entry,), _ = encoded({"l": "word " * 80, "g": "fox"})
    assert entry.embeddings.shape == (1, 154, 4)
    assert entry.embeddings[0, 77:80, 0].tolist() == [49406, 2653, 2653]
    assert entry.embeddings[0, 77:80, 2].tolist() == [49406, 49407, 0]
    assert entry.pooled is not None
    assert entry.pooled.tolist() == [[49406, 3240]]


def test_a1111_schedules_become_entries_with_ranges() -> None:
    entries, encoder = encoded("a [fox|(dog:1)] [:x:0.5]", reading="a1111", steps=4)
    assert [entry.span for entry in entries] == [
        (0.0, pytest.approx(0.2425)),
        (pytest.approx(0.2425), pytest.approx(0.4925)),
        (pytest.approx(0.4925), 0.5),
        (0.5, pytest.approx(0.7425)),
        (pytest.approx(0.7425), 1.0),
    ]
    assert [len(network.calls) for network in encoder.networks.values()] == [4, 4]
    assert entries[0].digest == entries[2].digest
    assert len({entry.digest for entry in entries}) == 4


def test_prompts_that_act_together_become_entries_with_weights() -> None:
    entries, _ = encoded("a [fox:dog:0.5] AND b :0.5", reading="a1111")
    assert [(entry.span, entry.strength) for entry in entries] == [
        ((0.0, 0.5), 1.0),
        ((0.5, 1.0), 1.0),
        ((0.0, 1.0), 0.5),
    ]
    (plain,), _ = encoded("b", reading="a1111")
    assert torch.equal(entries[2].embeddings, plain.embeddings)
    assert entries[2].digest != plain.digest
    assert len(encoded("a AND b")[0]) == 1
    with pytest.raises(NodeError, match="weighs -1; it must weigh more than 0"):
        encoded("a AND b:-1", reading="a1111")


def test_in_the_default_reading_brackets_are_words() -> None:
    entries, _ = encoded("a [fox|dog] [:x:0.5]")
    assert [entry.span for entry in entries] == [(0.0, 1.0)]


def test_what_a_family_is_told_besides_is_part_of_the_digest() -> None:
    (plain,), _ = encoded("a")
    (told,), _ = encoded("a", extra={"guidance": 3.5})
    assert told.extra == {"guidance": 3.5}
    assert told.digest != plain.digest


def test_an_embedding_takes_the_place_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    folder = tmp_path / "data/models/embeddings"
    folder.mkdir(parents=True)
    rows = torch.tensor([[7.0, 0.0], [8.0, 0.0]])
    save_file({"clip_l": rows, "clip_g": rows + 2}, folder / "mine.safetensors")
    for reading, text in (("comfyui", "a (embedding:mine:2) b"), ("a1111", "a mine b")):
        (entry,), _ = encoded(text, reading=reading)
        places = entry.embeddings[0, 1:5, [0, 2]].tolist()
        factor = 2 if reading == "comfyui" else 1
        empty = (49407, 0) if reading == "comfyui" else (0, 0)
        wanted = [
            [(row - nil) * factor + nil for row, nil in zip(pair, empty, strict=True)]
            for pair in ((7, 9), (8, 10))
        ]
        assert places == [[320, 320], *wanted, [321, 321]]
    with pytest.raises(NodeError, match="There is no embedding “yours”"):
        encoded("embedding:yours")


@pytest.fixture(scope="module")
def parts() -> Checkpoint:
    return load_checkpoint(context())


def test_starter_encodes_as_transformers_does(parts: Checkpoint) -> None:
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = assets_dir() / "starter"
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    ids = tokenizer("A Fox,  in a meadow", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        wanted = encoder(ids)
    made = encode_text(context(), parts.text_encoder, text="A Fox,  in a meadow").entries[0]
    assert torch.allclose(made.embeddings, wanted.last_hidden_state, atol=1e-5)
    assert made.pooled is not None
    assert torch.allclose(made.pooled, wanted.pooler_output, atol=1e-5)


def test_digest_tells_prompts_apart(parts: Checkpoint) -> None:
    first, again, other = (
        encode_text(context(), parts.text_encoder, text=text).entries[0].digest
        for text in ("a fox", "a fox", "a cat")
    )
    assert first == again != other


def test_special_tokens_in_a_prompt_break_nothing(parts: Checkpoint) -> None:
    made = encode_text(context(), parts.text_encoder, text="a fox <|endoftext|> <|startoftext|> in snow")
    assert made.entries[0].embeddings.shape == (1, 77, 192)
    assert not made.entries[0].embeddings.is_inference()
