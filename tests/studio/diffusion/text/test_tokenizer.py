from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from studio.diffusion.text.tokenizer import clip, clip_in
from studio.errors import NodeError
from studio.paths import assets_dir

VOCABULARY = assets_dir() / "configs/clip"
STARTER = assets_dir() / "starter/tokenizer"
PEER = CLIPTokenizer(vocab=str(VOCABULARY / "vocab.json"), merges=str(VOCABULARY / "merges.txt"))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("aAbB '’sS!?(),.:<|>endoftxsr\n\u3000éİΣςß中日本한😀½٣", max_size=60))
def test_any_text_gives_the_ids_that_transformers_gives(text: str) -> None:
    assert clip().tokens(text) == PEER(text, add_special_tokens=False)["input_ids"]


def test_special_tokens_are_those_of_clip() -> None:
    made = clip()
    assert (made.begin, made.end, made.pad, made.window, made.least) == (49406, 49407, 49407, 77, 77)
    assert clip(pad=0).pad == 0
    assert made.tokens("a <|endoftext|> b") == [320, 49407, 321]


def test_a_tokenizer_folder_is_read_as_transformers_reads_it() -> None:
    peer = CLIPTokenizer.from_pretrained(STARTER)
    made = clip_in(STARTER)
    assert (
        made.tokens("A Fox,  in a meadow") == peer("A Fox,  in a meadow", add_special_tokens=False).input_ids
    )
    assert (made.begin, made.end, made.pad) == (1626, 1627, 1627)


def test_the_padding_of_a_folder_is_its_own(tmp_path: Path) -> None:
    shutil.copytree(STARTER, tmp_path / "it")
    for told in ("!", {"content": "!"}):
        (tmp_path / "it/tokenizer_config.json").write_text(json.dumps({"pad_token": told}))
        assert clip_in(tmp_path / "it").pad == 0


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("vocab.json", b"{"),
        ("vocab.json", b'{"a": "b"}'),
        ("vocab.json", b'{"a": 1}'),
        ("merges.txt", b"one\n"),
        ("merges.txt", b"nobody knows\n"),
        ("merges.txt", b"\xff\xff"),
        ("tokenizer_config.json", b"[]"),
    ],
)
def test_a_broken_folder_is_told_in_a_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    shutil.copytree(STARTER, tmp_path / "it")
    (tmp_path / "it" / name).write_bytes(data)
    with pytest.raises(NodeError, match="cannot be read"):
        clip_in(tmp_path / "it")


def test_an_empty_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="cannot be read"):
        clip_in(tmp_path)


def test_half_a_surrogate_pair_is_a_question_mark() -> None:
    assert clip().tokens("a \ud800") == clip().tokens("a ?")


def test_pieces_spell_the_text() -> None:
    made = clip()
    spelt = "".join(made.piece(token) for token in made.tokens("a photo of astronauts"))
    assert spelt == "a photo of astronauts "
    assert made.piece(-3) == made.piece(10**6) == made.piece(2**40) == "?"


def test_the_vocabulary_follows_from_its_merges(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_vocabulary", VOCABULARY / "make_vocabulary.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.HERE = tmp_path
    merges = (VOCABULARY / "merges.txt").read_text("utf-8").split("\n", 1)[1]
    source = tmp_path / "source.txt.gz"
    source.write_bytes(gzip.compress(f"version\n{merges}more than is wanted\n".encode()))
    script.main(source)
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / name).read_bytes() == (VOCABULARY / name).read_bytes()
