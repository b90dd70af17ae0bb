"""Starts the application as its command does, says when the window is usable and the engine ready, and ends.

Run as ``python -m benchmarks._launch``; prints ``usable`` and ``ready``, each with a time of day in seconds.
"""

from __future__ import annotations

import sys
import time

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication, QGraphicsView

from ui import app
from ui.window import Window


def tell(what: str) -> None:
    print(what, time.time(), flush=True)


class Watch(QObject):
    """Waits until the graph was painted with nodes in it and the event loop has come round again."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        window.engine.device_changed.connect(self._ready)
        # After the window's own first call, which opens the documents.
        QTimer.singleShot(0, self._look)

    def _look(self) -> None:
        views = [
            view for view in self._window.findChildren(QGraphicsView) if view.isVisible() and view.items()
        ]
        self._viewport = views[0].viewport()
        self._viewport.installEventFilter(self)
        self._viewport.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, lambda: tell("usable"))
        return False

    def _ready(self, device: object) -> None:
        if device is not None:
            tell("ready")
            QTimer.singleShot(0, self._end)

    def _end(self) -> None:
        self._window.close()
        QApplication.quit()


def watched() -> int:
    """What the application calls to enter its event loop."""
    window = next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, Window))
    watch = Watch(window)
    assert watch
    return enter()


enter = QApplication.exec
QApplication.exec = staticmethod(watched)  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(app.main([]))
