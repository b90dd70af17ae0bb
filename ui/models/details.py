"""What is known of one model, beside the list."""

from __future__ import annotations

import html
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QScrollArea, QWidget

from studio.models.catalogue import Entry
from ui.models.pictures import Pictures
from ui.models.wording import line
from ui.theme import DARK, METRICS

PICTURE_PX = 120
PARTS = 4
SHARPEST = 2
"""Pixels of a picture to a point of a screen."""
SHOWN = 16
"""Digits of a digest: one long word would make the text as wide."""
WORDS, DIGEST, FOLDER = "words", "digest", "folder"


class Details(QWidget):
    """Picture, words and digests of a model, and what can be done with it; `use` is placed by its owner."""

    use_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: Entry | None = None
        self.pictures = Pictures(SHARPEST * PICTURE_PX, self)
        self.picture = QLabel(self)
        self.picture.setFixedSize(PICTURE_PX, PICTURE_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words = QLabel(self)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setWordWrap(True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.words.linkActivated.connect(self._follow)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(self.words)
        self.use = QPushButton("Add to the graph", self)
        self.use.clicked.connect(lambda: self._entry and self.use_wanted.emit(self._entry))
        row = QHBoxLayout(self)
        row.setContentsMargins(METRICS.margin, 4, METRICS.margin, 4)
        row.setSpacing(METRICS.margin)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(scroll, 1)
        self.pictures.changed.connect(self._show_picture)
        self.show_entry(None)

    def show_entry(self, entry: Entry | None) -> None:
        """Tell of a model; of None, how to begin."""
        if entry is not None and entry == self._entry:
            return
        self._entry = entry
        self.use.setEnabled(entry is not None and not entry.problem)
        self._show_picture()
        if entry is None:
            self.words.setText(f'<span style="color:{DARK.muted}">Choose a model to see what it is.</span>')
        else:
            self.words.setText(_told(entry))

    def _show_picture(self) -> None:
        found = self.pictures.of(self._entry) if self._entry is not None else None
        self.picture.setVisible(found is not None)
        if found is not None:
            pixmap = QPixmap.fromImage(found)
            pixmap.setDevicePixelRatio(SHARPEST)
            self.picture.setPixmap(pixmap)

    def _follow(self, link: str) -> None:
        if self._entry is None:
            return
        digests = self._entry.digests
        if link == FOLDER:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._entry.path.parent)))
        elif link == WORDS:
            QGuiApplication.clipboard().setText(", ".join(self._entry.facts.trigger_words))
        elif digests is not None:
            QGuiApplication.clipboard().setText(digests.sha256)


def _told(entry: Entry) -> str:
    facts, digests = entry.facts, entry.digests
    rows = [
        ("By", facts.author),
        ("Words", ", ".join(facts.trigger_words)),
        ("Trained at", facts.resolution),
        ("Licence", facts.licence),
        ("AutoV2", digests.autov2 if digests else ""),
        ("AutoV3", digests.autov3 if digests else ""),
        ("SHA-256", f"{digests.sha256[:SHOWN]}…" if digests else ""),
        ("File", _short(entry.path)),
        ("", facts.description),
    ]
    links = {"Words": (WORDS, "copy"), "SHA-256": (DIGEST, "copy"), "File": (FOLDER, "show")}
    cells = "".join(
        f'<tr><td style="color:{DARK.muted}; padding-right:10px">{name}</td>'
        f"<td>{html.escape(text)}{_link(*links[name]) if name in links else ''}</td></tr>"
        for name, text in rows
        if text
    )
    title = html.escape(facts.title or entry.path.stem)
    said = html.escape(entry.problem or line(entry))
    ink = DARK.warning if entry.problem else DARK.muted
    return f'<b>{title}</b><br><span style="color:{ink}">{said}</span><table>{cells}</table>'


def _link(target: str, words: str) -> str:
    return f' <a href="{target}" style="color:{DARK.accent}">{words}</a>'


def _short(path: Path) -> str:
    """A path by its last folders, each in reach of a line break."""
    parts = path.parts
    return str(path) if len(parts) <= PARTS else f"… / {' / '.join(parts[-PARTS:])}"
