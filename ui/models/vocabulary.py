"""T5's vocabulary, which no file of its weights holds: fetched when a person asks for it, on a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from PySide6.QtCore import QObject, Signal

from studio.errors import Cancelled, FileError
from studio.models import download
from studio.models.catalogue import Entry

_FAMILIES = ("stable_diffusion_3", "flux")


class Vocabulary(QObject):
    """Whether the vocabulary is there, and how to get it. Owned by the GUI thread."""

    ended = Signal(str)
    """It is there; or, as a sentence, why not."""
    _done = Signal(str)

    def __init__(
        self, fetch: Callable[..., object] = download.t5_vocabulary, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._fetch_it = fetch
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._done.connect(self._end)

    @property
    def busy(self) -> bool:
        """It is being fetched."""
        return self._thread is not None

    def wanted(self, entries: Iterable[Entry]) -> bool:
        """Whether one of these models may need it, and it is not where every T5 finds it."""
        there = (download.t5_folder() / download.T5_VOCABULARY[1]).exists()
        return not there and any(entry.family in _FAMILIES or entry.variant == "t5" for entry in entries)

    def fetch(self) -> None:
        """Fetch it, unless that is under way."""
        if self._thread is None:
            self._cancelled.clear()
            self._thread = threading.Thread(target=self._work, name="vocabulary", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop fetching."""
        self._cancelled.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        def check() -> None:
            if self._cancelled.is_set():
                raise Cancelled

        try:
            self._fetch_it(check)
        except Cancelled:
            return
        except FileError as error:
            self._done.emit(str(error))
        else:
            self._done.emit("")

    def _end(self, trouble: str) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.ended.emit(trouble)
