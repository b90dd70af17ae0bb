"""T5's tokenizer from each file its vocabulary may lie in, beside that of transformers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import sentencepiece

from studio.diffusion.text.tokenizer_t5 import find, t5
from studio.errors import NodeError
from studio.models.download import t5_folder

TEXTS = (
    "a fox in a meadow, glossy",
    "  Two   spaces\nand a line ",
    "",
    "Größe naïve ﬁne ①",
    "unknown 狐 sign",
    "(word:1.2) -- it's",
)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of SentencePiece with the numbers of T5."""
    lines = [" ".join(TEXTS[:2]), "the quick brown fox jumps over the lazy dog", "meadow glossy spaces line"]
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 20),
        model_writer=made,
        vocab_size=60,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    path = tmp_path_factory.mktemp("t5") / "spiece.model"
    path.write_bytes(made.getvalue())
    return path


@pytest.fixture(scope="module")
def theirs(pieces: Path) -> Any:
    from transformers.models.t5 import T5Tokenizer

    return T5Tokenizer.from_pretrained(pieces.parent, local_files_only=True)


def as_json(theirs: Any, path: Path) -> Path:
    path.write_text(theirs.backend_tokenizer.to_str(), "utf-8")
    return path


def as_gguf(pieces: Path, path: Path) -> Path:
    model = sentencepiece.SentencePieceProcessor(model_proto=pieces.read_bytes())
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    proto.ParseFromString(pieces.read_bytes())
    writer = gguf.GGUFWriter(path, "t5encoder")
    size = model.vocab_size()
    writer.add_array("tokenizer.ggml.tokens", [model.id_to_piece(index) for index in range(size)])
    writer.add_array("tokenizer.ggml.scores", [float(model.get_score(index)) for index in range(size)])
    writer.add_array("tokenizer.ggml.precompiled_charsmap", list(proto.normalizer_spec.precompiled_charsmap))
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["pieces", "json", "gguf"])
def test_tokens_are_those_of_transformers(kind: str, pieces: Path, theirs: Any, tmp_path: Path) -> None:
    made = {
        "pieces": lambda: pieces,
        "json": lambda: as_json(theirs, tmp_path / "tokenizer.json"),
        "gguf": lambda: as_gguf(pieces, tmp_path / "t5.gguf"),
    }[kind]()
    ours = t5(made, 256)
    for text in TEXTS:
        assert ours.tokens(text) == theirs(text, add_special_tokens=False)["input_ids"], text
    assert (ours.begin, ours.end, ours.pad, ours.least) == (None, 1, 0, 256)
    assert ours.piece(ours.tokens("fox")[0]).startswith(" ")
    assert ours.piece(10**6) == "?"
    assert ours.piece(-1) == "?"


def test_half_a_character_is_a_token_and_no_crash(pieces: Path) -> None:
    assert t5(pieces, 1).tokens("a \ud83d fox")


def test_the_vocabulary_is_found_where_it_usually_lies(pieces: Path, tmp_path: Path, own_home: Path) -> None:
    file = tmp_path / "clip" / "t5xxl_fp16.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"")
    with pytest.raises(NodeError, match=r"missing.*t5xxl_fp16") as told:
        find(file)
    assert "tokenizer_3" in told.value.remedy
    assert str(own_home) in told.value.remedy
    places = [
        t5_folder() / "spiece.model",
        tmp_path / "elsewhere" / "spiece.model",
        file.parent / "t5_tokenizer" / "spiece.model",
        file.parent / "spiece.model",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(pieces.read_bytes())
        assert find(file, [tmp_path / "elsewhere"]).samefile(place)


def test_a_pipelines_folder_has_it_beside_the_encoder(pieces: Path, tmp_path: Path) -> None:
    (tmp_path / "text_encoder_3").mkdir()
    (tmp_path / "tokenizer_3").mkdir()
    (tmp_path / "tokenizer_3" / "spiece.model").write_bytes(pieces.read_bytes())
    assert find(tmp_path / "text_encoder_3").samefile(tmp_path / "tokenizer_3" / "spiece.model")


def test_broken_vocabularies_are_told_in_a_sentence(pieces: Path, tmp_path: Path) -> None:
    cases = {
        "empty.model": b"",
        "noise.model": bytes(range(256)) * 9,
        "cut.model": pieces.read_bytes()[:-100],
        "tokenizer.json": b"{",
        "other.json": json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": []}}).encode(),
        "text.json": b"\xff\xfe",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(NodeError, match="vocabulary of T5"):
            t5(tmp_path / name, 1)
