"""The window's actions, its menus and its tool bar. What they do is the window's business."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QKeySequence, QUndoGroup
from PySide6.QtWidgets import QMainWindow, QMenu, QSizePolicy, QSpinBox, QToolBar, QToolButton, QWidget

from studio.errors import FileError
from studio.files import workflow
from studio.paths import assets_dir
from ui.graph.actions import GraphActions
from ui.icons import icon
from ui.theme import DARK, METRICS

MOST_RUNS = 999
logger = logging.getLogger(__name__)


class Actions:
    """Every action of the window but those of the graph; the window connects them."""

    def __init__(self, window: QMainWindow, undo: QUndoGroup) -> None:
        self._window = window
        key = QKeySequence.StandardKey
        self.new = self._action("New", "new", key.New)
        self.open = self._action("Open…", "open", key.Open)
        self.save = self._action("Save", "save", key.Save)
        self.save_as = self._action("Save as…", "", QKeySequence("Ctrl+Shift+S"))
        self.close = self._action("Close tab", "", QKeySequence("Ctrl+W"))
        self.preferences = self._action("Preferences…", "", QKeySequence("Ctrl+,"))
        self.quit = self._action("Quit", "", QKeySequence("Ctrl+Q"))
        self.undo = undo.createUndoAction(window, "Undo")
        self.redo = undo.createRedoAction(window, "Redo")
        for action, name, keys in ((self.undo, "undo", key.Undo), (self.redo, "redo", key.Redo)):
            action.setIcon(icon(name))
            action.setShortcuts(keys)
        self.run = self._action("Run", "run", QKeySequence("Ctrl+Return"))
        self.run.setShortcuts([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        self.run.setIcon(icon("run", DARK.on_accent))
        self.run_selection = self._action("Run to the selected nodes", "run-to")
        self.cancel = self._action("Cancel", "cancel", QKeySequence("Ctrl+Alt+Return"))
        self.cancel_all = self._action("Cancel all runs", "", QKeySequence("Ctrl+Alt+Shift+Return"))
        self.live = self._action("Run on every change", "live", QKeySequence("Ctrl+L"))
        self.live.setCheckable(True)
        self.live.setToolTip(
            "Run again on every change of the graph. Pictures are shown but not saved as files."
        )
        self.show_problems = self._action("Next problem", "", QKeySequence("F8"))
        self.output_folder = self._action("Show the folder of saved pictures", "folder")
        self.restart_engine = self._action("Stop and restart the engine", "restart")
        self.clear_cache = self._action("Clear the stored results…", "trash")
        self.next_panel = self._action("Next panel", "", QKeySequence("F6"))
        self.about = self._action("About Latent Studio", "")

    def _action(
        self, text: str, name: str, keys: QKeySequence | QKeySequence.StandardKey | None = None
    ) -> QAction:
        action = QAction(text, self._window)
        if name:
            action.setIcon(icon(name))
        if isinstance(keys, QKeySequence.StandardKey):
            action.setShortcuts(keys)
        elif keys is not None:
            action.setShortcut(keys)
        self._window.addAction(action)
        return action


def build_menus(
    window: QMainWindow,
    actions: Actions,
    graph: Callable[[], GraphActions | None],
    docks: list[QAction],
    recent: Callable[[QMenu], None],
    template: Callable[[Path], object],
) -> None:
    """Fill the menu bar; `graph` gives the actions of the graph in front, `recent` fills its own menu."""
    bar = window.menuBar()
    file = bar.addMenu("&File")
    file.addAction(actions.new)
    file.addMenu(_templates(file, template))
    file.addAction(actions.open)
    opened = file.addMenu("Open recent")
    opened.aboutToShow.connect(lambda: recent(opened))
    file.addSeparator()
    file.addActions([actions.save, actions.save_as, actions.close])
    file.addSeparator()
    file.addActions([actions.output_folder, actions.preferences])
    file.addSeparator()
    file.addAction(actions.quit)
    edit = bar.addMenu("&Edit")
    edit.aboutToShow.connect(lambda: _fill_edit(edit, actions, graph()))
    edit.addActions([actions.undo, actions.redo])
    run = bar.addMenu("&Run")
    run.addActions([actions.run, actions.run_selection, actions.cancel, actions.cancel_all])
    run.addSeparator()
    run.addActions([actions.live, actions.show_problems])
    engine = bar.addMenu("E&ngine")
    engine.addActions([actions.restart_engine, actions.clear_cache])
    view = bar.addMenu("&View")
    around = [*docks, actions.next_panel]
    view.aboutToShow.connect(lambda: _fill_view(view, around, graph()))
    view.addActions(around)
    bar.addMenu("&Help").addAction(actions.about)


def _fill_edit(menu: QMenu, actions: Actions, graph: GraphActions | None) -> None:
    menu.clear()
    menu.addActions([actions.undo, actions.redo])
    if graph is None:
        return
    menu.addSeparator()
    menu.addActions([graph.add, graph.cut, graph.copy, graph.paste, graph.duplicate, graph.delete])
    menu.addAction(graph.select_all)
    menu.addSeparator()
    menu.addActions([graph.bypass, graph.mute, graph.run_to])


def _fill_view(menu: QMenu, around: list[QAction], graph: GraphActions | None) -> None:
    menu.clear()
    if graph is not None:
        menu.addActions([graph.frame_all, graph.frame_selection])
        menu.addActions([graph.zoom_in, graph.zoom_out, graph.zoom_full])
        menu.addSeparator()
    menu.addActions(around)


def _templates(parent: QMenu, template: Callable[[Path], object]) -> QMenu:
    """Templates by folder: those at the top first, a menu for each folder below."""
    menu = QMenu("New from template", parent)
    top = assets_dir() / "templates"
    for folder in (top, *sorted(path for path in top.iterdir() if path.is_dir())):
        inside = menu if folder == top else menu.addMenu(_titled(folder.name))
        for path in sorted(folder.glob("*.json")):
            action = inside.addAction(_titled(path.stem), lambda chosen=path: template(chosen))
            action.setData(str(path))
    menu.aboutToShow.connect(lambda: _retitle(menu))
    menu.setEnabled(not menu.isEmpty())
    return menu


def _retitle(menu: QMenu) -> None:
    """Call templates what they call themselves; done once, when the menu is first wanted."""
    for action in menu.findChildren(QAction):
        if action.data():
            try:
                action.setText(workflow.load(Path(action.data())).content.title or action.text())
            except FileError as error:
                logger.warning("%s cannot be read: %s", action.data(), error)
            action.setData(None)


def _titled(name: str) -> str:
    plain = name.replace("_", " ")
    return plain[:1].upper() + plain[1:]


def build_tool_bar(window: QMainWindow, actions: Actions) -> QSpinBox:
    """Fill the tool bar; returns the field for the number of runs."""
    bar = QToolBar("Tools", window)
    bar.setObjectName("tools")
    bar.setMovable(False)
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    bar.setIconSize(QSize(METRICS.icon, METRICS.icon))
    window.addToolBar(bar)
    bar.addActions([actions.new, actions.open, actions.save])
    bar.addSeparator()
    bar.addActions([actions.undo, actions.redo])
    space = QWidget(bar)
    space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    bar.addWidget(space)
    bar.addAction(actions.live)
    count = QSpinBox(bar)
    count.setRange(1, MOST_RUNS)
    count.setPrefix("× ")
    count.setFixedWidth(62)
    # Styled, the buttons lose their arrows and `NoButtons` squeezes the text to nothing (Qt 6.11).
    count.setStyleSheet(
        "QSpinBox::up-button, QSpinBox::down-button { width: 0; border: none; }"
        "QSpinBox QLineEdit { border: none; padding: 0; background: transparent; }"
    )
    count.setAccessibleName("How many runs")
    count.setToolTip("How many runs; from the second on, each draws seeds of its own")
    count.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    bar.addWidget(count)
    bar.addAction(actions.cancel)
    bar.addAction(actions.run)
    button = bar.widgetForAction(actions.run)
    if isinstance(button, QToolButton):
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setStyleSheet(
            f"QToolButton {{ background: {DARK.accent}; color: {DARK.on_accent}; font-weight: 600;"
            f" padding: 5px 14px; margin-left: 4px; }} QToolButton:hover {{ background: {DARK.focus}; }}"
        )
    return count
