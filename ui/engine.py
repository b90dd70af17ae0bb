"""The engine as the window sees it: messages in, Qt signals out."""

from __future__ import annotations

import itertools
import threading
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

    def close(self) -> None: ...


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
    _arrived = Signal(int, object)

    def __init__(self, make_client: MakeClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.catalogue = Catalogue()
        self.state = EngineState("stopped")
        self.device: EngineReady | None = None
        self._make_client = make_client
        self._client: Client | None = None
        self._generation = 0
        self._packages = Catalogue()
        self._fetches: dict[str, Receive] = {}
        self._ids = itertools.count(1)
        self._closing: list[threading.Thread] = []
        # The reader thread emits, the GUI thread receives: Qt's queue is the crossing.
        self._arrived.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Start the engine; returns at once."""
        self._generation += 1
        generation = self._generation
        self._packages = Catalogue()
        self._client = self._make_client(lambda message: self._arrived.emit(generation, message))
        self._client.start()

    def send(self, request: object) -> None:
        """Send a request of `studio.worker.protocol`; without an engine it is dropped."""
        if self._client is not None:
            self._client.send(request)

    def stop(self) -> None:
        """End the engine, whatever it is doing; returns at once."""
        client, self._client = self._client, None
        self._generation += 1
        self._forget_fetches("The engine was stopped.")
        if client is not None:
            thread = threading.Thread(target=client.close, name="engine-closing")
            thread.start()
            self._closing = [item for item in self._closing if item.is_alive()] + [thread]
        self.device = None
        self._stand(EngineState("stopped"))

    def restart(self) -> None:
        """End the engine and start another."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the engine and wait until it has gone; the last thing before the application quits."""
        self.stop()
        for thread in self._closing:
            thread.join()
        self._closing.clear()

    def fetch(self, key: str, output: str, index: int, receive: Receive, max_px: int = 0) -> None:
        """Ask for a picture; `receive` gets it, or None and a sentence why there is none."""
        fetch = f"picture-{next(self._ids)}"
        self._fetches[fetch] = receive
        self.send(FetchPicture(fetch, key, output, index, max_px))

    def _take(self, generation: int, message: object) -> None:
        if generation != self._generation:
            return
        match message:
            case Package():
                self._add_package(message)
            case EngineState():
                if message.state in ("restarting", "stopped"):
                    self.device = None
                    self._forget_fetches(message.sentence or "The engine was stopped.")
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

    def _forget_fetches(self, why: str) -> None:
        waiting, self._fetches = self._fetches, {}
        for receive in waiting.values():
            receive(None, why)
