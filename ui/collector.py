"""Garbage is collected in the GUI thread only.

Python collects cycles in whichever thread happens to allocate. A cycle that holds a widget, freed from the
engine's reader thread, takes the process down.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

LOOK_EVERY_MS = 400


class Collector(QObject):
    """Takes over from the automatic collector while it lives. GUI thread."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._was_on = gc.isenabled()
        gc.disable()
        # Whoever froze before us means to keep it so.
        self._froze = gc.get_freeze_count() == 0
        if self._froze:
            gc.freeze()
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> None:
        """Collect the oldest generation whose threshold is passed."""
        counts, thresholds = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if thresholds[generation] and counts[generation] > thresholds[generation]:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Give the work back."""
        self._timer.stop()
        if self._froze:
            gc.unfreeze()
        if self._was_on:
            gc.enable()
