"""An engine in this process, with the interface of `EngineClient`: for tests of the window with toy nodes."""

from __future__ import annotations

from collections.abc import Callable

from studio.cache.store import Store
from studio.catalogue import Catalogue
from studio.registry import Registry
from studio.worker.compute import Compute
from studio.worker.outbox import Outbox
from studio.worker.protocol import EngineReady, EngineState, Quit, SetDevice
from studio.worker.session import OnPackage, Session

TOY = Compute(EngineReady("cpu", "float32", "this process"), numerics=lambda: "toy", memory=lambda: (0, 0))
"""A device for nodes that need none."""


class InlineEngine:
    """Runs a registry's nodes on threads of this process. `on_message` is called on one thread of its own."""

    def __init__(
        self,
        on_message: Callable[[object], None],
        *,
        registry: Registry,
        store: Store | None = None,
        compute: Compute = TOY,
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            on_message: Takes protocol messages, events and `EngineState`.
            registry: The nodes there are.
            store: Where outputs are kept; some memory by default.
            compute: The device.
        """
        self._on_message = on_message
        self._registry = registry
        self._store = store or Store(64 * 1024 * 1024, None)
        self._compute = compute
        self._outbox: Outbox | None = None
        self._session: Session | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._outbox = Outbox(self._on_message, "inline engine")
        self._outbox.put(EngineState("starting"))
        self._session = Session(self._outbox, self._store, self._discover, self._load)
        self._session.handle(SetDevice("auto"))

    def send(self, request: object) -> None:
        """Ask something. Never blocks."""
        if self._session is not None and not isinstance(request, Quit):
            self._session.handle(request)

    def restart(self) -> None:
        """End what runs and begin anew; the store keeps what it has."""
        self.stop_engine()

    def stop_engine(self) -> None:
        """End what runs, if it listens, and begin anew."""
        self.close()
        self.start()

    def close(self, patience_s: float = 3.0) -> None:
        """End the threads, waiting for them for `patience_s`."""
        if self._session is not None and self._outbox is not None:
            self._session.end(patience_s)
            self._outbox.close(patience_s)
            self._session = self._outbox = None

    def remembered_catalogue(self) -> Catalogue:
        """The catalogue, known from the start."""
        return self._registry.catalogue()

    def _discover(self, on_package: OnPackage) -> Registry:
        on_package("core", self._registry.catalogue())
        return self._registry

    def _load(self, device: str) -> Compute:
        del device
        if self._outbox is not None:
            self._outbox.put(EngineState("ready"))
        return self._compute
