from __future__ import annotations

import pytest
import torch

from nodes.conditioning import encode_text
from nodes.loaders import Checkpoint, load_checkpoint
from studio.diffusion.prompt import chunks
from studio.paths import assets_dir
from tests.studio.diffusion.bench import context


class Letters:
    """An encoder whose tokens are letters."""

    window, begin, end, pad = 6, 100, 101, 102

    def check(self) -> None: ...

    def tokens(self, text: str) -> list[int]:
        return [ord(letter) - ord("a") for letter in text]

    def encode(self, chunks: list[list[int]]) -> tuple[torch.Tensor, None]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", [[100, 101, 102, 102, 102, 102]]),
        ("ab", [[100, 0, 1, 101, 102, 102]]),
        ("abcd", [[100, 0, 1, 2, 3, 101]]),
        ("abcde", [[100, 0, 1, 2, 3, 101], [100, 4, 101, 102, 102, 102]]),
    ],
)
def test_text_is_cut_into_windows(text: str, wanted: list[list[int]]) -> None:
    assert chunks(Letters(), text) == wanted


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
