"""What is known of one model, beside the list."""

from __future__ import annotations

import html

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImageReader, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from studio.models.catalogue import Entry, thumbnail
from ui.models.wording import line
from ui.theme import DARK, METRICS

PICTURE_PX = 120
MOST_PIXELS = 40_000_000


class Details(QWidget):
    """Picture, words and digests of a model, and what can be done with it."""

    use_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: Entry | None = None
        self.picture = QLabel(self)
        self.picture.setFixedSize(PICTURE_PX, PICTURE_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words = QLabel(self)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setWordWrap(True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(self.words)
        self.use = QPushButton("Add to the graph", self)
        self.use.clicked.connect(lambda: self._entry and self.use_wanted.emit(self._entry))
        self.copy = QPushButton("Copy its words", self)
        self.copy.clicked.connect(self._copy)
        self.folder = QPushButton("Show the folder", self)
        self.folder.clicked.connect(self._show_folder)
        buttons = QHBoxLayout()
        for button in (self.use, self.copy, self.folder):
            buttons.addWidget(button)
        buttons.addStretch(1)
        right = QVBoxLayout()
        right.addWidget(scroll, 1)
        right.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(METRICS.margin, 4, METRICS.margin, 4)
        row.setSpacing(METRICS.margin)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(right, 1)
        self.show_entry(None)

    def show_entry(self, entry: Entry | None) -> None:
        """Tell of a model; of None, how to begin."""
        if entry is not None and entry == self._entry:
            return
        self._entry = entry
        for button in (self.use, self.copy, self.folder):
            button.setVisible(entry is not None)
        self.picture.setVisible(entry is not None)
        if entry is None:
            self.words.setText(f'<span style="color:{DARK.muted}">Choose a model to see what it is.</span>')
            return
        self.use.setEnabled(not entry.problem)
        self.copy.setVisible(bool(entry.facts.trigger_words))
        self.words.setText(_told(entry))
        found = _picture(entry, self.devicePixelRatioF())
        self.picture.setVisible(found is not None)
        if found is not None:
            self.picture.setPixmap(found)

    def _copy(self) -> None:
        if self._entry is not None:
            QGuiApplication.clipboard().setText(", ".join(self._entry.facts.trigger_words))

    def _show_folder(self) -> None:
        if self._entry is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._entry.path.parent)))


def _told(entry: Entry) -> str:
    facts, digests = entry.facts, entry.digests
    rows = [
        ("By", facts.author),
        ("Words", ", ".join(facts.trigger_words)),
        ("Trained at", facts.resolution),
        ("Licence", facts.licence),
        ("AutoV2", digests.autov2 if digests else ""),
        ("AutoV3", digests.autov3 if digests else ""),
        ("SHA-256", digests.sha256 if digests else ""),
        ("File", str(entry.path)),
        ("", facts.description),
    ]
    cells = "".join(
        f'<tr><td style="color:{DARK.muted}; padding-right:10px">{name}</td><td>{html.escape(text)}</td></tr>'
        for name, text in rows
        if text
    )
    title = html.escape(facts.title or entry.path.stem)
    said = html.escape(entry.problem or line(entry))
    ink = DARK.warning if entry.problem else DARK.muted
    return f'<b>{title}</b><br><span style="color:{ink}">{said}</span><table>{cells}</table>'


def _picture(entry: Entry, ratio: float) -> QPixmap | None:
    """The model's picture, decoded as a stranger's: its size is looked at before anything is allocated."""
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
    side = round(PICTURE_PX * ratio)
    reader.setScaledSize(size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio))
    pixmap = QPixmap.fromImage(reader.read())
    if pixmap.isNull():
        return None
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
