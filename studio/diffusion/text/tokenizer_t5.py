"""T5's tokenizer, from whichever file its vocabulary lies in. Free of torch."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from studio.errors import NodeError
from studio.models.download import T5_VOCABULARY, t5_folder
from studio.models.gguf_header import is_gguf, read_gguf

PAD, END, UNKNOWN = 0, 1, 2
WINDOW = 4096
"""T5 has no positions to run out of; longer texts are no prompts."""
_NAMES = ("tokenizer.json", "spiece.model", "t5xxl.spiece.model", "t5_spiece.model")
_FOLDERS = (
    ".",
    "tokenizer",
    "t5",
    "t5_tokenizer",
    "t5xxl",
    "../tokenizer_3",
    "../tokenizer_2",
    "../tokenizer",
)
_MAX_BYTES = 64 * 2**20
_BLANK = "▁"


@dataclass(eq=False)
class T5Tokenizer:
    """See `studio.diffusion.text.tokenizer.Tokenizer`.

    Attributes:
        pieces: The library's own object, that of ``tokenizers`` or of ``sentencepiece``.
    """

    window: int
    least: int
    begin: int | None
    end: int
    pad: int
    pieces: Any

    def tokens(self, text: str) -> list[int]:
        """Ids of a text, without begin and end."""
        whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        if hasattr(self.pieces, "id_to_token"):
            return list(self.pieces.encode(whole, add_special_tokens=False).ids)
        return list(self.pieces.encode(whole, out_type=int))

    def piece(self, token: int) -> str:
        """The text a token stands for; here a blank goes before a word."""
        try:
            of = getattr(self.pieces, "id_to_token", None) or self.pieces.id_to_piece
            found = of(token)
        except (IndexError, OverflowError, TypeError):
            found = None
        return "?" if found is None else str(found).replace(_BLANK, " ")


def t5(vocabulary: Path, least: int) -> T5Tokenizer:
    """Make a tokenizer.

    Args:
        vocabulary: ``tokenizer.json``, a model of SentencePiece, or a GGUF file of T5 that holds one.
        least: Tokens a text is padded to.

    Raises:
        NodeError: The file cannot be read as any of these.
    """
    try:
        return T5Tokenizer(WINDOW, least, None, END, PAD, _read(vocabulary, vocabulary.stat().st_mtime_ns))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise NodeError(
            f"The vocabulary of T5 in {vocabulary} cannot be read: {error}.",
            "Download it again, or take it away so that another is found.",
        ) from error


def find(place: Path, others: Sequence[Path] = ()) -> Path:
    """Find the vocabulary that belongs to a T5.

    Args:
        place: Its file, or its folder in a folder of a pipeline.
        others: Further folders in which it may lie.

    Raises:
        NodeError: There is none; says where it usually lies.
    """
    for candidate in _candidates(place, others):
        if candidate.is_file():
            return candidate
    raise NodeError(
        f"The vocabulary of T5 is missing: no spiece.model and no tokenizer.json lies beside {place.name}.",
        "Fetch it with the button Folders of the panel Models, or copy spiece.model (0.8 MB) beside the file "
        f"or into {t5_folder()}. In the diffusers folder of SD3 it is in tokenizer_3, in that of Flux in "
        f"tokenizer_2; on the hub it is {T5_VOCABULARY[1]} of {T5_VOCABULARY[0]}.",
        socket="path",
        action="t5_vocabulary",
    )


def _candidates(place: Path, others: Sequence[Path]) -> Iterator[Path]:
    if place.is_file() and is_gguf(place) and "tokenizer.ggml.tokens" in read_gguf(place).values:
        yield place
    near = place if place.is_dir() else place.parent
    for folder in [*(near / name for name in _FOLDERS), *others, t5_folder()]:
        for name in _NAMES:
            yield folder / name


@functools.lru_cache(maxsize=4)
def _read(vocabulary: Path, stamp: int) -> Any:
    """Read a vocabulary; `stamp` only tells a changed file from the one remembered."""
    del stamp
    if is_gguf(vocabulary):
        return _of_gguf(read_gguf(vocabulary).values)
    with vocabulary.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
    return _of_json(data.decode("utf-8")) if vocabulary.suffix == ".json" else _of_pieces(data)


def _of_json(text: str) -> Any:
    from tokenizers import Tokenizer

    try:
        return _checked(Tokenizer.from_str(text))
    except ValueError:
        raise
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from error


def _of_pieces(data: bytes) -> Any:
    library: Any = __import__("sentencepiece")
    pieces = library.SentencePieceProcessor()
    if not data or not pieces.LoadFromSerializedProto(data):
        raise ValueError("it is no model of SentencePiece")
    if pieces.eos_id() != END or pieces.vocab_size() < 4:
        raise ValueError("its numbers are not those of T5")
    return pieces


def _of_gguf(values: dict[str, object]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokens = cast("Sequence[str]", values["tokenizer.ggml.tokens"])
    scores = cast("Sequence[float]", values["tokenizer.ggml.scores"])
    vocabulary = [(str(token), float(score)) for token, score in zip(tokens, scores, strict=True)]
    pieces: Any = Tokenizer(models.Unigram(vocabulary, UNKNOWN, False))
    charsmap = cast("Sequence[int]", values.get("tokenizer.ggml.precompiled_charsmap", ()))
    if charsmap:
        pieces.normalizer = normalizers.Precompiled(bytes(value % 256 for value in charsmap))
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=_BLANK, prepend_scheme="always", split=True),
        ]
    )
    return _checked(pieces)


def _checked(pieces: Any) -> Any:
    if pieces.token_to_id("</s>") != END:
        raise ValueError("its numbers are not those of T5")
    return pieces
