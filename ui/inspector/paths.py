"""The editor for files: typed, browsed for, or dropped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QLineEdit, QMenu, QToolButton, QWidget

from studio.spec import KnobSpec
from studio.types import Json
from ui.icons import icon
from ui.inspector.editor import Editor, UndoPassing
from ui.models.shelf import Shelf
from ui.models.wording import line

MOST_LISTED = 40
"""Models in the menu; the panel of models lists them all."""

FILTERS = {
    "image": "Pictures (*.png *.jpg *.jpeg *.webp *.tif *.tiff *.bmp *.exr);;All files (*)",
    "model": "Models (*.safetensors *.sft *.gguf *.ckpt *.pt *.pth *.bin *.json);;All files (*)",
    "text": "Text (*.txt *.csv);;All files (*)",
}


class PathField(QLineEdit):
    """A line that takes a dropped file as its path."""

    def __init__(self, editor: PathEditor) -> None:
        super().__init__(editor)
        self._editor = editor
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        if urls and urls[0].isLocalFile():
            event.acceptProposedAction()
            self._editor.choose(urls[0].toLocalFile())
        else:
            super().dropEvent(event)


class PathEditor(Editor):
    """Edits the path of a file, or of a folder where the knob accepts one."""

    def __init__(self, knob: KnobSpec, value: Json, parent: QWidget | None = None) -> None:
        super().__init__(value, parent)
        self._content = str(knob.options.get("content", "image"))
        self._folder = bool(knob.options.get("folder"))
        self.field = PathField(self)
        self.field.setAccessibleName(knob.name)
        self.field.setMinimumWidth(48)
        self.field.installEventFilter(UndoPassing(self))
        empty = "The one that ships with the application" if self._content == "model" else "None"
        self.field.setPlaceholderText(empty if knob.options.get("empty") else "Choose or drop a file")
        self.field.textEdited.connect(self.preview)
        self.field.editingFinished.connect(self.commit)
        self.browse = QToolButton(self)
        self.browse.setIcon(icon("open"))
        self.browse.setToolTip("Browse…")
        self.browse.setAccessibleName("Browse")
        self.browse.setAutoRaise(True)
        kinds = knob.options.get("kinds")
        self._kinds = tuple(str(kind) for kind in kinds) if isinstance(kinds, list) else ()
        if self._folder or self._kinds:
            menu = QMenu(self.browse)
            menu.aboutToShow.connect(self._fill_menu)
            self.browse.setMenu(menu)
            self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        else:
            self.browse.clicked.connect(self._browse_file)
        self.row.addWidget(self.field, 1)
        self.row.addWidget(self.browse)
        self.setFocusProxy(self.field)
        self.show_value()

    def show_value(self) -> None:
        text = self._value if isinstance(self._value, str) else ""
        if self.field.text() != text:
            self.field.setText(text)
        self.field.setToolTip(text)

    def choose(self, path: str) -> None:
        """Take a path that was picked as a whole."""
        if path:
            self.take(path)
            self.show_value()

    def _fill_menu(self) -> None:
        menu = self.browse.menu()
        menu.clear()
        shelf = self.window().findChild(Shelf)
        known = shelf.entries(self._kinds) if shelf is not None and self._kinds else []
        for entry in [entry for entry in known if not entry.problem][:MOST_LISTED]:
            action = menu.addAction(entry.name, partial(self.choose, str(entry.path)))
            action.setToolTip(line(entry))
        if known:
            menu.setToolTipsVisible(True)
            menu.addSeparator()
        menu.addAction("File…", self._browse_file)
        if self._folder:
            menu.addAction("Folder…", self._browse_folder)

    def _start(self) -> str:
        known = Path(str(self._value or ""))
        return str(known.parent if known.parent.is_dir() else Path.home())

    def _browse_file(self) -> None:
        self._open(QFileDialog.FileMode.ExistingFile)

    def _browse_folder(self) -> None:
        self._open(QFileDialog.FileMode.Directory)

    def _open(self, mode: QFileDialog.FileMode) -> None:
        dialog = QFileDialog(
            self.window(), "Choose", self._start(), FILTERS.get(self._content, "All files (*)")
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(mode)
        dialog.fileSelected.connect(self.choose)
        dialog.open()
