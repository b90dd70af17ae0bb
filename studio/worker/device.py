"""The device a session computes on: chosen, warmed, and exchanged for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from studio.arguments import find_node
from studio.cache.store import Store
from studio.errors import StudioError
from studio.events import Event
from studio.executor import Executor, Request
from studio.registry import Registry
from studio.worker.compute import Compute
from studio.worker.outbox import Outbox
from studio.worker.protocol import EngineReady, Memory

REMEDY = "Install Latent Studio anew."
Load = Callable[[str], Compute]
_log = logging.getLogger(__name__)


class Device:
    """An executor on a device. Belongs to the session's compute thread; `tell_memory` is for any.

    Attributes:
        registry: The nodes there are; set once they are found.
        compute: What was chosen last; None before that.
        executor: Runs on it; None if none could be made ready.
        fault: A sentence, if so.
    """

    def __init__(self, store: Store, emit: Callable[[Event], None], outbox: Outbox, load: Load) -> None:
        self.registry = Registry()
        self.compute: Compute | None = None
        self.executor: Executor | None = None
        self.fault = ""
        self._store = store
        self._emit = emit
        self._outbox = outbox
        self._load = load
        self._wish = ""
        self._warming: Compute | None = None
        self._warm = threading.Event()

    @property
    def is_cold(self) -> bool:
        """A device was chosen, and nobody has begun to load what runs will need there."""
        return self.compute is not self._warming

    def choose(self, wish: str) -> None:
        """Choose a device and make an executor on it; a wish granted already changes nothing."""
        if self.compute is not None and wish == self._wish:
            return
        self._wish = wish
        try:
            compute = self._load(wish)
            self.close()
            self.executor = Executor(
                self.registry,
                self._store,
                emit=self._emit,
                weights=compute.weights,
                numerics=compute.numerics,
            )
        except Exception as error:  # noqa: BLE001 - a broken installation of torch is told, not fatal
            self._tell_broken(error)
        else:
            self.compute, self.fault = compute, ""
            self._warm.clear()

    def warm_up(self) -> None:
        """Begin to load torch, on a thread of its own; `EngineReady` says when it is there."""
        compute = self.compute
        if compute is not None and compute is not self._warming:
            self._warming = compute
            threading.Thread(target=self._load_rest, args=(compute,), name="warming", daemon=True).start()

    def await_torch(self, request: Request, cancelled: threading.Event) -> Executor:
        """Return the executor for `request`, with torch loaded if its run will work with weights.

        Waiting here is no part of the run's time.

        Raises:
            StudioError: There is no device, or a target is no node of the document.
        """
        if self.executor is None:
            raise StudioError(self.fault, REMEDY)
        if self._warm.is_set() or not self._needs_weights(self.executor, request):
            return self.executor
        self.warm_up()
        while not self._warm.wait(0.1) and not cancelled.is_set():
            pass
        if self.fault:
            raise StudioError(self.fault, REMEDY)
        return self.executor

    def tell_memory(self) -> None:
        """Send how much memory is in use. Any thread."""
        if self.compute is not None:
            used, total = self.compute.memory()
            self._outbox.put(Memory(used, total, self._store.sizes().ram_bytes))

    def close(self) -> None:
        """End the executor's threads, waiting for what they do."""
        executor, self.executor = self.executor, None
        if executor is not None:
            executor.close()

    def _needs_weights(self, executor: Executor, request: Request) -> bool:
        specs = self.registry.specs
        for address, planned in executor.plan(request).nodes.items():
            if planned.state in ("run", "waiting"):
                spec = specs.get(find_node(request.content, address).node.type)
                if spec is not None and spec.device:
                    return True
        return False

    def _load_rest(self, compute: Compute) -> None:
        try:
            compute.warm()
        except Exception as error:  # noqa: BLE001 - as above
            self._tell_broken(error)
        else:
            if compute is self.compute:
                self._outbox.put(compute.ready)
                self.tell_memory()
        self._warm.set()
        if not self.fault:
            self._foresee(compute)

    def _foresee(self, compute: Compute) -> None:
        try:
            compute.foresee()
        except Exception:  # noqa: BLE001 - the run that needs it will meet the same and tell it
            _log.info("a library could not be loaded ahead", exc_info=True)

    def _tell_broken(self, error: Exception) -> None:
        _log.error("no device could be made ready", exc_info=error)
        self.fault = f"The engine cannot compute: {type(error).__name__}: {error}."
        self._outbox.put(EngineReady("none", "", "", (), self.fault))
