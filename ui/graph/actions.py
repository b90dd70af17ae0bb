"""The graph's commands as actions, for menus, tool bars and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence

from ui.icons import icon

if TYPE_CHECKING:
    from ui.graph.view import GraphView

Keys = str | QKeySequence.StandardKey


class GraphActions(QObject):
    """One `QAction` a command. Their keys act while the graph has the focus, and nowhere else."""

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view = view
        self.add = self._action("Add node…", "plus", view.open_palette, "Shift+A")
        self.delete = self._action("Delete", "trash", view.delete_selection, "Del", "Backspace")
        self.cut = self._action("Cut", "cut", view.cut, QKeySequence.StandardKey.Cut)
        self.copy = self._action("Copy", "copy", view.copy, QKeySequence.StandardKey.Copy)
        self.paste = self._action("Paste", "paste", view.paste, QKeySequence.StandardKey.Paste)
        self.paste_wired = self._action("Paste with wires", "", view.paste_wired, "Ctrl+Shift+V")
        self.duplicate = self._action("Duplicate", "duplicate", view.duplicate, "Ctrl+D")
        self.select_all = self._action("Select all", "", view.select_all, QKeySequence.StandardKey.SelectAll)
        self.bypass = self._action("Bypass", "bypass", view.toggle_bypass, "Ctrl+B", "D")
        self.mute = self._action("Mute", "mute", view.toggle_mute, "Ctrl+M", "Shift+D")
        self.rename = self._action("Rename", "", view.rename, "F2")
        self.group = self._action("Frame around selection", "", view.group, "Ctrl+G")
        self.ungroup = self._action("Remove frame", "", view.ungroup, "Ctrl+Shift+G")
        self.run_to = self._action("Run to here", "run-to", view.run_to_selection, "Shift+Return")
        self.frame_selection = self._action("Frame selection", "frame", view.frame_selection, "F", ".")
        self.frame_all = self._action("Frame all", "fit", view.frame_all, "Home", "Shift+F")
        self.zoom_in = self._action("Zoom in", "zoom-in", view.zoom_in, "Ctrl++", "Ctrl+=")
        self.zoom_out = self._action("Zoom out", "zoom-out", view.zoom_out, "Ctrl+-")
        self.zoom_full = self._action("Zoom to 100 %", "", view.zoom_full, "Ctrl+0")
        self._of_selection = (
            self.delete,
            self.cut,
            self.copy,
            self.duplicate,
            self.bypass,
            self.mute,
            self.rename,
            self.group,
            self.ungroup,
            self.run_to,
        )
        view.graph_scene.selection_changed.connect(self._follow_selection)
        self._follow_selection(view.graph_scene.selected)

    def _action(self, text: str, drawing: str, slot: Callable[[], object], *keys: Keys) -> QAction:
        action = QAction(text, self)
        if drawing:
            action.setIcon(icon(drawing))
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda _checked: slot())
        self._view.addAction(action)
        return action

    def _follow_selection(self, nodes: list[str]) -> None:
        for action in self._of_selection:
            action.setEnabled(bool(nodes))
