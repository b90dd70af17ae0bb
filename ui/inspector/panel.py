"""The inspector: the selected node with all its knobs, in words and in full."""

from __future__ import annotations

import html
from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from studio.catalogue import Catalogue
from studio.document import Content
from studio.edits import SetNodeField
from studio.graph import MODES, Node
from studio.reading import Reading
from studio.spec import NodeSpec
from studio.types import Json
from ui.inspector.editor import UndoPassing, focus_by_click
from ui.inspector.row import KnobRow
from ui.theme import DARK, METRICS
from ui.undo import Editing

NOTHING = "Select a node to see its knobs."
MODE_WORDS = {"on": "On", "bypass": "Bypassed", "mute": "Muted"}


class Inspector(QScrollArea):
    """Shows one node of one document and edits it."""

    jump_wanted = Signal(str)
    action_wanted = Signal(str)
    """What can be done about the node's failure, by its name."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: dict[str, KnobRow] = {}
        # In place of what `_build` makes for a node, so that there is always something to ask.
        self.title, self.mode, self.status = QLineEdit(self), QComboBox(self), QLabel(self)
        for widget in (self.title, self.mode, self.status):
            widget.hide()
        self._status, self._offer = "", ("", "")
        self._editing: Editing | None = None
        self._graph = self._node = ""
        self._catalogue = Catalogue()
        self._spec: NodeSpec | None = None
        self._drawn: Mapping[str, Json] = {}
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(230)
        self.setStyleSheet(f'QLineEdit[wrong="true"] {{ border-color: {DARK.bad}; }}')
        self._say(NOTHING)

    def show_node(
        self, editing: Editing, graph: str, node: str, catalogue: Catalogue, drawn: Mapping[str, Json]
    ) -> None:
        """Show a node; `drawn` are the values its last run drew, by knob."""
        self._leave()
        self._editing, self._graph, self._node = editing, graph, node
        self._catalogue, self._drawn = catalogue, drawn
        editing.changed.connect(self._document_changed)
        self._build()

    def show_words(self, words: str) -> None:
        """Show no node but a sentence."""
        self._leave()
        self._say(words)

    def set_status(self, words: str, action: str = "", offer: str = "") -> None:
        """Say what became of the node in the last run, and offer in words what can be done about it."""
        self._status, self._offer = words, (action, offer)
        if self._editing is not None:
            self._show_status()

    def set_drawn(self, drawn: Mapping[str, Json]) -> None:
        """A run is over; these are the values it drew for the node."""
        self._drawn = drawn
        for name, row in self.rows.items():
            row.set_drawn(drawn.get(name))

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Show knobs by this catalogue from now on."""
        self._catalogue = catalogue
        node = self._current()
        if self._editing is not None and node is not None:
            spec = Reading(self._editing.content, catalogue).spec(node)
            # A rebuild would take the field from under the fingers of whoever types.
            if spec != self._spec or (spec and any(knob.kind == "choice" for knob in spec.knobs)):
                self._build()

    def _leave(self) -> None:
        if self._editing is not None:
            self._editing.changed.disconnect(self._document_changed)
        self._editing = None
        self.rows = {}

    def _current(self) -> Node | None:
        graph = self._editing.content.graphs.get(self._graph) if self._editing else None
        return graph.nodes.get(self._node) if graph else None

    def _document_changed(self, _edit: object, before: Content, after: Content) -> None:
        node = self._current()
        if node is None:
            self.show_words(NOTHING)
            return
        old = before.graphs.get(self._graph)
        unchanged = old is not None and old.nodes.get(self._node) is node
        if unchanged and old is not None and old.wires is after.graphs[self._graph].wires:
            return
        if self._spec is None or (node.is_subgraph and before.graphs != after.graphs):
            self._build()
            return
        for row in self.rows.values():
            row.refresh()
        self._show_head(node)

    def _build(self) -> None:
        node, editing = self._current(), self._editing
        if node is None or editing is None:
            self._say(NOTHING)
            return
        self._spec = Reading(editing.content, self._catalogue).spec(node)
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(METRICS.margin + 2, METRICS.margin, METRICS.margin + 2, METRICS.margin)
        layout.setSpacing(METRICS.spacing)
        layout.addLayout(self._head(body, node))
        layout.addWidget(_words(self._told(node), body))
        self.status = _words("", body)
        self.status.linkActivated.connect(self.action_wanted)
        self._show_status()
        layout.addWidget(self.status)
        layout.addLayout(self._knobs(body, node))
        layout.addStretch(1)
        self._put(body)
        self._show_head(node)

    def _show_status(self) -> None:
        action, offer = self._offer
        self.status.setVisible(bool(self._status))
        if not action:
            self.status.setTextFormat(Qt.TextFormat.PlainText)
            self.status.setText(self._status)
            return
        link = f'<a href="{action}" style="color:{DARK.accent}">{html.escape(offer)}</a>'
        self.status.setTextFormat(Qt.TextFormat.RichText)
        self.status.setText(f"{html.escape(self._status)} {link}")

    def _told(self, node: Node) -> str:
        if self._spec is not None:
            return self._spec.doc
        package = node.type.partition("/")[0]
        return (
            f"“{node.type}” is not installed. Its values and wires are kept as they are. "
            f"Install the package “{package}” to use it."
        )

    def _head(self, body: QWidget, node: Node) -> QHBoxLayout:
        self.title = QLineEdit(body)
        self.title.setAccessibleName("Title of the node")
        self.title.setToolTip(f"{node.id}\nType a title of your own, or leave it empty")
        self.title.installEventFilter(UndoPassing(self.title))
        self.title.editingFinished.connect(self._rename)
        self.title.setStyleSheet(
            "QLineEdit { font-weight: 600; font-size: 15px; padding-left: 0; border-color: transparent;"
            f" background: transparent; placeholder-text-color: {DARK.text}; }}"
            f"QLineEdit:focus {{ background: {DARK.field}; }}"
        )
        self.mode = QComboBox(body)
        for mode in MODES:
            self.mode.addItem(MODE_WORDS[mode], mode)
        self.mode.setAccessibleName("Mode")
        self.mode.setToolTip("Bypassed: what comes in goes out as it is. Muted: left out of the run.")
        self.mode.activated.connect(self._change_mode)
        focus_by_click(self.mode)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.mode)
        return head

    def _show_head(self, node: Node) -> None:
        if not self.title.hasFocus():
            self.title.setText(node.title)
        self.title.setPlaceholderText(self._spec.title if self._spec else node.type)
        self.mode.setCurrentIndex(MODES.index(node.mode))

    def _knobs(self, body: QWidget, node: Node) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(METRICS.spacing)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 5)
        self.rows = {}
        if self._editing is None or self._spec is None:
            return grid
        for knob in self._spec.knobs:
            row = KnobRow(self._editing, self._graph, node, knob, self._catalogue, body)
            row.jump_wanted.connect(self.jump_wanted)
            row.set_drawn(self._drawn.get(knob.name))
            self.rows[knob.name] = row
            at = grid.rowCount()
            if row.wide:
                grid.addWidget(row.label, at, 0, 1, 2)
                grid.addWidget(row.field, at + 1, 0, 1, 2)
            else:
                grid.addWidget(row.label, at, 0)
                grid.addWidget(row.field, at, 1)
            grid.addWidget(row.drawn, grid.rowCount(), 0, 1, 2)
        return grid

    def _rename(self) -> None:
        node = self._current()
        text = self.title.text().strip()
        if node is not None and self._editing is not None and text != node.title:
            self._editing.apply(SetNodeField(self._graph, node.id, "title", text), "Rename node")

    def _change_mode(self, index: int) -> None:
        node = self._current()
        mode = self.mode.itemData(index)
        if node is not None and self._editing is not None and mode != node.mode:
            edit = SetNodeField(self._graph, node.id, "mode", mode)
            self._editing.apply(edit, {"on": "Switch on", "bypass": "Bypass", "mute": "Mute"}[mode])

    def _say(self, words: str) -> None:
        label = _words(words)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        label.setMargin(24)
        self._spec = None
        self._put(label)

    def _put(self, widget: QWidget) -> None:
        # `setWidget` would delete the old fields at once, maybe in the middle of a key press in one.
        old = self.takeWidget()
        if old is not None:
            old.hide()
            old.deleteLater()
        self.setWidget(widget)


def _words(text: str, parent: QWidget | None = None) -> QLabel:
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)  # a package's words, or a file's, are no markup
    label.setWordWrap(True)
    label.setStyleSheet(f"color: {DARK.muted}")
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
