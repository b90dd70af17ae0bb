"""Pictures of models, read and decoded on a thread once they are looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageReader

from studio.models.catalogue import Entry, thumbnail
from ui.background import Background

MOST_PIXELS = 40_000_000
MOST_KEPT = 400
Key = tuple[Path, int]


class Pictures(QObject):
    """Gives pictures that fit a square. Owned by the GUI thread.

    Args:
        side_px: Of the square.
        parent: As Qt means it.
    """

    changed = Signal()
    """Another picture can be had."""

    def __init__(self, side_px: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._side = side_px
        self._background = Background(self)
        self._closed = False
        self._known: dict[Key, QImage | None] = {}

    def of(self, entry: Entry) -> QImage | None:
        """The picture of a model; None if it has none, or until `changed`."""
        key = (entry.path, entry.modified_ns)
        if key not in self._known and not self._closed:
            while len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = None
            self._background.do(partial(self._read, entry), partial(self._take, key))
        return self._known.get(key)

    def close(self) -> None:
        """Read nothing more, not even what is waited for."""
        self._closed = True
        self._background.close()

    def _read(self, entry: Entry) -> QImage | None:
        return None if self._closed else _decoded(entry, self._side)

    def _take(self, key: Key, picture: QImage | None) -> None:
        if picture is not None and key in self._known:
            self._known[key] = picture
            self.changed.emit()


def _decoded(entry: Entry, side: int) -> QImage | None:
    """Decoded as a stranger's: the size is looked at before anything is allocated."""
    data = thumbnail(entry)
    if data is None:
        return None
    buffer = QBuffer()
    buffer.setData(QByteArray(data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    size = reader.size()
    if not size.isValid() or size.width() * size.height() > MOST_PIXELS:
        return None
    reader.setScaledSize(size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio))
    picture = reader.read()
    return None if picture.isNull() else picture
