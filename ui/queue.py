"""The list of runs: what the engine is at, what waits, what is done."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.icons import icon
from ui.runs import Run, Runs
from ui.theme import DARK, METRICS

KEPT = 40
WORDS = {
    "waiting": "waiting",
    "sent": "sent to the engine",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "superseded": "replaced by a newer run",
}
ICONS = {
    "waiting": ("queue", DARK.muted),
    "sent": ("queue", DARK.muted),
    "running": ("run", DARK.running),
    "done": ("done", DARK.good),
    "failed": ("error", DARK.bad),
    "cancelled": ("close", DARK.muted),
    "superseded": ("close", DARK.muted),
}


class QueuePanel(QWidget):
    """Runs in order, with a way to cancel each and all."""

    def __init__(self, runs: Runs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs = runs
        self._over: list[Run] = []
        self.list = QListWidget(self)
        self.list.setAccessibleName("Runs")
        self.list.setIconSize(QSize(METRICS.icon, METRICS.icon))
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.words = QLabel(self)
        self.words.setStyleSheet(f"color: {DARK.muted}")
        self.cancel_button = QPushButton("Cancel selected", self)
        self.cancel_all_button = QPushButton("Cancel all", self)
        self.cancel_button.clicked.connect(self._cancel_selected)
        self.cancel_all_button.clicked.connect(runs.cancel_all)
        self.list.itemSelectionChanged.connect(self._enable)
        bar = QHBoxLayout()
        bar.setContentsMargins(METRICS.margin, 4, METRICS.margin, 4)
        bar.addWidget(self.words, 1)
        bar.addWidget(self.cancel_button)
        bar.addWidget(self.cancel_all_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.list, 1)
        layout.addLayout(bar)
        runs.changed.connect(self.refresh)
        runs.happened.connect(self._hear)
        self.refresh()

    def refresh(self) -> None:
        """Show the queue as it is."""
        chosen = {run.id for run in self._chosen()}
        self.list.clear()
        under_way = [*self._runs.sent.values(), *self._runs.waiting]
        for run in (*under_way, *reversed(self._over)):
            name, ink = ICONS[run.standing]
            time = f", {run.seconds:.1f} s" if run.seconds else ""
            item = QListWidgetItem(icon(name, ink), f"{run.title}   {WORDS[run.standing]}{time}")
            item.setData(Qt.ItemDataRole.UserRole, run)
            self.list.addItem(item)
            item.setSelected(run.id in chosen)
        waiting = len(self._runs.waiting)
        self.words.setText(f"{waiting} waiting" if waiting else "Nothing waits" if not under_way else "")
        self._enable()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Delete:
            self._cancel_selected()
        else:
            super().keyPressEvent(event)

    def _hear(self, run: Run, _event: object) -> None:
        if run.standing in ("done", "failed", "cancelled") and run not in self._over:
            self._over = [*self._over, run][-KEPT:]
            self.refresh()

    def _chosen(self) -> list[Run]:
        return [item.data(Qt.ItemDataRole.UserRole) for item in self.list.selectedItems()]

    def _open(self) -> list[Run]:
        return [run for run in self._chosen() if run.standing in ("waiting", "sent", "running")]

    def _cancel_selected(self) -> None:
        for run in self._open():
            self._runs.cancel(run)

    def _enable(self) -> None:
        self.cancel_button.setEnabled(bool(self._open()))
        self.cancel_all_button.setEnabled(bool(self._runs.sent or self._runs.waiting))
