"""From the stretches of a prompt to chunks of weighted ids, as a text network takes them. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from studio.diffusion.text.reading import Reading, Segment, read
from studio.models.prompt_files import embedding, embeddings, stem

if TYPE_CHECKING:
    from studio.diffusion.text.tokenizer import Tokenizer

Token = tuple[int, float]
Chunk = list[Token]
Find = Callable[[str], Sequence[int]]
"""Name of an embedding → the ids, below zero, of its vectors. Raises where there is none of that name."""
EMBEDDING = "embedding:"
WHOLE_TOKENS = 8
"""A stretch of fewer tokens is not cut at a chunk's end but moves to the next chunk as a whole."""
BACKTRACK_TOKENS = 20
"""In A1111's reading, a chunk ends at the last comma if that is no further back."""
_NAME = re.compile(rf"{EMBEDDING}\s*([^\s<\[]*[^\s<\[,])(.*)", re.DOTALL)


def chunks(
    text: str,
    tokenizer: Tokenizer,
    reading: Reading = "comfyui",
    find: Find | None = None,
    names: Sequence[str] = (),
) -> list[Chunk]:
    """Read a prompt into chunks, each begun, ended and padded to one length; at least one.

    Args:
        text: The prompt.
        tokenizer: Of the network.
        reading: What weights and brackets mean.
        find: Finds the vectors of an embedding; without it, ``embedding:name`` is plain text.
        names: Embeddings that A1111's reading knows by their bare names.
    """
    segments = read(text, reading)
    if reading == "a1111":
        vectors = {tuple(tokenizer.tokens(name)): find(name) for name in names} if find else {}
        filled = _at_commas(segments, tokenizer, vectors)
    else:
        filled = _packed(_groups(segments, tokenizer, find if reading == "comfyui" else None), tokenizer)
    longest = max(map(len, filled)) + tokenizer.window - _room(tokenizer)
    return [_whole(chunk, tokenizer, longest) for chunk in filled]


def empty(tokenizer: Tokenizer, length: int = 0) -> list[int]:
    """Ids of a chunk that says nothing, `length` long or as long as the tokenizer pads to."""
    return [token for token, _ in _whole([], tokenizer, length)]


def names_in(text: str) -> Iterator[str]:
    """Names of embeddings that a prompt asks for by ``embedding:name``."""
    for segment in read(text, "comfyui"):
        for part in _parts(segment.text):
            if match := _NAME.match(part):
                yield match[1]


def embeddings_named(text: str, reading: Reading) -> dict[str, Path]:
    """The embeddings of a person's folders that a prompt names, by the names it may use."""
    if reading == "plain":
        return {}
    if reading == "comfyui":
        names = set(names_in(text))
        known = embeddings() if names else {}
        found = ((name, embedding(name, known)) for name in sorted(names))
        return {name: path for name, path in found if path is not None}
    folded = text.casefold()
    known = {stem(name): path for name, path in sorted(embeddings().items())} if folded.strip() else {}
    return {name: path for name, path in known.items() if name.casefold() in folded}


def _parts(text: str) -> Iterable[str]:
    """Cut before every ``embedding:`` that begins a word."""
    return filter(None, re.split(rf"(?<=\s)(?={EMBEDDING})", text))


def _groups(segments: Sequence[Segment], tokenizer: Tokenizer, find: Find | None) -> Iterator[Chunk]:
    """Tokens that stay together if they can: those of one stretch, or of one embedding."""
    for segment in segments:
        for part in _parts(segment.text):
            match = _NAME.match(part) if find else None
            if match and find:
                yield [(token, segment.weight) for token in find(match[1])]
            words = match[2] if match else part
            yield [(token, segment.weight) for token in tokenizer.tokens(words)]


def _packed(groups: Iterable[Chunk], tokenizer: Tokenizer) -> list[Chunk]:
    room = _room(tokenizer)
    packed: list[Chunk] = [[]]
    for group in groups:
        left = group
        while len(left) + len(packed[-1]) > room:
            if len(group) >= min(WHOLE_TOKENS, room + 1):
                fits = room - len(packed[-1])
                packed[-1] += left[:fits]
                left = left[fits:]
            packed.append([])
        packed[-1] += left
    return packed


def _at_commas(
    segments: Sequence[Segment], tokenizer: Tokenizer, vectors: Mapping[tuple[int, ...], Sequence[int]]
) -> list[Chunk]:
    """Fill chunks as A1111 does: by token, back to a comma where one is near, anew at ``BREAK``."""
    room = _room(tokenizer)
    commas = set(tokenizer.tokens(","))
    longest = max(map(len, vectors), default=0)
    filled: list[Chunk] = []
    chunk: Chunk = []
    comma = -1
    for segment in segments:
        if segment.breaks:
            filled.append(chunk)
            chunk, comma = [], -1
        ids = tokenizer.tokens(segment.text)
        place = 0
        while place < len(ids):
            if ids[place] in commas:
                comma = len(chunk)
            elif len(chunk) == room and comma != -1 and len(chunk) - comma <= BACKTRACK_TOKENS:
                filled.append(chunk[: comma + 1])
                chunk, comma = chunk[comma + 1 :], -1
            if len(chunk) == room:
                filled.append(chunk)
                chunk, comma = [], -1
            size, found = _vectors_at(ids, place, vectors, longest)
            if len(chunk) + len(found) > room and chunk:
                filled.append(chunk)
                chunk, comma = [], -1
            chunk += [(token, segment.weight) for token in found]
            place += size
    return [*filled, chunk] if chunk or not filled else filled


def _vectors_at(
    ids: Sequence[int], place: int, vectors: Mapping[tuple[int, ...], Sequence[int]], longest: int
) -> tuple[int, Sequence[int]]:
    """How many ids to go on by, and what stands for them: the longest name that begins here, or the id."""
    for size in range(longest, 0, -1):
        found = vectors.get(tuple(ids[place : place + size]))
        if found is not None:
            return size, found
    return 1, ids[place : place + 1]


def _room(tokenizer: Tokenizer) -> int:
    return tokenizer.window - 1 - (tokenizer.begin is not None)


def _whole(chunk: Chunk, tokenizer: Tokenizer, length: int) -> Chunk:
    begin = [] if tokenizer.begin is None else [(tokenizer.begin, 1.0)]
    whole = [*begin, *chunk, (tokenizer.end, 1.0)]
    return whole + [(tokenizer.pad, 1.0)] * (max(tokenizer.least, length) - len(whole))
