"""Frames and notes in the scene: what a person drew around and beside the nodes."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QTextDocument
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from studio.graph import Frame, Note
from ui.graph import ink
from ui.theme import DARK, font, mixed

BAR = 30.0
PAD = 9.0


def colour_or(colour: str, fallback: str) -> str:
    """A colour out of a file, or `fallback` if it is none."""
    return colour if colour and QColor.isValidColorName(colour) else fallback


class FrameItem(QGraphicsItem):
    """Paints a frame behind the nodes it holds."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame
        self.hovered = False
        self.setZValue(-10)

    def show_frame(self, frame: Frame) -> None:
        """Draw `frame` from now on."""
        self.prepareGeometryChange()
        self.frame = frame
        self.update()

    def rect(self) -> QRectF:
        """Where it lies in the scene."""
        return QRectF(*self.frame.rect)

    def bar(self) -> QRectF:
        """The bar with the title, by which it is moved."""
        rect = self.rect()
        return QRectF(rect.left(), rect.top(), rect.width(), BAR)

    def boundingRect(self) -> QRectF:
        return self.rect().adjusted(-2, -2, 2, 2)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        self.draw(painter)

    def draw(self, painter: QPainter) -> None:
        """Paint it, in the scene's coordinates."""
        colour = colour_or(self.frame.colour, DARK.frame)
        rect = self.rect()
        if not self.frame.on:
            painter.setOpacity(0.6)
        painter.setPen(ink.pen(mixed(colour, DARK.canvas, 0.8).name(), 1.4, not self.frame.on))
        painter.setBrush(mixed(colour, DARK.canvas, 0.22))
        painter.drawRoundedRect(rect, 9, 9)
        title = self.frame.title or "Frame"
        shown = title if self.frame.on else f"{title} (off)"
        text, size = ink.fitted(shown, "title", rect.width() - 2 * PAD)
        painter.setFont(ink.role_font("title"))
        painter.setPen(ink.TEXT if self.frame.on else ink.MUTED)
        painter.drawStaticText(QPointF(rect.left() + PAD + 2, rect.top() + (BAR - size.height()) / 2), text)
        painter.setOpacity(1.0)


class NoteItem(QGraphicsItem):
    """Paints a note; its Markdown is text only, nothing in it is fetched."""

    def __init__(self, note: Note) -> None:
        super().__init__()
        self.note = note
        self._text = _TextOnly()
        self._text.setDefaultFont(font(ink.LABEL_PX))
        self.setZValue(-5)
        self.show_note(note)

    def show_note(self, note: Note) -> None:
        """Draw `note` from now on."""
        self.prepareGeometryChange()
        self.note = note
        self._text.setMarkdown(note.text[:20_000], QTextDocument.MarkdownFeature.MarkdownNoHTML)
        self._text.setTextWidth(max(note.rect[2] - 2 * PAD, 20.0))
        self.update()

    def rect(self) -> QRectF:
        """Where it lies in the scene."""
        return QRectF(*self.note.rect)

    def boundingRect(self) -> QRectF:
        return self.rect().adjusted(-2, -2, 2, 2)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        self.draw(painter)

    def draw(self, painter: QPainter) -> None:
        """Paint it, in the scene's coordinates."""
        colour = colour_or(self.note.colour, DARK.note)
        rect = self.rect()
        painter.setPen(ink.pen(mixed(colour, DARK.canvas, 0.9).name(), 1.2))
        painter.setBrush(mixed(colour, DARK.canvas, 0.6))
        painter.drawRoundedRect(rect, 5, 5)
        painter.save()
        painter.translate(rect.left() + PAD, rect.top() + PAD / 2)
        self._text.drawContents(painter, QRectF(0, 0, rect.width() - 2 * PAD, rect.height() - PAD))
        painter.restore()


class _TextOnly(QTextDocument):
    """A text that loads no picture and no other file, whatever it names."""

    def __init__(self) -> None:
        super().__init__()
        self.setDefaultStyleSheet(f"body {{ color: {DARK.text}; }} a {{ color: {DARK.accent}; }}")

    def loadResource(self, kind: int, name: object) -> object:
        return None
