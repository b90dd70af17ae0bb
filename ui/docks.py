"""The panels around the graph, and where they stand."""

from __future__ import annotations

import base64
import binascii

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

from studio.types import Json

LAYOUT_VERSION = 2
"""Raised when docks come or go, so that an old arrangement is not forced on them."""
FIRST_SIZE = QSize(1440, 900)
SMALLEST = QSize(760, 480)


def add_dock(window: QMainWindow, area: Qt.DockWidgetArea, title: str, panel: QWidget) -> QDockWidget:
    """Put a panel into a dock of its own."""
    dock = QDockWidget(title, window)
    dock.setObjectName(title.lower())
    dock.setWidget(panel)
    dock.setFeatures(
        QDockWidget.DockWidgetFeature.DockWidgetClosable
        | QDockWidget.DockWidgetFeature.DockWidgetMovable
        | QDockWidget.DockWidgetFeature.DockWidgetFloatable
    )
    window.addDockWidget(area, dock)
    return dock


def as_tab(dock: QDockWidget) -> None:
    """Leave a dock's title to the tab it lies behind."""
    dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
    dock.setTitleBarWidget(QWidget(dock))


def first_size(window: QMainWindow) -> QSize:
    """A sensible size for the first start: most of a small screen, a part of a large one."""
    screen = window.screen() or QGuiApplication.primaryScreen()
    room = screen.availableGeometry().size()
    return FIRST_SIZE.boundedTo(QSize(int(room.width() * 0.94), int(room.height() * 0.92)))


def keep_geometry(window: QMainWindow) -> dict[str, Json]:
    """How the window and its docks stand, as JSON."""
    return {
        "geometry": _text(window.saveGeometry()),
        "docks": _text(window.saveState(LAYOUT_VERSION)),
    }


def restore_geometry(window: QMainWindow, layout: dict[str, Json]) -> bool:
    """Put window and docks where they were; False if nothing usable is known."""
    geometry, docks = _bytes(layout.get("geometry")), _bytes(layout.get("docks"))
    if geometry is None or docks is None or not window.restoreGeometry(geometry):
        return False
    return window.restoreState(docks, LAYOUT_VERSION)


def _text(data: QByteArray) -> str:
    return base64.b64encode(data.data()).decode()


def _bytes(value: Json) -> QByteArray | None:
    if not isinstance(value, str):
        return None
    try:
        return QByteArray(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return None
