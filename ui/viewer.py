"""One picture, large: zoom, pan, save, copy; while a sampler works, the latent taking shape."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from ui.theme import DARK, METRICS, font

SMALLEST, LARGEST = 0.02, 32.0
WHEEL_FACTOR = 1.2
CHECKER_PX = 8


class PictureView(QWidget):
    """Shows a picture, fitted until a person zooms. 100 % is one pixel of it on one of the screen."""

    zoomed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture = QImage()
        self.empty_text = ""
        self._pixmap = QPixmap()
        self._reduced: tuple[QSize, QPixmap] | None = None
        self._fitted = True
        self._scale = 1.0
        self._centre = QPointF()
        self._grabbed: QPointF | None = None
        self._stretched = False
        self.setMinimumSize(120, 100)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Picture")

    def sizeHint(self) -> QSize:
        return QSize(460, 440)

    def show_picture(self, picture: QImage, *, stretched: bool = False) -> None:
        """Show `picture`; `stretched` is a small preview, smoothly enlarged to fill the view."""
        same_size = picture.size() == self.picture.size() and stretched == self._stretched
        self.picture, self._stretched = picture, stretched
        self._pixmap = QPixmap.fromImage(picture)
        self._reduced = None
        if not same_size:
            self.fit()
        self.update()

    def fit(self) -> None:
        """See all of it."""
        self._fitted = True
        self._refit()

    def actual(self) -> None:
        """One pixel of the picture on one of the screen."""
        self._zoom_to(1.0, QPointF(self.rect().center()))

    def _refit(self) -> None:
        if self.picture.isNull():
            return
        ratio = self.devicePixelRatioF()
        scale = min(
            self.width() * ratio / self.picture.width(), self.height() * ratio / self.picture.height()
        )
        # Small pictures are not blown up into mush; previews are, on purpose.
        self._scale = scale if self._stretched else min(scale, max(1.0, float(int(scale))))
        self._centre = QPointF(self.picture.width() / 2, self.picture.height() / 2)
        self.zoomed.emit(self._scale)
        self.update()

    def _zoom_to(self, scale: float, at: QPointF) -> None:
        if self.picture.isNull():
            return
        before = self._to_picture(at)
        self._fitted = False
        self._scale = min(LARGEST, max(SMALLEST, scale))
        after = self._to_picture(at)
        self._centre += before - after
        self._keep_in_sight()
        self.zoomed.emit(self._scale)
        self.update()

    def _per_point(self) -> float:
        return self._scale / self.devicePixelRatioF()

    def _to_picture(self, at: QPointF) -> QPointF:
        return self._centre + (at - QRectF(self.rect()).center()) / self._per_point()

    def _keep_in_sight(self) -> None:
        self._centre.setX(min(max(0.0, self._centre.x()), self.picture.width()))
        self._centre.setY(min(max(0.0, self._centre.y()), self.picture.height()))

    def _target(self) -> QRectF:
        size = QPointF(self.picture.width(), self.picture.height()) * self._per_point()
        corner = QRectF(self.rect()).center() - self._centre * self._per_point()
        return QRectF(corner.x(), corner.y(), size.x(), size.y())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._fitted:
            self._refit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.DevicePixelRatioChange and self._fitted:
            self._refit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._zoom_to(self._scale * WHEEL_FACTOR ** (event.angleDelta().y() / 120), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._grabbed = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grabbed is None:
            return
        self._fitted = False
        self._centre -= (event.position() - self._grabbed) / self._per_point()
        self._grabbed = event.position()
        self._keep_in_sight()
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grabbed = None
        self.unsetCursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._fitted:
            self._zoom_to(1.0, event.position())
        else:
            self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        middle = QRectF(self.rect()).center()
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._zoom_to(self._scale * WHEEL_FACTOR, middle)
            case Qt.Key.Key_Minus:
                self._zoom_to(self._scale / WHEEL_FACTOR, middle)
            case Qt.Key.Key_0 | Qt.Key.Key_F:
                self.fit()
            case Qt.Key.Key_1:
                self.actual()
            case _:
                super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(DARK.canvas))
        if self.picture.isNull():
            painter.setPen(QColor(DARK.muted))
            painter.setFont(font(METRICS.text_px))
            inside = self.rect().adjusted(24, 24, -24, -24)
            painter.drawText(inside, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty_text)
            painter.end()
            return
        target = self._target()
        if self.picture.hasAlphaChannel():
            self._paint_checker(painter, target)
        self._paint_picture(painter, target)
        painter.end()

    def _paint_picture(self, painter: QPainter, target: QRectF) -> None:
        if self._scale < 0.5:
            # Bilinear filtering alone drops detail below one half; reduce once and keep it.
            size = (target.size() * self.devicePixelRatioF()).toSize()
            if self._reduced is None or self._reduced[0] != size:
                mode = Qt.TransformationMode.SmoothTransformation
                aspect = Qt.AspectRatioMode.IgnoreAspectRatio
                self._reduced = (size, QPixmap.fromImage(self.picture.scaled(size, aspect, mode)))
            pixmap = self._reduced[1]
        else:
            pixmap = self._pixmap
            smooth = self._scale < 2.0 or self._stretched
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawPixmap(target, pixmap, QRectF(pixmap.rect()))

    def _paint_checker(self, painter: QPainter, target: QRectF) -> None:
        seen = target.intersected(QRectF(self.rect()))
        tile = QPixmap(CHECKER_PX * 2, CHECKER_PX * 2)
        tile.fill(QColor("#9a9a9a"))
        inside = QPainter(tile)
        for corner in (0, CHECKER_PX):
            inside.fillRect(corner, corner, CHECKER_PX, CHECKER_PX, QColor("#666666"))
        inside.end()
        painter.drawTiledPixmap(seen, tile, seen.topLeft() - target.topLeft())
