"""A queue of messages with a thread of its own that sends them, so that nobody waits for the other end."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from studio.events import Progress

INTERVAL_S = 1 / 20


class Outbox:
    """Sends messages in order from its own thread; `put` never blocks.

    Progress is kept back and only the newest per node is sent, every `INTERVAL_S`; any other message first
    flushes what was kept back, so that no progress arrives after the change of state it came before.
    """

    def __init__(self, send: Callable[[object], None], name: str) -> None:
        """Start sending.

        Args:
            send: Sends one message; called on the outbox's thread only. An `OSError` closes the outbox.
            name: Of the thread.
        """
        self._send = send
        self._queue: deque[object] = deque()
        self._progress: dict[tuple[str, str], Progress] = {}
        self._progress_due = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, message: object) -> None:
        """Send `message` when its turn comes; dropped once the outbox is closed. Any thread."""
        with self._changed:
            if self._closed:
                return
            if isinstance(message, Progress):
                self._keep(message)
            else:
                self._flush()
                self._queue.append(message)
            self._changed.notify()

    def drop(self, run: str) -> None:
        """Forget the progress of `run` that was kept back. Any thread."""
        with self._changed:
            for key in [key for key in self._progress if key[0] == run]:
                del self._progress[key]

    def close(self, timeout_s: float) -> None:
        """Send what is queued, for at most `timeout_s`, and end the thread."""
        with self._changed:
            self._flush()
            self._closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _keep(self, message: Progress) -> None:
        key = (message.run, message.node)
        older = self._progress.pop(key, None)
        if older and message.preview is None and older.preview is not None:
            message = replace(message, preview=older.preview)
        self._progress[key] = message

    def _flush(self) -> None:
        if self._progress:
            self._queue.extend(self._progress.values())
            self._progress.clear()
            self._progress_due = time.monotonic() + INTERVAL_S

    def _next(self) -> object | None:
        """The message to send now; waits for one; None when closed and empty."""
        with self._changed:
            while not self._queue:
                now = time.monotonic()
                if self._progress and now >= self._progress_due:
                    self._flush()
                elif self._closed:
                    return None
                else:
                    self._changed.wait(self._progress_due - now if self._progress else None)
            return self._queue.popleft()

    def _work(self) -> None:
        while (message := self._next()) is not None:
            try:
                self._send(message)
            except OSError:  # the other end is gone; whoever reads from it notices too
                with self._changed:
                    self._closed = True
                    self._queue.clear()
                    self._progress.clear()
