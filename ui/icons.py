"""Icons: drawings of one colour under assets/icons, painted in the colour of the text around them."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from studio.paths import assets_dir
from ui.theme import DARK

SIZES_PX = (16, 20, 24, 32, 48)


@cache
def icon(name: str, ink: str = DARK.text) -> QIcon:
    """The drawing ``assets/icons/{name}.svg``, its `currentColor` replaced by `ink`.

    Call it from the GUI thread, once the application object is there.
    """
    drawing = (assets_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    made = QIcon()
    for colour, mode in ((ink, QIcon.Mode.Normal), (DARK.disabled, QIcon.Mode.Disabled)):
        renderer = QSvgRenderer(QByteArray(drawing.replace("currentColor", colour).encode()))
        for size in SIZES_PX:
            made.addPixmap(_painted(renderer, size), mode)
    return made


def app_icon() -> QIcon:
    """The application's own icon."""
    drawing = (assets_dir() / "icons" / "latent-studio.svg").read_bytes()
    renderer = QSvgRenderer(QByteArray(drawing))
    made = QIcon()
    for size in (16, 32, 48, 64, 128, 256):
        made.addPixmap(_painted(renderer, size))
    return made


def _painted(renderer: QSvgRenderer, size_px: int) -> QPixmap:
    pixmap = QPixmap(size_px, size_px)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, size_px, size_px))
    painter.end()
    return pixmap
