"""Texts to the ids of tokens: what every text network's tokenizer offers, and CLIP's. Free of torch."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from studio import paths
from studio.errors import NodeError

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
_MAX_BYTES = 32 * 2**20
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer(Protocol):
    """What turns a text into ids for one network.

    Attributes:
        window: Tokens of a chunk at most, begin and end included.
        least: Tokens a chunk is padded to; `window` for CLIP, fewer for T5.
        begin: Id of the token a chunk begins with; None if with none.
        end: Id of the token a chunk ends with.
        pad: Id of the token short chunks are filled with.
    """

    window: int
    least: int
    begin: int | None
    end: int
    pad: int

    def tokens(self, text: str) -> list[int]:
        """Ids of a text, without begin and end."""
        ...

    def piece(self, token: int) -> str:
        """The text a token stands for, with a space after it where it ends a word; of any other id, ``?``."""
        ...


@dataclass(eq=False)
class ClipTokenizer:
    """CLIP's lower-cased byte-pair encoding; see `Tokenizer`.

    Source: Radford et al., “Learning Transferable Visual Models From Natural Language Supervision”, 2021.

    Attributes:
        encoding: The library's own object.
    """

    window: int
    least: int
    begin: int | None
    end: int
    pad: int
    encoding: Any

    def tokens(self, text: str) -> list[int]:
        """Ids of a text, without begin and end."""
        whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        return list(self.encoding.encode(whole, add_special_tokens=False).ids)

    def piece(self, token: int) -> str:
        """The text a token stands for; see `Tokenizer`."""
        known = 0 <= token < 2**31 and self.encoding.id_to_token(token) is not None
        return str(self.encoding.decode([token], skip_special_tokens=False)) if known else "?"


def clip(*, window: int = 77, pad: int | None = None) -> ClipTokenizer:
    """The tokenizer of CLIP-L, and with `pad` 0 that of CLIP-G and OpenCLIP-H, whose vocabulary is the same.

    Args:
        window: Positions of the network.
        pad: Id of the token that fills chunks; the end token if left out.
    """
    return _made(paths.assets_dir() / "configs/clip", window, pad)


def clip_in(folder: Path, *, window: int = 77) -> ClipTokenizer:
    """The tokenizer in a folder of ``vocab.json``, ``merges.txt`` and perhaps ``tokenizer_config.json``.

    Args:
        folder: As diffusers writes it beside a text encoder.
        window: Positions of the network.

    Raises:
        NodeError: A file is missing, too large or not what its name says.
    """
    try:
        made = _made(folder, window, None)
        settings: Any = {}
        if (folder / "tokenizer_config.json").exists():
            settings = json.loads(_text(folder / "tokenizer_config.json"))
        named = settings.get("pad_token", END)
        named = named if isinstance(named, str) else named["content"]
        pad = made.encoding.token_to_id(named)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NodeError(
            f"The tokenizer in {folder} cannot be read: {error}.", "Download it again."
        ) from error
    return (
        made if pad is None else ClipTokenizer(window, window, made.begin, made.end, int(pad), made.encoding)
    )


def _made(folder: Path, window: int, pad: int | None) -> ClipTokenizer:
    stamps = tuple((folder / name).stat().st_mtime_ns for name in ("vocab.json", "merges.txt"))
    encoding = _encoding(folder, stamps)
    begin, end = (int(encoding.token_to_id(name)) for name in (BEGIN, END))
    return ClipTokenizer(window, window, begin, end, end if pad is None else pad, encoding)


@functools.lru_cache(maxsize=8)
def _encoding(folder: Path, stamps: tuple[int, ...]) -> Any:
    """Build the encoding; `stamps` only tell a changed folder from the one remembered."""
    del stamps
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Encoding

    vocabulary = _vocabulary(json.loads(_text(folder / "vocab.json")))
    lines = _text(folder / "merges.txt").split("\n")
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a line of merges.txt is no pair")
    try:
        model = models.BPE(
            vocabulary, cast("list[tuple[str, str]]", pairs), end_of_word_suffix="</w>", unk_token=END
        )
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from error
    encoding: Any = Encoding(model)
    # Replaced with the same pattern as CLIP was trained with: any white space is one space.
    encoding.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    encoding.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    encoding.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    encoding.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in (BEGIN, END)])
    return encoding


def _vocabulary(found: object) -> dict[str, int]:
    if not isinstance(found, dict) or not all(
        isinstance(index, int) for index in cast("Any", found).values()
    ):
        raise ValueError("vocab.json is no list of tokens with their numbers")
    if BEGIN not in found or END not in found:
        raise ValueError("vocab.json has no tokens to begin and end a text with")
    return cast("dict[str, int]", found)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {_MAX_BYTES >> 20} MiB")
    return data.decode("utf-8")
