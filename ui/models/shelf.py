"""The catalogue of models in the window: looked through and digested on a thread of its own."""

from __future__ import annotations

import threading
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from studio.errors import Cancelled
from studio.models import libraries
from studio.models.catalogue import Catalogue, Entry
from studio.settings import Settings
from studio.types import Json

FOLDERS = "model_folders"


class Shelf(QObject):
    """Knows the models of the folders that a person named. Owned by the GUI thread."""

    changed = Signal()
    """Other models, or more is known of them."""
    busy_changed = Signal(bool)
    _found = Signal()
    _ended = Signal(int)

    def __init__(self, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._catalogue = Catalogue()
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._round = 0
        self.busy = False
        self._found.connect(self.changed)
        self._ended.connect(self._end)

    @property
    def folders(self) -> list[Path]:
        """What the person named; the application's own folder comes before and is not listed."""
        return [Path(name) for name in self._settings.get(FOLDERS, [""]) if name]

    def entries(self, kinds: tuple[str, ...] = ()) -> list[Entry]:
        """The models, or those of some types, by name."""
        found = (entry for entry in self._catalogue.entries() if not kinds or entry.type in kinds)
        return sorted(found, key=lambda entry: entry.name.lower())

    def add_folder(self, folder: Path) -> None:
        """Look through one folder more, now and at every start."""
        if folder not in self.folders:
            self._keep([*self.folders, folder])

    def forget_folder(self, folder: Path) -> None:
        """Leave a folder alone; nothing in it is touched."""
        self._keep([known for known in self.folders if known != folder])

    def look(self) -> None:
        """Look through all folders again; only what changed is read."""
        self._stop()
        self._round += 1
        self._cancelled = cancelled = threading.Event()
        roots = [libraries.own(), *self.folders]
        self.busy = True
        self.busy_changed.emit(True)
        self._thread = threading.Thread(
            target=self._work, args=(roots, cancelled, self._round), name="models", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop()

    def _keep(self, folders: list[Path]) -> None:
        names: list[Json] = [str(folder) for folder in folders]
        self._settings.put(FOLDERS, names)
        self.look()

    def _stop(self) -> None:
        self._cancelled.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _work(self, roots: list[Path], cancelled: threading.Event, at: int) -> None:
        def check() -> None:
            if cancelled.is_set():
                raise Cancelled

        try:
            self._catalogue.scan(roots, check)
            self._found.emit()
            self._ended.emit(at)
            self._catalogue.digest(check, lambda _: self._found.emit())
        except Cancelled:
            return

    def _end(self, at: int) -> None:
        if at == self._round:
            self.busy = False
            self.busy_changed.emit(False)
