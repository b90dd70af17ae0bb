"""What keeps the graph from running, as sentences, with a jump to the node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel, QListWidget, QListWidgetItem, QStackedLayout, QWidget

from studio.errors import Action, Problem
from studio.events import NodeFailed
from ui.icons import icon
from ui.theme import DARK, METRICS

OFFERS = {"t5_vocabulary": "Download it now (0.8 MB, from the hub)"}
_TROUBLE = Qt.ItemDataRole.UserRole
_ACTION = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class Trouble:
    """A row of the list.

    Attributes:
        title: What is wrong.
        remedy: What to do about it.
        address: Node to jump to, as ``sub/node`` or, if `graph` is not the root, the id in that graph.
        graph: Definition that holds the node; empty for an address from the root.
        socket: Input or knob to blame.
        failed: It happened in a run, rather than being seen before.
        action: What a click can do about it.
    """

    title: str
    remedy: str = ""
    address: str = ""
    graph: str = ""
    socket: str = ""
    failed: bool = False
    action: Action = ""


def trouble_of(problem: Problem) -> Trouble:
    """A problem of validation as a row."""
    return Trouble(problem.title, problem.remedy, problem.node, problem.graph, problem.socket)


def trouble_of_failure(event: NodeFailed) -> Trouble:
    """A failure of a run as a row."""
    return Trouble(event.title, event.remedy, event.node, "", event.socket, True, event.action)


def _same(trouble: Trouble) -> tuple[str, ...]:
    """What a failure and the problem behind it share; their addresses begin at different graphs."""
    return trouble.title, trouble.remedy, trouble.socket, trouble.address.rpartition("/")[2]


class ProblemList(QWidget):
    """The list; activating a row asks for a jump to its node, or for what the row offers to do."""

    jump_wanted = Signal(object)
    action_wanted = Signal(str)
    counted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: tuple[Trouble, ...] = ()
        self.list = QListWidget(self)
        self.list.setAccessibleName("Problems")
        self.list.setWordWrap(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.list.setIconSize(QSize(METRICS.icon, METRICS.icon))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._jump)
        self.list.itemActivated.connect(self._jump)
        self._empty = QLabel("No problems: everything in this graph can run.", self)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setStyleSheet(f"color: {DARK.muted}")
        self._layout = QStackedLayout(self)
        self._layout.addWidget(self._empty)
        self._layout.addWidget(self.list)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is listed."""
        return self._shown

    def show_troubles(self, failures: Sequence[Trouble], problems: Iterable[Problem]) -> None:
        """List failures of the last run first, then what else validation found."""
        failed = set(map(_same, failures))
        found = (trouble for trouble in map(trouble_of, problems) if _same(trouble) not in failed)
        shown = (*failures, *found)
        if shown == self._shown:
            return
        self._shown = shown
        self.list.clear()
        for trouble in shown:
            told = not trouble.address or f"“{trouble.address}”" in trouble.title
            where = "" if told else f"{trouble.address}: "
            item = QListWidgetItem(f"{where}{trouble.title}\n{trouble.remedy}".strip())
            ink = DARK.bad if trouble.failed else DARK.warning
            item.setIcon(icon("error" if trouble.failed else "warning", ink))
            item.setToolTip("Click to go to the node" if trouble.address else "")
            item.setData(_TROUBLE, trouble)
            self.list.addItem(item)
            if trouble.action:
                self.list.addItem(_offer(trouble.action))
        self._layout.setCurrentWidget(self.list if shown else self._empty)
        self.counted.emit(len(shown))

    def next(self) -> None:
        """Go to the next row and its node; after the last comes the first."""
        rows = [row for row in range(self.list.count()) if self.list.item(row).data(_TROUBLE) is not None]
        if rows:
            here = self.list.currentRow()
            self.list.setCurrentRow(next((row for row in rows if row > here), rows[0]))
            self._jump(self.list.currentItem())

    def _jump(self, item: QListWidgetItem) -> None:
        trouble: Trouble | None = item.data(_TROUBLE)
        if trouble is None:
            self.action_wanted.emit(item.data(_ACTION))
        elif trouble.address:
            self.jump_wanted.emit(trouble)


def _offer(action: Action) -> QListWidgetItem:
    """A row that does something, drawn as a link."""
    item = QListWidgetItem(OFFERS[action])
    item.setIcon(icon("save", DARK.accent))
    item.setForeground(QColor(DARK.accent))
    lettering = item.font()
    lettering.setUnderline(True)
    item.setFont(lettering)
    item.setData(_ACTION, action)
    return item
