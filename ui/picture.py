"""The panel beside the graph: the picture large, with what can be done to it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from ui.elided import ElidedLabel
from ui.icons import icon
from ui.results import Shot
from ui.theme import DARK, METRICS
from ui.viewer import PictureView

EMPTY = (
    "Press Run (Ctrl+Return) and the picture appears here.\n\n"
    "A picture saved by Latent Studio, dropped on this window, opens the graph that made it."
)


class PicturePanel(QWidget):
    """Shows the newest result, or the latent while it takes shape."""

    save_wanted = Signal(object)
    graph_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shot: Shot | None = None
        self._full = QImage()
        self.previewing = False
        self.view = PictureView(self)
        self.view.empty_text = EMPTY
        self.caption = ElidedLabel(self, Qt.TextElideMode.ElideMiddle)
        self.zoom = QLabel(self)
        self.zoom.setStyleSheet(f"color: {DARK.muted}")
        self.view.zoomed.connect(lambda scale: self.zoom.setText(f"{scale:.0%}"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.view, 1)
        layout.addLayout(self._bar())
        self._enable()

    def _bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setContentsMargins(METRICS.margin, 4, 6, 4)
        bar.setSpacing(2)
        bar.addWidget(self.caption, 1)
        bar.addSpacing(METRICS.spacing)
        bar.addWidget(self.zoom)
        bar.addWidget(self._button("fit", "Fit the picture into the view (F)", self.view.fit))
        bar.addWidget(self._button("actual", "One pixel of it on one of the screen (1)", self.view.actual))
        self.copy_button = self._button("copy", "Copy the picture", self.copy)
        self.graph_button = self._button("graph", "Open the graph that made it", self._want_graph)
        self.save_button = self._button("save", "Save the picture as…", self._want_save)
        for button in (self.copy_button, self.graph_button, self.save_button):
            bar.addWidget(button)
        return bar

    def _button(self, name: str, words: str, do: object) -> QToolButton:
        button = QToolButton(self)
        button.setIcon(icon(name))
        button.setIconSize(QSize(METRICS.icon, METRICS.icon))
        button.setToolTip(words)
        button.setAccessibleName(words)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(do)
        return button

    @property
    def full(self) -> QImage:
        """The picture in full size; null while there is none."""
        return self._full

    def show_shot(self, shot: Shot, picture: QImage) -> None:
        """Show a result in full size."""
        self.shot, self._full, self.previewing = shot, picture, False
        self.view.show_picture(picture)
        name = shot.path.name if shot.path else shot.node
        self._caption(f"{picture.width()} × {picture.height()} px   {name}")
        self.caption.setToolTip(str(shot.path or ""))
        self._enable()

    def show_preview(self, picture: QImage, words: str) -> None:
        """Show a latent taking shape; nothing of it can be saved."""
        self.previewing = True
        self.view.show_picture(picture, stretched=True)
        self._caption(words)
        self._enable()

    def end_preview(self) -> None:
        """The run is over: back to the last result, if no newer one came."""
        if not self.previewing:
            return
        self.previewing = False
        if self.shot is not None:
            self.show_shot(self.shot, self._full)
            return
        self.view.show_picture(QImage())
        self._caption("")
        self._enable()

    def tell(self, sentence: str) -> None:
        """Say why there is no picture."""
        self.shot, self._full, self.previewing = None, QImage(), False
        self.view.empty_text = sentence
        self.view.show_picture(QImage())
        self._caption("")
        self._enable()

    def copy(self) -> None:
        """Put the picture into the clipboard."""
        if not self._full.isNull():
            QGuiApplication.clipboard().setImage(self._full)

    def _caption(self, words: str) -> None:
        self.caption.setText(words)
        self.zoom.setVisible(bool(words) and not self.previewing)

    def _enable(self) -> None:
        there = self.shot is not None and not self._full.isNull() and not self.previewing
        for button in (self.copy_button, self.save_button):
            button.setEnabled(there)
        made = there and self.shot is not None and (self.shot.content or self.shot.path) is not None
        self.graph_button.setEnabled(made)

    def _want_save(self) -> None:
        if self.shot is not None:
            self.save_wanted.emit(self.shot)

    def _want_graph(self) -> None:
        if self.shot is not None:
            self.graph_wanted.emit(self.shot)
