"""Work that would make the window stutter, done on a thread, its result brought back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

from PySide6.QtCore import QObject, Qt, Signal

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Background(QObject):
    """One worker thread, so that what is handed in is done in that order. Owned by the GUI thread."""

    _finished = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="window")
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def do(
        self,
        work: Callable[[], T],
        then: Callable[[T], None] | None = None,
        otherwise: Callable[[Exception], None] | None = None,
    ) -> None:
        """Call `work` on the thread, then `then` with its result, or `otherwise`, in the GUI thread."""

        def done(future: Future[T]) -> None:
            error = future.exception()
            if error is not None:
                refused = cast("Exception", error)
                if otherwise is None:
                    logger.warning("Work in the background failed: %s", refused)
                else:
                    self._finished.emit(otherwise, refused)
            elif then is not None:
                self._finished.emit(then, future.result())

        self._pool.submit(work).add_done_callback(done)

    def close(self) -> None:
        """Wait until everything handed in is done."""
        self._pool.shutdown(wait=True)

    def _deliver(self, receive: Callable[[object], None], value: object) -> None:
        receive(value)
