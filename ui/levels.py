"""A document's graphs on the canvas: the root, and the definitions a person has stepped into."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from studio.document import Content
from studio.graph import ROOT
from ui.graph.scene import GraphScene
from ui.graph.status import GraphStatus
from ui.graph.view import GraphView
from ui.undo import Editing


class Levels(QWidget):
    """Views of one document's graphs, one inside the other, with the way back above them. GUI thread."""

    selection_changed = Signal()
    run_to_requested = Signal(str)
    refused = Signal(str)

    def __init__(self, editing: Editing, status: GraphStatus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editing, self._status = editing, status
        self._views: list[GraphView] = []
        self._framed: set[GraphView] = set()
        self._stack = QStackedWidget(self)
        self._path = QWidget(self)
        self._buttons = QHBoxLayout(self._path)
        self._buttons.setContentsMargins(8, 2, 8, 2)
        self._buttons.setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._path)
        layout.addWidget(self._stack, 1)
        up = QShortcut(QKeySequence("Ctrl+Up"), self)
        up.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        up.activated.connect(self.leave)
        editing.changed.connect(self._follow)
        self._open(ROOT, "")

    @property
    def view(self) -> GraphView:
        """The view in front."""
        return self._views[-1]

    @property
    def scene(self) -> GraphScene:
        """The scene in front."""
        return self.view.graph_scene

    def enter(self, address: str) -> None:
        """Step into the definition that a node of the graph in front stands for."""
        node = self.scene.graph.nodes.get(address.removeprefix(self.scene.prefix))
        if node is not None and node.is_subgraph and node.type in self._editing.content.graphs:
            self._open(node.type, f"{address}/")

    def leave(self) -> None:
        """Step out of the definition in front."""
        self.leave_to(max(0, len(self._views) - 2))

    def leave_to(self, level: int) -> None:
        """Step out until `level` graphs are above the one in front."""
        while len(self._views) > level + 1:
            view = self._views.pop()
            self._framed.discard(view)
            self._stack.removeWidget(view)
            view.graph_scene.close()
            view.graph_scene.deleteLater()
            view.deleteLater()
        self._show_front()

    def close_scenes(self) -> None:
        """Let go of the document; the page is being closed."""
        for view in self._views:
            view.graph_scene.close()

    def jump(self, graph: str, node: str) -> None:
        """Bring a node into view: by address from the root, or by id in the definition `graph`."""
        if graph == self.scene.name and node in self.scene.nodes:
            self.view.show_node(node)
            return
        self.leave_to(0)
        if graph != ROOT:
            node = _first_use(self._editing.content, graph) + node
        *through, node = node.split("/")
        for step in through:
            self.enter(self.scene.address(step))
        self.view.show_node(node)

    def _open(self, graph: str, prefix: str) -> None:
        scene = GraphScene(self._editing, self._status, graph, prefix, self)
        view = GraphView(scene)
        scene.selection_changed.connect(lambda _nodes: self.selection_changed.emit())
        view.run_to_requested.connect(self.run_to_requested)
        view.refused.connect(self.refused)
        view.node_activated.connect(self.enter)
        self._views.append(view)
        self._stack.addWidget(view)
        self._show_front()

    def _show_front(self) -> None:
        self._stack.setCurrentWidget(self.view)
        self.setFocusProxy(self.view)
        self._frame_once()
        while (item := self._buttons.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        for level, view in enumerate(self._views):
            self._buttons.addWidget(self._button(level, view.graph_scene))
        self._buttons.addStretch(1)
        self._path.setVisible(len(self._views) > 1)
        self.selection_changed.emit()

    def _button(self, level: int, scene: GraphScene) -> QToolButton:
        button = QToolButton(self._path)
        content = self._editing.content
        name = content.title or "Document" if level == 0 else scene.graph.title or scene.name
        button.setText(name if level == 0 else f"›  {name}")
        button.setEnabled(level < len(self._views) - 1)
        button.setToolTip("Back to this graph (Ctrl+Up)")
        # Deleted by its own click otherwise, in the middle of it.
        button.clicked.connect(lambda: QTimer.singleShot(0, self, lambda: self.leave_to(level)))
        return button

    def _follow(self, _edit: object, before: Content, after: Content) -> None:
        if before.graphs.keys() != after.graphs.keys():
            for level, view in enumerate(self._views):
                if view.graph_scene.name not in after.graphs:
                    self.leave_to(level - 1)
                    return

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._frame_once()

    def _frame_once(self) -> None:
        view = self.view
        if view not in self._framed and self.isVisible():
            # The view gets its size only after this event.
            self._framed.add(view)
            QTimer.singleShot(0, view, view.frame_all)


def _first_use(content: Content, graph: str) -> str:
    """Address, with a slash, of a node that stands for the definition; empty if none does."""
    waiting: list[tuple[str, str, frozenset[str]]] = [(ROOT, "", frozenset())]
    while waiting:
        name, prefix, inside = waiting.pop()
        for node in content.graphs[name].nodes.values():
            if node.is_subgraph and node.type == graph:
                return f"{prefix}{node.id}/"
            if node.is_subgraph and node.type in content.graphs and node.type not in inside:
                waiting.append((node.type, f"{prefix}{node.id}/", inside | {name, node.type}))
    return ""
