from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.loaders import Checkpoint, load_checkpoint
from studio.diffusion.prompt import weighted
from studio.diffusion.prompt_chunks import Chunk, chunks
from studio.diffusion.prompt_reading import Reading
from studio.diffusion.tokenizer import clip
from studio.paths import assets_dir
from tests.studio.diffusion.bench import context


class Network:
    """A text network that gives, for every token, its id and the place in its row."""

    width = 2

    def __init__(self) -> None:
        self.tokenizer = clip()
        self.rows = 0

    def check(self) -> None: ...

    def encode(
        self, ids: Sequence[Sequence[int]], *, skip: int | None, embeddings: Mapping[int, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.rows = len(ids)
        rows = torch.tensor(ids, dtype=torch.float32)
        return torch.stack([rows, torch.arange(rows.shape[1]).expand_as(rows)], -1), rows[:, :2]


def read(prompt: str, reading: Reading = "comfyui") -> tuple[list[Chunk], torch.Tensor, int]:
    network = Network()
    made = chunks(prompt, network.tokenizer, reading)
    hidden, _ = weighted(network, made, reading, None)
    return made, hidden[0], network.rows


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


def test_a1111_scales_tokens_and_brings_each_chunk_back_to_its_mean() -> None:
    plain = read("a fox BREAK there", "a1111")[1]
    _, hidden, rows = read("a (fox:2) BREAK there", "a1111")
    assert rows == 2
    first, second = hidden[:77], hidden[77:]
    assert first.mean().item() == pytest.approx(plain[:77].mean().item())
    assert (first[2] / first[1]).tolist() == pytest.approx((2 * plain[2] / plain[1]).tolist())
    assert torch.equal(second, plain[77:])


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
