"""One knob in the inspector: its name, its editor, and what else is known of it."""

from __future__ import annotations

import uuid

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from studio.catalogue import Catalogue
from studio.edits import Batch, SetKnob, SetNodeField
from studio.graph import Node, Socket
from studio.spec import KnobSpec
from studio.types import Json
from ui.icons import icon
from ui.inspector.editors import make_editor
from ui.theme import DARK
from ui.undo import Editing

NEW_EACH_RUN = "new_each_run"


def drawn_anew(node: Node) -> tuple[str, ...]:
    """Knobs of the node that get a new value at each run."""
    listed = node.look.get(NEW_EACH_RUN)
    return tuple(str(name) for name in listed) if isinstance(listed, list) else ()


def look_with(node: Node, knob: str, *, new: bool) -> dict[str, Json]:
    """The node's look with `knob` drawn anew at each run, or not."""
    listed: list[Json] = [name for name in drawn_anew(node) if name != knob]
    look = {key: value for key, value in node.look.items() if key != NEW_EACH_RUN}
    if new:
        listed.append(knob)
    return {**look, NEW_EACH_RUN: listed} if listed else look


class KnobRow(QObject):
    """Ties one knob of one node to widgets; pushes what a person does as edits, one entry a gesture."""

    jump_wanted = Signal(str)

    def __init__(
        self, editing: Editing, graph: str, node: Node, knob: KnobSpec, catalogue: Catalogue, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.knob = knob
        self._editing, self._graph, self._node = editing, graph, node.id
        self._gesture = ""
        spec = catalogue.specs.get(node.type)
        self._type_title = (spec.title if spec else "") or node.id
        self.label = QLabel(knob.name.replace("_", " "), parent)
        self.label.setToolTip(knob.doc)
        self.label.setStyleSheet(f"color: {DARK.muted}")
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.editor = make_editor(knob, node.params.get(knob.name, knob.default), catalogue, parent)
        self.editor.previewed.connect(self._preview)
        self.editor.committed.connect(self._commit)
        self.wide = knob.kind == "text" and bool(knob.options.get("multiline"))
        self.field = QWidget(parent)
        box = QHBoxLayout(self.field)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(2)
        box.addWidget(self.editor, 1)
        self.wired = self._button("", box)
        self.wired.setIcon(icon("graph"))
        self.wired.clicked.connect(self._go_to_source)
        self.lock = self._button("", box)
        self.lock.clicked.connect(self._toggle_lock)
        self.reset = self._button("Back to the default", box)
        self.reset.setIcon(icon("reset", DARK.muted))
        self.reset.clicked.connect(self._reset)
        self.drawn = QWidget(parent)
        self.drawn_words = QLabel(self.drawn)
        self.drawn_words.setStyleSheet(f"color: {DARK.muted}")
        self.keep = keep = QToolButton(self.drawn)
        keep.setText("Keep this one")
        keep.clicked.connect(self._keep)
        line = QHBoxLayout(self.drawn)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.drawn_words, 1)
        line.addWidget(keep)
        self._last_drawn: Json = None
        self.refresh()

    def _button(self, words: str, box: QHBoxLayout) -> QToolButton:
        button = QToolButton(self.field)
        button.setAutoRaise(True)
        button.setToolTip(words)
        button.setAccessibleName(words)
        button.setIconSize(QSize(16, 16))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        box.addWidget(button)
        return button

    def refresh(self) -> None:
        """Show the knob as the document has it now."""
        node = self._current()
        if node is None:
            return
        value = node.params.get(self.knob.name, self.knob.default)
        if value != self.editor.value:
            self._gesture = ""  # an undo or another view: what is typed next is a gesture of its own
            self.editor.set_value(value)
        source = self._source()
        self.editor.setEnabled(source is None)
        self.wired.setVisible(source is not None)
        if source is not None:
            self.wired.setToolTip(f"Set by “{source.name}” of “{source.node}”; click to go there")
        new = self.knob.name in drawn_anew(node)
        self.lock.setVisible(self.knob.kind == "seed" and source is None)
        self.lock.setIcon(icon("unlocked", DARK.accent) if new else icon("locked"))
        told = "New for each run; click to keep it" if new else "The same for each run; click for new ones"
        self.lock.setToolTip(told)
        self.lock.setAccessibleName(told)
        default = type(value) is type(self.knob.default) and value == self.knob.default
        self.reset.setVisible(not default and source is None and not self.wide and self.knob.kind != "seed")
        self._show_drawn(new)

    def set_drawn(self, value: Json) -> None:
        """Show the value that the last run drew; None if it drew none."""
        self._last_drawn = value
        self.refresh()

    def _show_drawn(self, new: bool) -> None:
        shown = new and self._last_drawn is not None
        self.drawn.setVisible(shown)
        if shown:
            self.drawn_words.setText(f"The last run used {self._last_drawn}")

    def _current(self) -> Node | None:
        graph = self._editing.content.graphs.get(self._graph)
        return graph.nodes.get(self._node) if graph else None

    def _named(self) -> str:
        """The knob and its node, as the canvas calls them in the list of undo."""
        node = self._current()
        title = (node.title if node else "") or self._type_title
        return f"{self.label.text()} of {title}"

    def _source(self) -> Socket | None:
        return self._editing.content.graphs[self._graph].wires.get(Socket(self._node, self.knob.name))

    def _preview(self, value: Json) -> None:
        self._gesture = self._gesture or uuid.uuid4().hex
        edit = SetKnob(self._graph, self._node, self.knob.name, value)
        self._editing.apply(edit, f"Change {self._named()}", self._gesture)

    def _commit(self, value: Json) -> None:
        node = self._current()
        if node is not None and node.params.get(self.knob.name, self.knob.default) != value:
            self._preview(value)
        self._gesture = ""

    def _reset(self) -> None:
        edit = SetKnob(self._graph, self._node, self.knob.name, self.knob.default)
        self._editing.apply(edit, f"Reset {self._named()}")

    def _toggle_lock(self) -> None:
        node = self._current()
        if node is None:
            return
        new = self.knob.name not in drawn_anew(node)
        look = look_with(node, self.knob.name, new=new)
        words = f"Draw {self.label.text()} anew each run" if new else f"Keep {self.label.text()}"
        self._editing.apply(SetNodeField(self._graph, self._node, "look", look), words)

    def _keep(self) -> None:
        node = self._current()
        if node is None or self._last_drawn is None:
            return
        look = look_with(node, self.knob.name, new=False)
        keep = SetKnob(self._graph, self._node, self.knob.name, self._last_drawn)
        edit = Batch((keep, SetNodeField(self._graph, self._node, "look", look)))
        self._editing.apply(edit, f"Keep {self.label.text()} {self._last_drawn}")

    def _go_to_source(self) -> None:
        source = self._source()
        if source is not None:
            self.jump_wanted.emit(source.node)
