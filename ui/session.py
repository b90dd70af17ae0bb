"""What must survive a crash: open documents, saved or not, and how the window stood.

Every running window owns one folder, by a lock. Unsaved documents are journals in it, written on change.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QLockFile

from studio import paths
from studio.document import Content
from studio.errors import FileError
from studio.files import atomic, strict_json, workflow
from studio.types import Json

logger = logging.getLogger(__name__)
MAX_WINDOWS = 64


@dataclass(frozen=True, slots=True)
class Remembered:
    """A document of an earlier start.

    Attributes:
        key: Names its journal.
        path: Its file, or None.
        content: What the journal holds; None if everything was saved.
        unsaved: Closing it would lose something.
    """

    key: str
    path: Path | None
    content: Content | None = None
    unsaved: bool = False


class Session:
    """The folder of one window. `write` and `forget` may be called on one other thread, in order."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or paths.data_dir() / "sessions"
        self._root.mkdir(parents=True, exist_ok=True)
        self.folder, self._lock = self._own()
        self._adopt_orphans()

    def _own(self) -> tuple[Path, QLockFile]:
        for number in range(MAX_WINDOWS):
            folder = self._root / str(number)
            lock = _locked(folder)
            if lock is not None:
                return folder, lock
        raise FileError(f"No folder for this window can be had in {self._root}.", "Is it writable?")

    def _adopt_orphans(self) -> None:
        """Take over what windows that are no more have left unsaved."""
        for folder in sorted(self._root.iterdir()):
            if folder == self.folder or not folder.is_dir() or not any(folder.glob("*.journal")):
                continue
            lock = _locked(folder)
            if lock is None:
                continue
            for journal in folder.glob("*.journal"):
                shutil.move(journal, self.folder / journal.name)
            lock.unlock()

    def write(self, document: Remembered) -> None:
        """Journal a document; the old journal stands until the new one is whole."""
        if document.content is None:
            return
        record: dict[str, Json] = {
            "path": str(document.path) if document.path else None,
            "unsaved": document.unsaved,
            "workflow": workflow.to_json(document.content),
        }
        atomic.write(self.folder / f"{document.key}.journal", json.dumps(record).encode())

    def forget(self, key: str) -> None:
        """The document is saved, or given up."""
        (self.folder / f"{key}.journal").unlink(missing_ok=True)

    def keep_layout(self, layout: dict[str, Json]) -> None:
        """Keep how the window stands."""
        atomic.write(self.folder / "window.json", json.dumps(layout, indent=1).encode())

    def layout(self) -> dict[str, Json]:
        """How the window stood; empty at the first start or if the file is broken."""
        try:
            data: object = json.loads((self.folder / "window.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def remembered(self) -> list[Remembered]:
        """Documents of the last start in the order of their tabs, and journals that it did not list."""
        listed: list[Remembered] = []
        opened = self.layout().get("open")
        for item in opened if isinstance(opened, list) else ():
            if isinstance(item, dict) and isinstance(item.get("key"), str):
                path = item.get("path")
                listed.append(self._recall(str(item["key"]), Path(path) if isinstance(path, str) else None))
        known = {item.key for item in listed}
        rest = sorted(self.folder.glob("*.journal"), key=lambda journal: journal.stat().st_mtime)
        listed += [self._recall(journal.stem, None) for journal in rest if journal.stem not in known]
        return [item for item in listed if item.path or item.content]

    def _recall(self, key: str, path: Path | None) -> Remembered:
        journal = self.folder / f"{key}.journal"
        if "/" in key or "\\" in key or not journal.is_file():
            return Remembered(key, path)
        try:
            record = strict_json.read(journal.read_bytes(), lambda _sentence: None)
            if not isinstance(record, dict) or not isinstance(record.get("workflow"), dict):
                raise FileError("It is no journal.")
            kept = record.get("path")
            content = workflow.from_json(record["workflow"])  # pyright: ignore[reportArgumentType]
        except (OSError, FileError) as error:
            logger.info("the journal %s cannot be read and is set aside: %s", journal, error)
            journal.replace(journal.with_suffix(".broken"))
            return Remembered(key, path)
        unsaved = record.get("unsaved") is True
        return Remembered(key, Path(kept) if isinstance(kept, str) else path, content, unsaved)

    def close(self) -> None:
        """Let another window have the folder."""
        self._lock.unlock()


def _locked(folder: Path) -> QLockFile | None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = QLockFile(str(folder / "lock"))
    lock.setStaleLockTime(0)  # a lock is stale when its process is gone, however long it was held
    return lock if lock.tryLock(0) else None
