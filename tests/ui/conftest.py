"""A window on an engine in this process, with the toy nodes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from studio.document import Content
from studio.files import workflow
from studio.registry import Registry
from studio.settings import Settings
from studio.worker.inline import InlineEngine
from tests import toys
from ui.page import Page
from ui.session import Session
from ui.window import Window

OpenWindow = Callable[..., Window]


@pytest.fixture(scope="session", autouse=True)
def spared() -> Iterator[None]:
    """What earlier tests imported is not looked through at every collection here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def content(*types: str, **knobs: object) -> Content:
    """A document of toys in a chain."""
    return workflow.from_json(toys.chain(*types, **knobs))


def page_of(window: Window) -> Page:
    """The page in front."""
    page = window.documents.page
    assert page is not None
    return page


def close(window: Window) -> None:
    """Close a window as a person does, and let it go."""
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[OpenWindow]:
    """Open a window with a document, as the application does; all are closed after the test."""
    opened: list[Window] = []

    def make(
        document: Content | None = None, file: Path | None = None, registry: Registry | None = None
    ) -> Window:
        client = partial(InlineEngine, registry=registry or toys.registry())
        window = Window(client, Settings(), Session())
        opened.append(window)
        window.resize(1200, 800)
        window.show()
        window.start(file)
        if document is not None:
            window.documents.add(document)
        qtbot.waitUntil(lambda: window.engine.state.state == "ready", timeout=10_000)
        return window

    yield make
    for window in opened:
        if isValid(window):
            close(window)
