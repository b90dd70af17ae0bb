"""The panel of models: search, folders, the list, and what is known of one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QMessageBox,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from studio.models.catalogue import Entry
from ui.models.details import SHARPEST, Details
from ui.models.listing import ENTRY, ROW_HEIGHT, Listing, Row
from ui.models.pictures import Pictures
from ui.models.shelf import Shelf
from ui.models.vocabulary import Vocabulary
from ui.models.wording import OTHER, TYPES, matches
from ui.theme import DARK, METRICS

EMPTY = (
    "No models yet.\nName the folders they lie in: those of other tools will do, nothing is moved or changed."
)
NONE_FOUND = "No model answers to that."


class ModelPanel(QWidget):
    """Lists the models of a shelf; a double click, or the button, puts one into the graph."""

    use_wanted = Signal(object)

    def __init__(self, shelf: Shelf, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shelf = shelf
        self.vocabulary = Vocabulary(parent=self)
        self.vocabulary.ended.connect(self._fetched)
        self.query = QLineEdit(self)
        self.query.setPlaceholderText("Search by name, family, word")
        self.query.setAccessibleName("Search models")
        self.query.setClearButtonEnabled(True)
        self.kind = QComboBox(self)
        self.kind.setAccessibleName("Type of model")
        self.folders = QPushButton("Folders", self)
        self.folders.setMenu(QMenu(self.folders))
        self.folders.menu().aboutToShow.connect(self._fill_folders)
        self.listing = Listing()
        self.list = QListView(self)
        self.list.setAccessibleName("Models")
        self.list.setModel(self.listing)
        self.pictures = Pictures(SHARPEST * ROW_HEIGHT, self)
        self.pictures.changed.connect(self.list.viewport().update)
        self.list.setItemDelegate(Row(self.pictures, self.list))
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setDragEnabled(True)
        self.details = Details(self)
        self._lay_out()
        self.query.textChanged.connect(self._list)
        self.kind.currentIndexChanged.connect(self._list)
        self.list.selectionModel().currentChanged.connect(self._show)
        self.list.activated.connect(self._use)
        self.list.doubleClicked.connect(self._use)
        self.details.use_wanted.connect(self.use_wanted)
        shelf.changed.connect(self._refill)
        shelf.busy_changed.connect(self._tell)
        self._refill()

    def add_folder(self) -> None:
        """Ask for a folder to look through."""
        dialog = QFileDialog(self.window(), "Folder of models")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda folder: self._shelf.add_folder(Path(folder)))
        dialog.open()

    def close_panel(self) -> None:
        """Stop all that works on threads."""
        self.vocabulary.close()
        self.pictures.close()
        self.details.pictures.close()

    def entry(self) -> Entry | None:
        """The model that is chosen."""
        index = self.list.currentIndex()
        return index.data(ENTRY) if index.isValid() else None

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setContentsMargins(METRICS.margin, 6, METRICS.margin, 4)
        line.addWidget(self.query, 1)
        line.addWidget(self.kind)
        line.addWidget(self.folders)
        line.addWidget(self.details.use)
        line.setSpacing(6)
        self.words = QLabel(self)
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words.setWordWrap(True)
        self.words.setStyleSheet(f"color: {DARK.muted}")
        self.add = QPushButton("Add a folder…", self)
        self.add.clicked.connect(self.add_folder)
        bare = QWidget(self)
        column = QVBoxLayout(bare)
        column.addStretch(1)
        column.addWidget(self.words)
        column.addWidget(self.add, 0, Qt.AlignmentFlag.AlignCenter)
        column.addStretch(1)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(self.list)
        split.addWidget(self.details)
        split.setSizes([500, 500])
        split.setChildrenCollapsible(False)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(bare)
        self.stack.addWidget(split)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(line)
        outer.addWidget(self.stack, 1)

    def _refill(self) -> None:
        """The types that are there, then the list."""
        chosen = self.kind.currentData()
        there = {entry.type if entry.type in TYPES else "" for entry in self._shelf.entries()}
        self.kind.blockSignals(True)
        self.kind.clear()
        self.kind.addItem("All types", None)
        for name, title in (*TYPES.items(), ("", OTHER)):
            if name in there:
                self.kind.addItem(title, name)
        self.kind.setCurrentIndex(max(0, self.kind.findData(chosen)))
        self.kind.blockSignals(False)
        self._list()

    def _list(self) -> None:
        kind, words = self.kind.currentData(), self.query.text().lower().split()
        every = self._shelf.entries()
        shown = [entry for entry in every if matches(entry, words) and _is(entry, kind)]
        chosen = self.entry()
        self.listing.show(shown)
        row = self.listing.row_of(chosen) if chosen else -1
        if row >= 0:
            self.list.setCurrentIndex(self.listing.index(row, 0))
        self.details.show_entry(self.entry())
        self.add.setVisible(not every)
        self.stack.setCurrentIndex(1 if shown else 0)
        self._tell()

    def _tell(self) -> None:
        looking = self._shelf.busy and not self._shelf.entries()
        self.words.setText("Looking…" if looking else NONE_FOUND if self._shelf.entries() else EMPTY)

    def _show(self, index: QModelIndex) -> None:
        self.details.show_entry(index.data(ENTRY) if index.isValid() else None)

    def _use(self, index: QModelIndex) -> None:
        entry: Entry = index.data(ENTRY)
        if not entry.problem:
            self.use_wanted.emit(entry)

    def _fill_folders(self) -> None:
        menu = self.folders.menu()
        menu.clear()
        menu.addAction("Add a folder…", self.add_folder)
        menu.addAction("Look again", self._shelf.look)
        if self.vocabulary.wanted(self._shelf.entries()):
            fetching = self.vocabulary.busy
            words = "Fetching T5's vocabulary…" if fetching else "Fetch T5's vocabulary from the hub (0.8 MB)"
            menu.addAction(words, self.vocabulary.fetch).setEnabled(not fetching)
        if self._shelf.folders:
            menu.addSeparator()
        for folder in self._shelf.folders:
            menu.addAction(f"Forget {folder}", partial(self._shelf.forget_folder, folder))

    def _fetched(self, trouble: str) -> None:
        if trouble:
            box = QMessageBox(QMessageBox.Icon.Warning, "T5's vocabulary", trouble, parent=self.window())
            box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            box.open()


def _is(entry: Entry, kind: str | None) -> bool:
    return kind is None or entry.type == kind or (not kind and entry.type not in TYPES)
