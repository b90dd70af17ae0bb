"""The few things a person sets once: where pictures go, and how much is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from studio.settings import Settings
from studio.worker.protocol import CacheReply, CacheRequest
from ui.engine import Engine
from ui.theme import DARK

MOST_GB = 1024.0


class Preferences(QDialog):
    """Applies each change at once; there is nothing to confirm."""

    output_dir_chosen = Signal(str)

    def __init__(
        self, engine: Engine, settings: Settings, output_dir: Path, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Preferences")
        self.setMinimumWidth(520)
        self._engine = engine
        self.folder = QLineEdit(str(output_dir), self)
        self.folder.setAccessibleName("Folder for saved pictures")
        self.folder.editingFinished.connect(lambda: self._choose(self.folder.text()))
        browse = QPushButton("Browse…", self)
        browse.setAutoDefault(False)
        browse.clicked.connect(self._browse)
        self.cache = QLabel("…", self)
        self.cache.setWordWrap(True)
        self.cache.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.clear = QPushButton("Clear…", self)
        self.clear.setAutoDefault(False)
        self.clear.clicked.connect(self._ask_clear)
        self.card = _gigabytes(settings, "device_memory_gb", "Memory of the card for models", self)
        self.weights = _gigabytes(settings, "weights_ram_gb", "Main memory for models", self)
        note = QLabel("Both hold from the next start of the engine.", self)
        note.setStyleSheet(f"color: {DARK.muted}")
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(14)
        form.addRow("Save pictures in", _beside(self.folder, browse))
        form.addRow("Stored results", _beside(self.cache, self.clear))
        form.addRow("Models on the card", self.card)
        form.addRow("Models in memory", self.weights)
        form.addRow("", note)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 20, 20, 16)
        layout.setSpacing(18)
        layout.addLayout(form)
        layout.addWidget(buttons)
        engine.cache_measured.connect(self._measured)
        engine.send(CacheRequest("preferences"))

    def _measured(self, reply: CacheReply) -> None:
        self.cache.setText(
            f"{sized(reply.disk_bytes)} of at most {sized(reply.disk_limit_bytes)} on disk "
            f"({reply.disk_entries} entries), {sized(reply.ram_bytes)} in memory\n{reply.path}"
        )
        self.adjustSize()

    def _choose(self, folder: str) -> None:
        if folder.strip():
            self.folder.setText(folder)
            self.output_dir_chosen.emit(folder)

    def _browse(self) -> None:
        dialog = QFileDialog(self, "Folder for saved pictures", self.folder.text())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self._choose)
        dialog.open()

    def _ask_clear(self) -> None:
        ask_clear(self, lambda: self._engine.send(CacheRequest("preferences", clear=True)))


def _gigabytes(settings: Settings, name: str, said: str, parent: QWidget) -> QDoubleSpinBox:
    """A field for how much memory may be taken; 0 leaves it to the engine."""
    field = QDoubleSpinBox(parent)
    field.setAccessibleName(said)
    field.setRange(0.0, MOST_GB)
    field.setDecimals(1)
    field.setSingleStep(0.5)
    field.setStyleSheet(
        "QDoubleSpinBox::up-button, QDoubleSpinBox::down-button { width: 0; border: none; }"
        "QDoubleSpinBox QLineEdit { border: none; padding: 0 7px; background: transparent; }"
    )
    field.setSuffix(" GB at most")
    field.setSpecialValueText("automatic")
    field.setValue(settings.get(name, 0.0))
    field.editingFinished.connect(lambda: settings.put(name, field.value()))
    return field


def sized(count: int) -> str:
    """A number of bytes as people read it."""
    if 0 < count < 1e6:
        return f"{max(count / 1e3, 1):.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def ask_clear(parent: QWidget, clear: Callable[[], None]) -> None:
    """Ask before what was computed is thrown away."""
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setText("Clear the stored results?")
    box.setInformativeText("Everything has to be computed again. Saved pictures and workflows stay.")
    yes = box.addButton("Clear", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    yes.clicked.connect(clear)
    box.open()


def _beside(left: QWidget, right: QWidget) -> QHBoxLayout:
    line = QHBoxLayout()
    line.addWidget(left, 1)
    line.addWidget(right, 0, Qt.AlignmentFlag.AlignTop)
    return line
