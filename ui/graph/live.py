"""The one live editor of the graph: a real widget over the painted field that is being edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget

from studio.edits import Edit, SetKnob
from studio.spec import KnobSpec
from ui.graph.drags import gesture_id, knob_text
from ui.graph.face import row_kind, value_of
from ui.graph.ink import LABEL_PX
from ui.inspector.editor import Editor
from ui.inspector.editors import make_editor
from ui.inspector.numbers import NumberEditor
from ui.inspector.words import ChoiceEditor
from ui.theme import font

if TYPE_CHECKING:
    from ui.graph.view import GraphView

LEAST_HEIGHT = 26
LEAST_WIDTH = 150
LEAST_PX = 11
MOST_PX = 22


class LiveEditor(QObject):
    """Opens, places and closes the editor; all it does to the document is one undo entry. GUI thread."""

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view = view
        self._scene = view.graph_scene
        self._editor: Editor | None = None
        self._node = ""
        self._knob = KnobSpec("", "json", None)
        self._merge = ""
        self._scene.editing.changed.connect(self._follow)

    @property
    def editor(self) -> Editor | None:
        """The editor that is open."""
        return self._editor

    def open(self, node: str, knob: KnobSpec) -> None:
        """Edit a knob of a node in place."""
        self.close()
        item = self._scene.nodes[node]
        value = value_of(item.sight.node, knob)
        editor = make_editor(knob, value, self._scene.status.catalogue, self._view.viewport())
        self._editor, self._node, self._knob = editor, node, knob
        self._merge = gesture_id("edit")
        editor.setAutoFillBackground(True)
        editor.previewed.connect(self._take)
        editor.committed.connect(self._commit)
        self._place()
        for widget in (editor, *editor.findChildren(QWidget)):
            widget.installEventFilter(self)
        self._scene.mark_edited(node, knob.name)
        editor.show()
        editor.setFocus(Qt.FocusReason.OtherFocusReason)
        _application().focusChanged.connect(self._focus_moved)
        if isinstance(editor, NumberEditor):
            editor.field.type_in()
        elif isinstance(line := editor.focusProxy(), QLineEdit):
            line.selectAll()
        elif isinstance(editor, ChoiceEditor):
            editor.field.showPopup()

    def close(self) -> None:
        """Put the editor away; what was typed stays."""
        editor, self._editor = self._editor, None
        if editor is None:
            return
        _application().focusChanged.disconnect(self._focus_moved)
        had_focus = editor.isAncestorOf(QApplication.focusWidget() or self._view)
        editor.commit()
        editor.hide()
        editor.deleteLater()
        self._scene.mark_edited("", "")
        if had_focus:
            self._view.setFocus()

    def abandon(self) -> None:
        """Put the editor away and take back what was typed."""
        if self._editor is not None:
            merge = self._merge
            self._editor.blockSignals(True)
            self.close()
            self._scene.editing.take_back(merge)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and self._editor is not None:
            if event.key() == Qt.Key.Key_Escape:
                self.abandon()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
                if control or row_kind(self._knob) == "line":
                    QTimer.singleShot(0, self, self.close)  # once the field has had the key itself
                    return control
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        if self._editor is None:
            return
        item = self._scene.nodes[self._node]
        rect = self._view.mapFromScene(item.field_rect(self._knob.name)).boundingRect()
        self._editor.setFont(font(max(LEAST_PX, min(MOST_PX, round(LABEL_PX * self._view.zoom)))))
        if rect.height() < LEAST_HEIGHT or rect.width() < LEAST_WIDTH:
            middle = rect.center()
            rect.setHeight(max(rect.height(), LEAST_HEIGHT))
            rect.setWidth(max(rect.width(), LEAST_WIDTH))
            rect.moveCenter(middle)
        self._editor.setGeometry(rect)

    def _take(self, value: object) -> None:
        item = self._scene.nodes.get(self._node)
        if item is not None:
            edit = SetKnob(self._scene.name, self._node, self._knob.name, value)  # pyright: ignore[reportArgumentType]
            self._scene.editing.apply(edit, knob_text(item, self._knob), self._merge)

    def _commit(self, value: object) -> None:
        if isinstance(self._editor, ChoiceEditor):
            QTimer.singleShot(0, self, self.close)

    def _follow(self, edit: Edit, before: object, after: object) -> None:
        """The document changed, by this editor or from elsewhere."""
        if self._editor is None:
            return
        item = self._scene.nodes.get(self._node)
        if item is None or self._knob.name not in item.sight.layout.knobs:
            self.close()
            return
        self._editor.set_value(value_of(item.sight.node, self._knob))
        self._place()

    def _focus_moved(self, old: QWidget | None, new: QWidget | None) -> None:
        editor = self._editor
        if editor is None or new is None or new is editor or editor.isAncestorOf(new):
            return
        if QApplication.activePopupWidget() is None:
            self.close()


def _application() -> QApplication:
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    return application
