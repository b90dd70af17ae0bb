"""Embeddings and wildcards: files in a person's folders that the words of a prompt name. Free of torch."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from studio import paths
from studio.errors import FileError, NodeError
from studio.models import libraries
from studio.settings import Settings

WILDCARD = re.compile(r"__([^_\s{}|](?:(?!__)[^\s{}|])*)__")
FOLDERS_SETTING = "model_folders"
_EMBEDDING_FOLDERS = ("embeddings", "embedding", "textual_inversion")
_EMBEDDING_ENDINGS = (".safetensors", ".pt", ".bin")
_MAX_FILES = 50_000
_MAX_BYTES = 16 * 2**20


def roots() -> list[Path]:
    """Folders in which a person keeps models: the application's own, and those of the settings."""
    named = Settings().get(FOLDERS_SETTING, list[object]())
    return [libraries.own(), *(Path(name) for name in named if isinstance(name, str) and name)]


def embeddings() -> dict[str, Path]:
    """Every embedding by its name: its path below its folder without the ending, with ``/``.

    Where two have one name, the one in the earlier folder, and of endings safetensors, holds.
    """
    found: dict[str, Path] = {}
    for folder in _embedding_folders():
        listed = [(name, path) for name, path in _files(folder, _EMBEDDING_ENDINGS)]
        for name, path in sorted(listed, key=lambda item: _EMBEDDING_ENDINGS.index(item[1].suffix.lower())):
            found.setdefault(name, path)
    return found


def embedding(name: str, known: Mapping[str, Path]) -> Path | None:
    """The file of an embedding as prompts write it: with or without folder and ending, in any case."""
    plain = name.replace("\\", "/")
    if plain.lower().endswith(_EMBEDDING_ENDINGS):
        plain = plain.rpartition(".")[0]
    if plain in known:
        return known[plain]
    folded = plain.casefold()
    alike = [other for other in sorted(known) if other.casefold() == folded]
    alike += [other for other in sorted(known) if stem(other).casefold() == folded]
    return known[alike[0]] if alike else None


def stem(name: str) -> str:
    """An embedding's name without its folder."""
    return name.rpartition("/")[2]


def wildcard_folders() -> list[Path]:
    """Folders whose ``.txt`` files are lists to choose from: the application's own first."""
    return [paths.data_dir() / "wildcards", *(root / "wildcards" for root in roots())]


def wildcard(name: str) -> list[Path]:
    """The files that ``__name__`` means; with ``*`` in it perhaps several, in the order of their names."""
    found: dict[str, Path] = {}
    for folder in wildcard_folders():
        for known, path in _files(folder, (".txt",)):
            if fnmatch.fnmatchcase(known.casefold(), name.casefold()):
                found.setdefault(known, path)
    return [found[known] for known in sorted(found)]


def lines(name: str) -> list[str]:
    """What ``__name__`` may become: the lines of its files, without comments and empty ones.

    Raises:
        NodeError: There is no such file, or nothing in it.
        FileError: A file cannot be read.
    """
    files = wildcard(name)
    if not files:
        raise NodeError(
            f"There is no wildcard file for “__{name}__”.",
            f"Put {name}.txt into {wildcard_folders()[0]}, one choice a line.",
            socket="text",
        )
    found = [line for path in files for line in _choices(path)]
    if not found:
        raise NodeError(
            f"There is nothing to choose from in {files[0]}.", "Write one choice a line.", socket="text"
        )
    return found


def wildcard_files(text: str) -> list[str]:
    """Every wildcard file that a prompt may need, those that lines of others name among them."""
    found: dict[str, None] = {}
    waiting = [text]
    while waiting:
        for match in WILDCARD.finditer(waiting.pop()):
            for path in wildcard(match[1]):
                if str(path) not in found:
                    found[str(path)] = None
                    waiting.extend(_choices(path))
    return list(found)


def _embedding_folders() -> Iterator[Path]:
    for root in roots():
        for folder in libraries.library(root).folders:
            if folder.name.lower() in _EMBEDDING_FOLDERS:
                yield folder
            yield from (folder / name for name in _EMBEDDING_FOLDERS)


def _files(folder: Path, endings: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Files below a folder, each with its path there without the ending, in the order of their names."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() in endings:
                count += 1
                yield path.relative_to(folder).with_suffix("").as_posix(), path
        if count > _MAX_FILES:
            return


def _choices(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > _MAX_BYTES:
        raise FileError(f"{path} is larger than {_MAX_BYTES >> 20} MiB.", "Cut it into several files.")
    told = (line.strip() for line in data.decode("utf-8-sig", "replace").splitlines())
    return [line for line in told if line and not line.startswith("#")]
