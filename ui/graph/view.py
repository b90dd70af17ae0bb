"""The view of a graph: hands and keys become drags, commands and edits."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QGuiApplication,
    QHelpEvent,
    QInputDevice,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPixmapCache,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QGraphicsView, QToolTip, QWidget

from studio.errors import EditError
from studio.graph import Socket
from ui.graph import commands, hits
from ui.graph.actions import GraphActions
from ui.graph.far import SCALE as FAR_SCALE
from ui.graph.far import paint_far
from ui.graph.ground import paint_empty, paint_ground
from ui.graph.hands import Hands
from ui.graph.hint import Hint
from ui.graph.live import LiveEditor
from ui.graph.menus import context_menu
from ui.graph.palette import NodePalette
from ui.graph.scene import GraphScene
from ui.graph.search import Wanted
from ui.graph.tips import tip
from ui.graph.writing import Writing

NODE_PICTURES_KB = 128 * 1024
MARGIN_PX = 26
MIN_ZOOM = 0.06
MAX_ZOOM = 3.0
WORLD = QRectF(-200_000, -200_000, 400_000, 400_000)


class GraphView(QGraphicsView):
    """Shows a `GraphScene` and turns what a person does into edits. GUI thread."""

    run_to_requested = Signal(str)
    """Address of the node to run to."""
    refused = Signal(str)
    """Why something could not be done, as a sentence."""
    node_activated = Signal(str)
    """Address of a node that was double-clicked."""
    zoom_changed = Signal(float)

    def __init__(self, scene: GraphScene, parent: QWidget | None = None) -> None:
        super().__init__(scene, parent)
        self.graph_scene = scene
        self.cursor_at = QPoint()
        self._empty = True
        self._palette_at = QPointF()
        self._palette_for: tuple[Socket, bool] | None = None
        self.setSceneRect(WORLD)
        self.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setFrameShape(QGraphicsView.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAcceptDrops(False)  # files dropped here are the window's business
        self.setMouseTracking(True)
        self.setAccessibleName("Graph")
        self.hint = Hint(self.viewport())
        self.palette_box = NodePalette(self)
        self.live = LiveEditor(self)
        self.writing = Writing(self)
        self.hands = Hands(self)
        self.graph_actions = GraphActions(self)
        self.palette_box.chosen.connect(self._add_chosen)
        self.palette_box.closed.connect(self.setFocus)
        scene.repainted.connect(self._repaint_far)
        QPixmapCache.setCacheLimit(max(QPixmapCache.cacheLimit(), NODE_PICTURES_KB))
        self.centerOn(0, 0)

    # Looking

    @property
    def zoom(self) -> float:
        """Device-independent pixels per scene unit."""
        return self.transform().m11()

    @property
    def far(self) -> bool:
        """The graph is seen from so far that nothing on a node can be read."""
        return self.zoom < FAR_SCALE

    def zoom_by(self, factor: float, at: QPoint | None = None) -> None:
        """Zoom within limits; the scene's point below `at` (the middle by default) stays there."""
        at = at or self.viewport().rect().center()
        new = min(MAX_ZOOM, max(MIN_ZOOM, self.zoom * factor))
        self._put_away()
        before = self.mapToScene(at)
        self.resetTransform()
        self.scale(new, new)
        self.pan(at - self.mapFromScene(before))
        self.viewport().update()
        self.zoom_changed.emit(new)

    def pan(self, by: QPoint) -> None:
        """Move the scene under the view by pixels."""
        self._put_away()
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() - by.x())
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() - by.y())

    def frame(self, rect: QRectF, most: float = 1.0) -> None:
        """Bring a rectangle of the scene into view, no larger than `most`."""
        if rect.isEmpty():
            rect, most = QRectF(-1, -1, 2, 2), 1.0
        room = self.viewport().rect().adjusted(MARGIN_PX, MARGIN_PX, -MARGIN_PX, -MARGIN_PX)
        fit = min(room.width() / rect.width(), room.height() / rect.height(), most)
        self.zoom_by(max(fit, MIN_ZOOM) / self.zoom)
        self.centerOn(rect.center())

    def frame_all(self) -> None:
        """Bring the whole graph into view."""
        self.frame(self.graph_scene.nodes_box())

    def frame_selection(self) -> None:
        """Bring the selected nodes into view; the whole graph if none is."""
        nodes = self.graph_scene.selected
        self.frame(self.graph_scene.nodes_box(nodes or None))

    def show_node(self, node: str) -> None:
        """Select a node and bring it into view, at the zoom as it is if it can be read."""
        if node in self.graph_scene.nodes:
            self.graph_scene.select([node])
            self.frame(self.graph_scene.nodes_box([node]), max(self.zoom, 0.8))

    def zoom_in(self) -> None:
        """One notch nearer."""
        self.zoom_by(1.25)

    def zoom_out(self) -> None:
        """One notch farther."""
        self.zoom_by(0.8)

    def zoom_full(self) -> None:
        """One scene unit a pixel."""
        self.zoom_by(1.0 / self.zoom)

    # Doing: the slots of the actions

    def add_node_at(self, node_type: str, pos: QPointF | None = None) -> str:
        """Add a node of a type at a point of the scene (the view's middle by default); its id."""
        spec = self.graph_scene.status.catalogue.specs[node_type]
        return commands.add_node(self.graph_scene, spec, pos or self._middle())

    def delete_selection(self) -> None:
        """Delete the selected nodes."""
        commands.delete(self.graph_scene, self.graph_scene.selected)

    def copy(self) -> None:
        """Put the selected nodes on the clipboard, as text."""
        text = commands.fragment(self.graph_scene)
        if text:
            QGuiApplication.clipboard().setText(text)

    def cut(self) -> None:
        """Copy, then delete."""
        self.copy()
        self.delete_selection()

    def paste_wired(self) -> None:
        """Paste, and feed the copies from where the originals were fed."""
        self.paste(keep_wires=True)

    def paste(self, *, keep_wires: bool = False) -> None:
        """Put what is on the clipboard at the mouse."""
        text = QGuiApplication.clipboard().text()
        inside = self.viewport().rect().contains(self.cursor_at) and not self.cursor_at.isNull()
        pos = self.mapToScene(self.cursor_at) if inside else self._middle()
        try:
            commands.paste(self.graph_scene, text, pos, keep_wires=keep_wires)
        except EditError as error:
            self.refused.emit(str(error))

    def duplicate(self) -> None:
        """Copy the selected nodes beside themselves."""
        commands.duplicate(self.graph_scene)

    def select_all(self) -> None:
        """Select every node."""
        self.graph_scene.select(self.graph_scene.nodes)

    def toggle_bypass(self) -> None:
        """Bypass the selected nodes, or turn them on."""
        commands.toggle_mode(self.graph_scene, "bypass")

    def toggle_mute(self) -> None:
        """Mute the selected nodes, or turn them on."""
        commands.toggle_mode(self.graph_scene, "mute")

    def group(self) -> None:
        """Draw a frame around the selected nodes."""
        commands.group(self.graph_scene)

    def ungroup(self) -> None:
        """Take away the frames around the selected nodes."""
        commands.ungroup(self.graph_scene)

    def run_to_selection(self) -> None:
        """Ask for a run to the node last selected."""
        if self.graph_scene.selected:
            self.run_to_requested.emit(self.graph_scene.address(self.graph_scene.selected[-1]))

    def open_palette(self) -> None:
        """Open the palette at the mouse."""
        inside = self.viewport().rect().contains(self.cursor_at) and not self.cursor_at.isNull()
        self._open_palette(self.cursor_at if inside else self.viewport().rect().center())

    def open_palette_for(self, fixed: Socket, *, output: bool, pos: QPointF) -> None:
        """Open the palette for a wire that was let go over empty space."""
        wanted = Wanted(self.graph_scene.wire_type(fixed, output=output), output)
        self._open_palette(self.mapFromScene(pos), wanted, (fixed, output))

    def _open_palette(
        self, at: QPoint, wanted: Wanted | None = None, fixed: tuple[Socket, bool] | None = None
    ) -> None:
        self._put_away()
        self._palette_at, self._palette_for = self.mapToScene(at), fixed
        self.palette_box.open(at, self.graph_scene.status.catalogue, wanted)

    def _add_chosen(self, node_type: str) -> None:
        spec = self.graph_scene.status.catalogue.specs.get(node_type)
        fixed, output = self._palette_for or (None, False)
        self.setFocus()
        if spec is None or (fixed is not None and self.graph_scene.end(fixed, output=output) is None):
            return
        node = commands.add_node(self.graph_scene, spec, self._palette_at, fixed, output=output)
        self.graph_scene.focus(node)

    def add_note(self, pos: QPointF) -> None:
        """Put a note at a point of the scene, and begin to write on it."""
        self.writing.write_note(self.graph_scene.notes[commands.add_note(self.graph_scene, pos)])

    def rename(self) -> None:
        """Write a title on the node last selected."""
        if self.graph_scene.selected:
            self.writing.rename_node(self.graph_scene.nodes[self.graph_scene.selected[-1]])

    def _put_away(self) -> None:
        """Close whatever lies over the scene at a place of it."""
        self.live.close()
        self.writing.close()

    def _middle(self) -> QPointF:
        return self.mapToScene(self.viewport().rect().center())

    # Events

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.cursor_at = event.position().toPoint()
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.hands.press(self.cursor_at, event.button(), event.modifiers())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.cursor_at = event.position().toPoint()
        self.hands.move(self.cursor_at, event.modifiers())
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.cursor_at = event.position().toPoint()
        self.hands.release(self.cursor_at, event.button(), event.modifiers())
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.cursor_at = event.position().toPoint()
        if event.button() == Qt.MouseButton.LeftButton:
            self.hands.double_click(self.cursor_at)
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.cursor_at = event.pos()
        context_menu(self, self.mapToScene(event.pos())).popup(event.globalPos())
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        at = event.position().toPoint()
        fingers = event.phase() != Qt.ScrollPhase.NoScrollPhase or (
            event.device().type() == QInputDevice.DeviceType.TouchPad
        )
        if fingers and not event.pixelDelta().isNull() and not event.modifiers():
            self.pan(event.pixelDelta())
        elif event.angleDelta().y():
            self.zoom_by(1.0015 ** event.angleDelta().y(), at)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self.hands.key(event):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.hands.hold_space(False)
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.hands.hold_space(False)
        super().focusOutEvent(event)

    def focusNextPrevChild(self, next: bool) -> bool:  # noqa: A002 - Qt's name
        return False  # Tab opens the palette; F6 goes from panel to panel

    def resizeEvent(self, event: QResizeEvent) -> None:
        middle = self.mapToScene(QRectF(QPointF(), event.oldSize()).center().toPoint())
        super().resizeEvent(event)
        if event.oldSize().isValid():
            self.centerOn(middle)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self._show_tip(event)
            return True
        pinch = Qt.NativeGestureType.ZoomNativeGesture
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == pinch:
            self.zoom_by(1.0 + event.value(), event.position().toPoint())
            return True
        if event.type() == QEvent.Type.Leave:
            self.graph_scene.hover("", None)
        return super().viewportEvent(event)

    def _show_tip(self, event: QHelpEvent) -> None:
        hit = None if self.far else hits.part_at(self.graph_scene, self.mapToScene(event.pos()))
        text = tip(hit[0].sight, hit[1]) if hit else ""
        QToolTip.showText(event.globalPos(), text, self.viewport())

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.far:
            super().paintEvent(event)
            return
        painter = QPainter(self.viewport())
        painter.setClipRegion(event.region())
        paint_ground(painter, self)
        painter.setWorldTransform(self.viewportTransform())
        paint_far(painter, self.graph_scene, self.zoom)
        painter.end()

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.save()
        painter.resetTransform()
        paint_ground(painter, self)
        painter.restore()

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        empty = not self.graph_scene.nodes
        if empty != self._empty:
            # The words for an empty graph lie outside of what the first node repaints.
            self._empty = empty
            self.viewport().update()
        if empty:
            painter.save()
            painter.resetTransform()
            paint_empty(painter, self.viewport().rect())
            painter.restore()

    def _repaint_far(self) -> None:
        if self.far or not self.graph_scene.nodes:
            self.viewport().update()
