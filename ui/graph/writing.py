"""Writing in place: titles of nodes and frames, and notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit

from studio.edits import PutFrame, PutNote, SetNodeField
from ui.graph.ink import LABEL_PX, TITLE_PX
from ui.graph.layout import HEADER
from ui.graph.node_item import NodeItem
from ui.graph.remarks import FrameItem, NoteItem
from ui.theme import font

if TYPE_CHECKING:
    from ui.graph.view import GraphView

Sheet = QLineEdit | QPlainTextEdit


class Writing(QObject):
    """A sheet over the thing that is being written on; Enter or leaving it keeps the text, Escape does not.

    In a note, Enter begins a line and Ctrl+Enter keeps. GUI thread.
    """

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view = view
        self._scene = view.graph_scene
        self._keep: Callable[[str], None] | None = None
        self.sheet: Sheet | None = None

    def rename_node(self, item: NodeItem) -> None:
        """Write a node's title; an empty one brings its type's title back."""
        box, node = item.box(), item.id

        def keep(text: str) -> None:
            if node in self._scene.nodes:
                edit = SetNodeField(self._scene.name, node, "title", text.strip())
                self._scene.editing.apply(edit, f"Rename to {text.strip() or 'its type'}")

        self._write_line(QRectF(box.x, box.y, box.width, HEADER), item.sight.face.title, keep)

    def rename_frame(self, item: FrameItem) -> None:
        """Write a frame's title."""
        key = item.frame.id

        def keep(text: str) -> None:
            frame = self._scene.content.frames.get(key)
            if frame is not None:
                edit = PutFrame(key, replace(frame, title=text.strip()))
                self._scene.editing.apply(edit, f"Rename frame to {text.strip()}")

        self._write_line(item.bar(), item.frame.title, keep)

    def write_note(self, item: NoteItem) -> None:
        """Write a note, in Markdown."""
        key = item.note.id

        def keep(text: str) -> None:
            note = self._scene.content.notes.get(key)
            if note is not None:
                self._scene.editing.apply(PutNote(key, replace(note, text=text)), "Write note")

        sheet = QPlainTextEdit(self._view.viewport())
        sheet.setPlainText(item.note.text)
        self._open(sheet, item.rect(), LABEL_PX, keep)

    def close(self, *, keep: bool = True) -> None:
        """Put the sheet away."""
        sheet, self.sheet = self.sheet, None
        if sheet is None:
            return
        text = sheet.text() if isinstance(sheet, QLineEdit) else sheet.toPlainText()
        had_focus = sheet.hasFocus()
        changed = sheet.isModified() if isinstance(sheet, QLineEdit) else sheet.document().isModified()
        sheet.hide()
        sheet.deleteLater()
        if had_focus:
            self._view.setFocus()
        if keep and changed and self._keep is not None:
            self._keep(text)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.sheet and isinstance(event, QFocusEvent) and event.lostFocus():
            if event.reason() != Qt.FocusReason.PopupFocusReason:  # its own menu
                self.close()
        elif watched is self.sheet and event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            if event.key() == Qt.Key.Key_Escape:
                self.close(keep=False)
                return True
            enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            if enter and (control or isinstance(watched, QLineEdit)):
                self.close()
                return True
        return super().eventFilter(watched, event)

    def _write_line(self, place: QRectF, text: str, keep: Callable[[str], None]) -> None:
        sheet = QLineEdit(text, self._view.viewport())
        sheet.selectAll()
        self._open(sheet, place, TITLE_PX, keep)

    def _open(self, sheet: Sheet, place: QRectF, size_px: int, keep: Callable[[str], None]) -> None:
        self.close()
        self._view.live.close()
        self.sheet, self._keep = sheet, keep
        sheet.setFont(font(max(11, round(size_px * self._view.zoom))))
        sheet.setGeometry(self._view.mapFromScene(place).boundingRect())
        sheet.installEventFilter(self)
        sheet.show()
        sheet.setFocus(Qt.FocusReason.OtherFocusReason)
