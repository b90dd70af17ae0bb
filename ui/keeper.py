"""Keeps the session's folder up to date, so that whatever happens, the next start has everything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from studio.types import Json
from ui.background import Background
from ui.documents import Documents
from ui.page import Page
from ui.session import Remembered, Session

WRITE_AFTER_MS = 400


class Keeper(QObject):
    """Writes journals and layout a little after each change, in the background. GUI thread."""

    said = Signal(str, bool)

    def __init__(
        self,
        session: Session,
        documents: Documents,
        background: Background,
        layout: Callable[[], dict[str, Json]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._documents = documents
        self._background = background
        self._layout = layout
        self._marked: set[str] = set()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(WRITE_AFTER_MS)
        self._soon.timeout.connect(self.flush)
        documents.page_opened.connect(self._opened)
        documents.page_saved.connect(self._mark)
        documents.page_closed.connect(self._closed)
        documents.currentChanged.connect(lambda _index: self._soon.start())

    def restore(self) -> None:
        """Open what was open."""
        for item in self._session.remembered():
            if item.content is not None:
                self._documents.add(item.content, item.path, unsaved=item.unsaved, key=item.key)
            elif item.path is not None:
                self._documents.open(item.path)
        current = self._session.layout().get("current")
        if isinstance(current, int) and 0 <= current < self._documents.count():
            self._documents.setCurrentIndex(current)

    def flush(self) -> None:
        """Hand everything that is not written yet to the background."""
        self._soon.stop()
        marked, self._marked = self._marked, set()
        for page in self._documents.pages():
            if page.key in marked:
                if page.unsaved or page.path is None:
                    write = partial(self._session.write, _memory_of(page))
                    self._do(write)
                else:
                    self._do(partial(self._session.forget, page.key))
        self._do(partial(self._session.keep_layout, self._whole_layout()))

    def _do(self, work: Callable[[], None]) -> None:
        self._background.do(
            work, None, lambda error: self.said.emit(f"What is unsaved is at risk. {error}", True)
        )

    def _whole_layout(self) -> dict[str, Json]:
        opened: list[Json] = [
            {"key": page.key, "path": str(page.path) if page.path else None}
            for page in self._documents.pages()
        ]
        return {**self._layout(), "open": opened, "current": self._documents.currentIndex()}

    def _opened(self, page: Page) -> None:
        page.edited.connect(lambda _edit: self._mark(page))
        self._mark(page)

    def _mark(self, page: Page) -> None:
        self._marked.add(page.key)
        self._soon.start()

    def _closed(self, page: Page) -> None:
        self._marked.discard(page.key)
        self._do(partial(self._session.forget, page.key))
        self._soon.start()


def _memory_of(page: Page) -> Remembered:
    return Remembered(page.key, page.path, page.content, page.unsaved)
