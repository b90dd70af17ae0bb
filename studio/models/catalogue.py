"""The models a person has, wherever they lie: what each is, remembered between starts."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from studio import paths
from studio.errors import FileError
from studio.models import facts, libraries, recognise
from studio.models.digest import Digests, digests
from studio.models.facts import Facts
from studio.models.gguf_header import is_gguf, read_gguf
from studio.models.header import read_header
from studio.models.kinds import Kind

_FORM = 1
"""Raised when recognition or the remembered form changes: all is looked at anew."""
_log = logging.getLogger(__name__)
Told = Callable[["Entry"], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A model file, or the folder of a pipeline.

    Attributes:
        path: Absolute.
        library: Root under which it was found.
        tool: Whose layout that root has; empty for a plain folder.
        type: As `Kind.type`; empty if it is no model that is known here.
        family: As `Kind.family`.
        variant: As `Kind.variant`.
        precision: As `Kind.precision`.
        size_bytes: Of the file; of a folder, its weights.
        modified_ns: Time of its last change.
        facts: What its author tells.
        problem: Why it cannot be used, as a sentence; empty if it can.
        digests: None until they are computed.
    """

    path: Path
    library: Path
    tool: str
    type: str
    family: str
    variant: str
    precision: str
    size_bytes: int
    modified_ns: int
    facts: Facts
    problem: str = ""
    digests: Digests | None = None

    @property
    def name(self) -> str:
        """What to call it: without the library's root."""
        return self.path.relative_to(self.library).as_posix()


class Catalogue:
    """Models by path, kept in a small database. From any thread; scanning and digesting from one at a time.

    The database only remembers: where it is missing or damaged, all is read from the files again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or paths.cache_dir() / "models.sqlite"
        self._lock = Lock()
        self._entries: dict[Path, Entry] = {}

    def entries(self) -> tuple[Entry, ...]:
        """What the last scan found, by library and name."""
        with self._lock:
            return tuple(self._entries.values())

    def find(self, told: str) -> Entry | None:
        """The model that bears a digest: SHA-256, its beginning, AutoV2 or AutoV3."""
        return next((item for item in self.entries() if item.digests and item.digests.bears(told)), None)

    def scan(self, roots: Iterable[Path], check: Callable[[], None], told: Told = lambda _: None) -> None:
        """Look through libraries; only what is new or changed is read.

        Args:
            roots: Folders of models; what is missing is passed over.
            check: Called for every folder and file; may raise, and leaves the former result.
            told: Called with every entry as it is found.
        """
        known = self._remembered()
        found: dict[Path, Entry] = {}
        for root in roots:
            library = libraries.library(root)
            for path in libraries.models(library, check):
                check()
                entry = _entry(path, library, known)
                if entry is not None and path not in found:
                    found[path] = entry
                    told(entry)
        with self._lock:
            self._entries = found
        self._remember(found.values(), known.keys() - found.keys())

    def digest(self, check: Callable[[], None], told: Told = lambda _: None) -> None:
        """Compute the digests that are missing, the smallest file first; each is remembered at once.

        Args:
            check: Called every 4 MB; may raise.
            told: Called with every entry that has got its digests.
        """
        for entry in sorted(self.entries(), key=lambda item: item.size_bytes):
            if entry.digests is not None or entry.problem or not entry.path.is_file():
                continue
            try:
                new = replace(entry, digests=digests(entry.path, check))
            except OSError as error:
                _log.info("%s was not digested: %s", entry.path, error)
                continue
            with self._lock:
                if self._entries.get(entry.path) == entry:
                    self._entries[entry.path] = new
            self._remember([new], [])
            told(new)

    def _remembered(self) -> dict[Path, Entry]:
        found: dict[Path, Entry] = {}
        try:
            with self._database() as database:
                for path, text in database.execute("SELECT path, entry FROM models WHERE form = ?", (_FORM,)):
                    found[Path(path)] = _parsed(Path(path), json.loads(text))
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
            _log.info("the catalogue of models was begun anew: %s", error)
            self._path.unlink(missing_ok=True)
            return {}
        return found

    def _remember(self, entries: Iterable[Entry], gone: Iterable[Path]) -> None:
        rows = [(str(item.path), _FORM, json.dumps(_plain(item))) for item in entries]
        try:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", rows)
                database.executemany("DELETE FROM models WHERE path = ?", [(str(path),) for path in gone])
        except (sqlite3.Error, OSError) as error:
            _log.info("the catalogue of models was not written: %s", error)

    @contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS models (path TEXT PRIMARY KEY, form INT, entry TEXT)"
            )
            yield database


def thumbnail(entry: Entry) -> bytes | None:
    """Bytes of a picture of a model, to be decoded as a stranger's; None if it has none."""
    return facts.thumbnail(_metadata(entry.path), entry.path)


def _entry(path: Path, library: libraries.Library, known: dict[Path, Entry]) -> Entry | None:
    try:
        status = path.stat()
        size = status.st_size if path.is_file() else _folder_bytes(path)
    except OSError:
        return None  # gone since it was listed
    old = known.get(path)
    if old is not None and (old.size_bytes, old.modified_ns) == (size, status.st_mtime_ns):
        return replace(old, library=library.root, tool=library.tool)
    role = libraries.role(path, library.root)
    kind: Kind | None = None
    problem = ""
    try:
        if path.is_dir() or path.suffix.lower() not in libraries.PICKLED:
            kind = recognise.kind_at(path)
            problem = "" if kind else f"{path.name} is {recognise.stranger(path)}."
        elif not role:
            return None  # a .bin or .pt of anything
    except FileError as error:
        problem = str(error)
    told = facts.facts(_metadata(path), path)
    return Entry(
        path,
        library.root,
        library.tool,
        kind.type if kind else "" if problem else role,
        kind.family if kind else "",
        kind.variant if kind else "",
        kind.precision if kind else "",
        size,
        status.st_mtime_ns,
        told,
        problem,
    )


def _metadata(path: Path) -> dict[str, str]:
    if path.suffix.lower() not in (".safetensors", ".sft", ".gguf") or path.is_dir():
        return {}
    try:
        return (read_gguf(path).header if is_gguf(path) else read_header(path)).metadata
    except FileError:
        return {}  # `recognise` has said why


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors") if path.is_file())


def _plain(entry: Entry) -> dict[str, Any]:
    return asdict(replace(entry, path=Path(), library=Path())) | {"path": "", "library": str(entry.library)}


def _parsed(path: Path, plain: dict[str, Any]) -> Entry:
    told: dict[str, Any] = plain["facts"]
    hashed: dict[str, Any] | None = plain["digests"]
    words: list[str] = told["trigger_words"]
    written = Facts(**told)
    entry = Entry(**plain)
    return replace(
        entry,
        path=path,
        library=Path(plain["library"]),
        facts=replace(written, trigger_words=tuple(words)),
        digests=Digests(**hashed) if hashed else None,
    )
