"""The open documents, one tab each: opening, saving, closing, and what was open lately."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QTabBar, QTabWidget, QToolButton, QWidget

from studio.catalogue import Catalogue
from studio.document import Content
from studio.errors import FileError
from studio.files import workflow
from studio.settings import Settings
from ui.background import Background
from ui.icons import icon
from ui.page import Page, as_new
from ui.theme import DARK

RECENT = 12
FILTER = "Workflows (*.json *.studio);;Pictures with a workflow (*.png);;All files (*)"
SAVE_FILTER = "Workflow (*.json);;Workflow with pictures and masks (*.studio)"
SUFFIXES = (".json", ".studio", ".png")


class Documents(QTabWidget):
    """Pages in tabs. GUI thread."""

    page_opened = Signal(object)
    page_closed = Signal(object)
    page_saved = Signal(object)
    page_shown = Signal(object)
    page_retitled = Signal(object)
    recent_changed = Signal()
    said = Signal(str, bool)

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        background: Background,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._settings = settings
        self._catalogue = catalogue
        self.setDocumentMode(True)
        self.setMovable(True)
        self.setUsesScrollButtons(True)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self.currentChanged.connect(lambda _index: self.page_shown.emit(self.page))

    @property
    def page(self) -> Page | None:
        """The page in front."""
        widget = self.currentWidget()
        return widget if isinstance(widget, Page) else None

    def pages(self) -> list[Page]:
        """All pages in the order of their tabs."""
        found = (self.widget(index) for index in range(self.count()))
        return [page for page in found if isinstance(page, Page)]

    def page_of(self, key: str) -> Page | None:
        """The page of that key, if it is open still."""
        return next((page for page in self.pages() if page.key == key), None)

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Show nodes by this catalogue from now on."""
        self._catalogue = catalogue
        for page in self.pages():
            page.set_catalogue(catalogue)

    # Opening

    def new(self) -> Page:
        """Open an empty document."""
        return self.add(Content())

    def add(
        self, content: Content, path: Path | None = None, *, unsaved: bool = False, key: str = ""
    ) -> Page:
        """Open a document in a tab of its own; an untouched new one in front of it gives way."""
        front = self.page
        page = Page(content, self._catalogue, self._background, path, unsaved=unsaved, key=key)
        page.title_changed.connect(lambda: self._retitle(page))
        page.levels.refused.connect(lambda why: self.said.emit(why, True))
        self.page_opened.emit(page)
        index = self.addTab(page, page.title)
        self.tabBar().setTabButton(index, QTabBar.ButtonPosition.RightSide, self._close_button(page))
        self.setCurrentIndex(index)
        self._retitle(page)
        if front is not None and front.untouched and not front.content.root.nodes and content.root.nodes:
            self._remove(front)
        page.view.setFocus()
        return page

    def _close_button(self, page: Page) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon("close", DARK.muted))
        button.setIconSize(QSize(14, 14))
        button.setStyleSheet("QToolButton { padding: 2px; }")
        button.setToolTip("Close (Ctrl+W)")
        button.setAccessibleName("Close tab")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda: self.close_page(page))
        return button

    def open(self, path: Path) -> Page | None:
        """Open a workflow file, or a picture that carries one; says why if it cannot."""
        path = path.absolute()
        for page in self.pages():
            if page.path == path:
                self.setCurrentWidget(page)
                return page
        try:
            loaded = workflow.load(path)
        except FileError as error:
            self.said.emit(str(error), True)
            return None
        picture = path.suffix.lower() not in (".json", ".studio")
        page = self.add(as_new(loaded.content) if picture else loaded.content, None if picture else path)
        page.blobs = loaded.blobs
        page.note_file_problems(loaded.problems)
        if not picture:
            self._remember(path)
        return page

    def open_template(self, path: Path) -> Page | None:
        """Open a template as a document without a file."""
        try:
            loaded = workflow.load(path)
        except FileError as error:
            self.said.emit(str(error), True)
            return None
        return self.add(as_new(loaded.content))

    def ask_open(self) -> None:
        """Let a person choose files to open."""
        dialog = self._dialog("Open", FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(lambda names: [self.open(Path(name)) for name in names])
        dialog.open()

    # Saving

    def save(self, page: Page, then: Callable[[], None] | None = None) -> None:
        """Save where it is kept; ask where, if nowhere. `then` is called once it is saved."""
        if page.path is None:
            self.save_as(page, then)
        else:
            self._write(page, page.path, then)

    def save_as(self, page: Page, then: Callable[[], None] | None = None) -> None:
        """Let a person choose where to save."""
        dialog = self._dialog("Save as", SAVE_FILTER)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("json")
        dialog.selectFile(str(page.path or f"{page.title}.json"))
        dialog.filterSelected.connect(
            lambda chosen: dialog.setDefaultSuffix("studio" if ".studio" in chosen else "json")
        )
        dialog.fileSelected.connect(lambda name: self._write(page, Path(name), then))
        dialog.open()

    def _write(self, page: Page, path: Path, then: Callable[[], None] | None) -> None:
        try:
            page.save(path.absolute())
        except FileError as error:
            self.said.emit(str(error), True)
            return
        self._remember(path.absolute())
        self.page_saved.emit(page)
        self.said.emit(f"Saved {path.name}.", False)
        if then is not None:
            then()

    # Closing

    def close_page(self, page: QWidget | None) -> None:
        """Close a tab; asks first if that would lose something."""
        if not isinstance(page, Page):
            return
        if not page.unsaved:
            self._remove(page)
            return
        self.setCurrentWidget(page)
        box = QMessageBox(self.window())
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setText(f"“{page.title}” has changes that are not saved.")
        box.setInformativeText("Without saving they are lost.")
        button = QMessageBox.StandardButton
        box.setStandardButtons(button.Save | button.Discard | button.Cancel)
        box.setDefaultButton(button.Save)
        box.buttonClicked.connect(lambda pressed: self._answer(page, box.standardButton(pressed)))
        box.open()

    def _answer(self, page: Page, answer: QMessageBox.StandardButton) -> None:
        if answer == QMessageBox.StandardButton.Save:
            self.save(page, lambda: self._remove(page))
        elif answer == QMessageBox.StandardButton.Discard:
            self._remove(page)

    def _remove(self, page: Page) -> None:
        index = self.indexOf(page)
        if index < 0:
            return
        page.close_page()
        self.removeTab(index)
        self.page_closed.emit(page)
        page.deleteLater()

    # Recent files

    @property
    def recent(self) -> list[Path]:
        """Files opened or saved lately, newest first."""
        listed: list[object] = self._settings.get("recent", list[object]())
        return [Path(name) for name in listed if isinstance(name, str)]

    def forget_recent(self) -> None:
        """Empty the list of recent files."""
        self._settings.put("recent", [])
        self.recent_changed.emit()

    def _remember(self, path: Path) -> None:
        listed = [path, *(item for item in self.recent if item != path)][:RECENT]
        self._settings.put("recent", [str(item) for item in listed])
        self._settings.put("folder", str(path.parent))
        self.recent_changed.emit()

    def _retitle(self, page: Page) -> None:
        index = self.indexOf(page)
        if index >= 0:
            self.setTabText(index, f"{page.title} •" if page.unsaved else page.title)
            self.setTabToolTip(index, str(page.path or "Not saved as a file yet"))
            self.page_retitled.emit(page)

    def _dialog(self, title: str, kinds: str) -> QFileDialog:
        folder = self._settings.get("folder", str(Path.home()))
        dialog = QFileDialog(self.window(), title, folder, kinds)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog
