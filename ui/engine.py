"""The engine as the window sees it: messages in, Qt signals out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from studio import events
from studio.catalogue import Catalogue
from studio.worker.protocol import (
    CacheReply,
    EngineReady,
    EngineState,
    FetchPicture,
    Memory,
    Package,
    PictureReply,
    PlanReply,
    UpgradeReply,
)

_EVENTS = (
    events.RunStarted,
    events.NodeChanged,
    events.Progress,
    events.NodeFailed,
    events.Result,
    events.Saved,
    events.RunFinished,
)
FORMATS = {3: QImage.Format.Format_RGB888, 4: QImage.Format.Format_RGBA8888}
Receive = Callable[[QImage | None, str], None]


class Client(Protocol):
    """What an engine is reached through: `EngineClient`, or `InlineEngine` in this process."""

    def start(self) -> None: ...

    def send(self, request: object) -> None: ...

    def restart(self) -> None: ...

    def stop_engine(self) -> None: ...

    def close(self) -> None: ...

    def remembered_catalogue(self) -> Catalogue | None: ...


MakeClient = Callable[[Callable[[object], None]], Client]


class Engine(QObject):
    """The engine's voice in the GUI thread; all but the arrival of messages happens there.

    Attributes:
        catalogue: What nodes there are, as far as it is known: at first what was known last time.
        state: Where the engine stands.
        device: Device and dtype once torch is loaded, else None.
    """

    catalogue_changed = Signal(object)
    state_changed = Signal(object)
    device_changed = Signal(object)
    memory_changed = Signal(object)
    happened = Signal(object)
    cache_measured = Signal(object)
    planned = Signal(object)
    upgraded = Signal(object)
    _arrived = Signal(object)

    def __init__(self, make_client: MakeClient, parent: QObject | None = None) -> None:
        """Prepare; `make_client` gets the function that takes the messages."""
        super().__init__(parent)
        self.state = EngineState("starting")
        self.device: EngineReady | None = None
        self._client = make_client(self._arrived.emit)
        self.catalogue = self._client.remembered_catalogue() or Catalogue()
        self._packages = Catalogue()
        self._fetches: dict[str, Receive] = {}
        self._ids = itertools.count(1)
        # The reader thread emits, the GUI thread receives: Qt's queue is the crossing.
        self._arrived.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Start the engine; returns at once."""
        self._client.start()

    def send(self, request: object) -> None:
        """Send a request of `studio.worker.protocol`, now or as soon as there is an engine."""
        self._client.send(request)

    def stop(self) -> None:
        """End what the engine does, however stuck it is; another starts in its place."""
        self._client.stop_engine()

    def restart(self) -> None:
        """Start again after the engine has stopped for good."""
        self._client.restart()

    def close(self) -> None:
        """End the engine and wait until it has gone; the last thing before the application quits."""
        self._arrived.disconnect(self._take)
        self._fetches.clear()
        self._client.close()

    def fetch(self, key: str, output: str, index: int, receive: Receive, max_px: int = 0) -> None:
        """Ask for a picture; `receive` gets it, or None and a sentence why there is none."""
        fetch = f"picture-{next(self._ids)}"
        self._fetches[fetch] = receive
        self.send(FetchPicture(fetch, key, output, index, max_px))

    def _take(self, message: object) -> None:
        match message:
            case Package():
                self._add_package(message)
            case EngineState():
                if message.state in ("restarting", "stopped"):
                    self.device = None
                self._stand(message)
            case EngineReady():
                self.device = message
                self.device_changed.emit(message)
            case Memory():
                self.memory_changed.emit(message)
            case PictureReply():
                self._receive_picture(message)
            case CacheReply():
                self.cache_measured.emit(message)
            case PlanReply():
                self.planned.emit(message)
            case UpgradeReply():
                self.upgraded.emit(message)
            case _ if isinstance(message, _EVENTS):
                self.happened.emit(message)
            case _:
                pass

    def _stand(self, state: EngineState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _add_package(self, package: Package) -> None:
        self._packages = self._packages.merged(Catalogue.from_json(package.catalogue))
        # Until the last package is in, what was known before fills the gaps.
        self.catalogue = self._packages if package.last else self.catalogue.merged(self._packages)
        self.catalogue_changed.emit(self.catalogue)
        if package.last:
            self._packages = Catalogue()

    def _receive_picture(self, reply: PictureReply) -> None:
        receive = self._fetches.pop(reply.id, None)
        if receive is None:
            return
        form = FORMATS.get(reply.channels)
        stride = reply.width * reply.channels
        if reply.error or form is None or len(reply.pixels) != stride * reply.height:
            receive(None, reply.error or "The engine sent a picture that cannot be shown.")
            return
        receive(QImage(reply.pixels, reply.width, reply.height, stride, form).copy(), "")
