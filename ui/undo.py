"""One undo order for the whole application: every change is an edit, every edit passes here."""

from __future__ import annotations

import weakref

import shiboken6
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from studio.document import Content, Document
from studio.edits import Batch, Edit, MoveNodes, PutFrame, PutNote, SetKnob, SetNodeField


class EditCommand(QUndoCommand):
    """The only undo command of the application. It is made of an edit already carried out."""

    def __init__(self, document: Document, edit: Edit, inverse: Edit, text: str, merge: str = "") -> None:
        super().__init__(text)
        self._document = document
        self._edit = edit
        self._inverse = inverse
        self._merge = merge
        self._carried_out = True
        self.forgotten = False

    def redo(self) -> None:
        # Qt calls this once on push; an EditError raised here would be lost in C++.
        if self._carried_out:
            self._carried_out = False
            return
        self._inverse = self._document.apply(self._edit)

    def undo(self) -> None:
        self._document.apply(self._inverse)
        self.setObsolete(
            self.forgotten
        )  # Qt then drops the command; had it been so before, it would not undo

    @property
    def merge(self) -> str:
        """The gesture it belongs to; empty for a whole one."""
        return self._merge

    def id(self) -> int:
        return 1 if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, EditCommand) or other._merge != self._merge:
            return False
        if _replaces(other._edit, self._edit):
            self._edit = other._edit  # our inverse still leads to before the gesture
        else:
            self._edit = Batch((self._edit, other._edit))
            self._inverse = Batch((other._inverse, self._inverse))
        return True


class Editing(QObject):
    """A document with its undo stack; `apply` is the only way the editor changes a document. GUI thread."""

    changed = Signal(object, object, object)
    """edit, content before, content after; also for undo and redo."""

    def __init__(self, content: Content | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = Document(content)
        self.stack = QUndoStack(self)
        # The collector hands commands of a dead stack back to Python, which frees them before the stack does:
        # so no command may lead back here, and the stack is emptied before it is taken apart.
        this: weakref.ref[Editing] = weakref.ref(self)
        self.document.watch(lambda *change: _tell(this, *change))
        weakref.finalize(self, _empty, self.stack).atexit = False

    @property
    def content(self) -> Content:
        """The document as it is now."""
        return self.document.content

    def apply(self, edit: Edit, text: str, merge: str = "") -> None:
        """Carry out `edit` as the undo entry `text`; equal non-empty `merge` in a row make one entry.

        Raises:
            EditError: The edit does not fit; neither document nor stack has changed.
        """
        inverse = self.document.apply(edit)
        self.stack.push(EditCommand(self.document, edit, inverse, text, merge))

    def take_back(self, merge: str) -> None:
        """Undo the gesture `merge`, if it made the last entry, and forget it: it cannot be redone."""
        last = self.stack.command(self.stack.index() - 1)
        if merge and isinstance(last, EditCommand) and last.merge == merge:
            last.forgotten = True
            self.stack.undo()


def _tell(editing: weakref.ref[Editing], edit: Edit, before: Content, after: Content) -> None:
    listening = editing()
    if listening is not None:
        listening.changed.emit(edit, before, after)


def _empty(stack: QUndoStack) -> None:
    if shiboken6.isValid(stack):
        stack.clear()


def _replaces(new: Edit, old: Edit) -> bool:
    """True if `new` sets all that `old` set, so that `old` need not be carried out before it."""
    match new, old:
        case SetKnob(), SetKnob():
            return (new.graph, new.node, new.knob) == (old.graph, old.node, old.knob)
        case MoveNodes(), MoveNodes():
            return new.graph == old.graph and new.positions.keys() >= old.positions.keys()
        case SetNodeField(), SetNodeField():
            return (new.graph, new.node, new.field) == (old.graph, old.node, old.field)
        case (PutFrame(), PutFrame()) | (PutNote(), PutNote()):
            return new.id == old.id
        case Batch(), Batch():
            return len(new.edits) == len(old.edits) and all(map(_replaces, new.edits, old.edits))
    return False
