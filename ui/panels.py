"""The panels around the graph: what they are, and where they stand."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget, QWidget

from studio.types import Json
from ui.docks import add_dock, as_tab, first_size, restore_geometry
from ui.inspector.panel import Inspector
from ui.models.panel import ModelPanel
from ui.models.shelf import Shelf
from ui.picture import PicturePanel
from ui.problems import ProblemList
from ui.queue import QueuePanel
from ui.results import ResultStrip
from ui.runs import Runs

RIGHT_SHARE = 0.31
LEAST_RIGHT = 300
BOTTOM_HEIGHT = 160


class Panels:
    """Picture and inspector beside the graph; results, models, problems and runs below it."""

    def __init__(self, window: QMainWindow, runs: Runs, shelf: Shelf) -> None:
        self._window = window
        self.picture = PicturePanel(window)
        self.inspector = Inspector(window)
        self.strip = ResultStrip(window)
        self.problems = ProblemList(window)
        self.queue = QueuePanel(runs, window)
        self.models = ModelPanel(shelf, window)
        areas = Qt.DockWidgetArea
        window.setCorner(Qt.Corner.BottomRightCorner, areas.RightDockWidgetArea)
        window.setTabPosition(areas.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self._docks: dict[str, QDockWidget] = {
            "picture": add_dock(window, areas.RightDockWidgetArea, "Picture", self.picture),
            "inspector": add_dock(window, areas.RightDockWidgetArea, "Inspector", self.inspector),
            "results": add_dock(window, areas.BottomDockWidgetArea, "Results", self.strip),
            "models": add_dock(window, areas.BottomDockWidgetArea, "Models", self.models),
            "problems": add_dock(window, areas.BottomDockWidgetArea, "Problems", self.problems),
            "runs": add_dock(window, areas.BottomDockWidgetArea, "Runs", self.queue),
        }
        window.tabifyDockWidget(self._docks["results"], self._docks["models"])
        window.tabifyDockWidget(self._docks["models"], self._docks["problems"])
        window.tabifyDockWidget(self._docks["problems"], self._docks["runs"])
        for name in ("results", "models", "problems", "runs"):
            as_tab(self._docks[name])
        self._docks["results"].raise_()
        self.problems.counted.connect(self._count_problems)

    def toggles(self) -> list[QAction]:
        """An action for each panel that shows or hides it."""
        return [dock.toggleViewAction() for dock in self._docks.values()]

    def bring_up(self, name: str) -> None:
        """Show a panel in front of those it shares its place with."""
        self._docks[name].show()
        self._docks[name].raise_()

    def next_from(self, focused: QWidget | None, graph: QWidget | None) -> None:
        """Take the keyboard to the next part of the window; Tab stays within a part."""
        parts: list[QWidget] = [
            self.picture.view,
            self.inspector,
            self.strip,
            self.models,
            self.problems,
            self.queue,
        ]
        parts = [graph, *parts] if graph else parts
        # A dock behind another of its tabs counts as visible, but lies outside of the window.
        seen = self._window.rect()
        parts = [part for part in parts if part.isVisible() and seen.contains(_middle(part))]
        here = next((at for at, part in enumerate(parts) if _holds(part, focused)), -1)
        for part in parts[here + 1 :] + parts[: here + 1]:
            target = _focusable(part)
            if target is not None:
                target.setFocus(Qt.FocusReason.ShortcutFocusReason)
                return

    def lay_out(self, layout: dict[str, Json]) -> None:
        """Put everything where it was, or, at a first start, where it does well."""
        if not restore_geometry(self._window, layout):
            self.arrange(first_size(self._window))

    def arrange(self, size: QSize) -> None:
        """Give the window a size, and the panels their share of it."""
        window, docks = self._window, self._docks
        window.resize(size)
        right = max(LEAST_RIGHT, int(size.width() * RIGHT_SHARE))
        window.resizeDocks([docks["picture"]], [right], Qt.Orientation.Horizontal)
        window.resizeDocks([docks["results"]], [BOTTOM_HEIGHT], Qt.Orientation.Vertical)
        halves = [size.height() // 2] * 2
        window.resizeDocks([docks["picture"], docks["inspector"]], halves, Qt.Orientation.Vertical)

    def _count_problems(self, count: int) -> None:
        self._docks["problems"].setWindowTitle(f"Problems ({count})" if count else "Problems")


def _holds(part: QWidget, focused: QWidget | None) -> bool:
    return focused is not None and (part is focused or part.isAncestorOf(focused))


def _middle(part: QWidget) -> QPoint:
    return part.mapTo(part.window(), part.rect().center())


def _focusable(part: QWidget) -> QWidget | None:
    """What of a part takes the keyboard: itself, or the first inside that does."""
    inside = (child for child in (part, *part.findChildren(QWidget)) if child.isVisible())
    return next((child for child in inside if child.focusPolicy() & Qt.FocusPolicy.TabFocus), None)
