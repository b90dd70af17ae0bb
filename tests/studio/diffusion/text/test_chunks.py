from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.diffusion.text.chunks import Token, chunks, empty, names_in
from studio.diffusion.text.tokenizer import clip

REFERENCE = Path(__file__).parents[3] / "data/prompts_reference.json"
CASES = json.loads(REFERENCE.read_text("utf-8"))
PROMPTS = st.text("(()):.1-25eabB,[]\\ \n|", max_size=60) | st.text(max_size=30)


class Letters:
    """A tokenizer whose tokens are letters, in windows of six."""

    def __init__(self, window: int = 6, least: int = 6, begin: int | None = 1) -> None:
        self.window, self.least, self.begin, self.end, self.pad = window, least, begin, 2, 3

    def tokens(self, text: str) -> list[int]:
        return [ord(letter) for letter in text if letter.isalpha() or letter == ","]

    def piece(self, token: int) -> str:
        return chr(token)


def told(made: Sequence[Sequence[Token]]) -> list[str]:
    marks = {1: "<", 2: ">", 3: "."}
    return [
        "".join(marks.get(token, "*" if token < 0 else chr(token)) for token, _ in chunk) for chunk in made
    ]


@pytest.mark.parametrize("case", CASES, ids=[case["prompt"][:30] for case in CASES])
def test_the_reference_comes_out_as_it_is(case: dict[str, object]) -> None:
    made = [[list(token) for token in chunk] for chunk in chunks(str(case["prompt"]), clip())]
    assert made == [[[token, pytest.approx(weight)] for token, weight in chunk] for chunk in case["chunks"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("", ["<>...."]),
        ("abcd", ["<abcd>"]),
        ("abcde", ["<abcd>", "<e>..."]),
        ("abcdefgh", ["<abcd>", "<efgh>"]),
        ("abcdefghi", ["<abcd>", "<efgh>", "<i>..."]),
        ("(ab)(cde)", ["<ab>..", "<cde>."]),
        ("(ab)(cdefghijk)", ["<abcd>", "<efgh>", "<ijk>."]),
    ],
)
def test_short_stretches_move_and_long_ones_are_cut(prompt: str, wanted: list[str]) -> None:
    assert told(chunks(prompt, Letters())) == wanted


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("", ["<>...."]),
        ("abcde", ["<abcd>", "<e>..."]),
        ("a,bcde", ["<a,>..", "<bcde>"]),
        ("a BREAK b", ["<a>...", "<b>..."]),
        ("BREAK BREAK b", ["<>....", "<>....", "<b>..."]),
        ("a BREAK", ["<a>..."]),
        ("(a:2)[b]", ["<ab>.."]),
    ],
)
def test_a1111_goes_back_to_a_comma_and_breaks(prompt: str, wanted: list[str]) -> None:
    assert told(chunks(prompt, Letters(), "a1111")) == wanted


def test_a_tokenizer_without_begin_or_padding_is_served() -> None:
    long = Letters(window=99, least=4, begin=None)
    assert told(chunks("ab", long)) == ["ab>."]
    assert told(chunks("abcdefgh", long)) == ["abcdefgh>"]
    assert told(chunks("abcdefghijkl", Letters(window=9, least=4, begin=None))) == ["abcdefgh>", "ijkl>...."]
    assert empty(long) == [2, 3, 3, 3]
    assert empty(long, 6) == [2, 3, 3, 3, 3, 3]


def test_embeddings_stand_where_they_are_named() -> None:
    vectors = {"x": [-1, -2], "y": [-3]}
    made = chunks("a (embedding:x, b:2) embedding:y", Letters(12, 12), find=vectors.__getitem__)
    assert [token for token in made[0] if token[0] < 0] == [(-1, 2.0), (-2, 2.0), (-3, 1.0)]
    assert told(made) == ["<a**,b*>...."]
    assert told(chunks("embedding:x", Letters(30, 0))) == ["<embeddingx>"]
    assert told(chunks("noembedding:x", Letters(30, 0), find=vectors.__getitem__)) == ["<noembeddingx>"]
    assert list(names_in("a (embedding:x,:2) embedding: y[1], embedding: no(embedding:z)")) == [
        "x",
        "y",
        "no",
        "z",
    ]


def test_a1111_knows_embeddings_by_bare_names_the_longest_first() -> None:
    vectors = {"ab": [-1], "abc": [-2, -3]}
    made = chunks("xabcd ab", Letters(12, 12), "a1111", vectors.__getitem__, tuple(vectors))
    assert [token for token, _ in made[0][1:7]] == [ord("x"), -2, -3, ord("d"), -1, 2]


@settings(max_examples=300, deadline=None)
@given(PROMPTS, st.sampled_from(["comfyui", "a1111"]))
def test_every_chunk_is_full_and_no_token_is_lost(prompt: str, reading: str) -> None:
    made = chunks(prompt, clip(), reading)  # type: ignore[arg-type]
    assert made
    for chunk in made:
        assert len(chunk) == 77
        assert chunk[0] == (49406, 1.0)
        assert chunk[-1][1] == 1.0
    if reading == "comfyui":
        wide = chunks(prompt * 3, Letters(10**6, 0))
        narrow = chunks(prompt * 3, Letters())
        inner = [token for chunk in narrow for token in chunk if token[0] not in (1, 2, 3)]
        assert repr(inner) == repr([token for token in wide[0] if token[0] not in (1, 2, 3)])
