"""The editor's end: starts the worker, watches over it, and brings it back when it dies. Free of torch."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from studio import paths
from studio.catalogue import Catalogue
from studio.errors import FileError
from studio.events import RunFinished
from studio.files import atomic
from studio.worker.ledger import Ledger
from studio.worker.messages import MessageError
from studio.worker.outbox import Outbox
from studio.worker.process import EngineProcess, describe_exit
from studio.worker.protocol import (
    PROTOCOL,
    CancelRun,
    EngineReady,
    EngineState,
    Hello,
    Package,
    Quit,
    SetDevice,
)

STUCK_AFTER_S = 5.0
MAX_DEATHS = 3
DEATHS_WITHIN_S = 60.0
CATALOGUE_MAX_BYTES = 64 * 1024 * 1024
_log = logging.getLogger(__name__)
Handler = Callable[[object], None]


class EngineClient:
    """A worker process and everything it says. Thread-safe; `on_message` is called on one thread of its own.

    A worker that dies is started again and gets what it had not begun; after `MAX_DEATHS` within
    `DEATHS_WITHIN_S` it stays down until `restart`.
    """

    def __init__(self, on_message: Handler, *, cache_dir: Path | None = None, device: str = "auto") -> None:
        """Prepare; nothing runs before `start`.

        Args:
            on_message: Takes protocol messages, events and `EngineState`; must not block for long.
            cache_dir: Where the worker stores outputs; the machine's cache folder by default.
            device: ``auto``, ``cuda``, ``mps`` or ``cpu``.
        """
        self._on_message = on_message
        self._cache_dir = cache_dir or paths.cache_dir()
        self._device = device
        self._changed = threading.Condition()
        self._ledger = Ledger()
        self._process: EngineProcess | None = None
        self._outbox: Outbox | None = None
        self._deaths: list[float] = []
        self._wanted = True
        self._asked_to_stop = False
        self._closing = False
        self._stuck = False
        self._timers: dict[str, threading.Timer] = {}
        self._catalogue = Catalogue()
        self._announcer = Outbox(self._deliver, "engine messages")
        self._supervisor = threading.Thread(target=self._supervise, name="engine", daemon=True)

    def start(self) -> None:
        """Start the worker; returns at once."""
        self._supervisor.start()

    def send(self, request: object) -> None:
        """Send a request, now or as soon as there is a worker. Never blocks."""
        with self._changed:
            self._ledger.asked(request)
            if isinstance(request, SetDevice):
                self._device = request.device
            if isinstance(request, CancelRun):
                self._cancel(request.run)
            if self._outbox is not None:
                self._outbox.put(request)

    def restart(self) -> None:
        """Start again, after three deaths or as `stop_engine` does; what waits is sent then."""
        self.stop_engine()
        with self._changed:
            self._deaths.clear()
            self._wanted = True
            self._changed.notify_all()

    def stop_engine(self) -> None:
        """Kill the worker, whatever it does, and start another; its run ends as cancelled."""
        with self._changed:
            if self._process is not None:
                self._asked_to_stop = True
                self._process.kill()

    def close(self, patience_s: float = 3.0) -> None:
        """End the worker; it may store what is done for `patience_s`, then it is killed."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            process, outbox = self._process, self._outbox
            for timer in self._timers.values():
                timer.cancel()
        if process is not None:
            if outbox is None:
                process.kill()
            else:
                outbox.put(Quit())
                outbox.close(patience_s)
                if process.wait(patience_s) is None:
                    process.kill()
        if self._supervisor.is_alive():
            self._supervisor.join()
        self._announcer.close(patience_s)

    def remembered_catalogue(self) -> Catalogue | None:
        """The catalogue as it was when an engine last told it; None if none did."""
        path = self._catalogue_path
        try:
            with path.open("rb") as file:
                data = file.read(CATALOGUE_MAX_BYTES + 1)
            if len(data) > CATALOGUE_MAX_BYTES:
                return None
            return Catalogue.from_json(json.loads(data))
        except (OSError, ValueError, RecursionError) as error:
            _log.info("no catalogue is remembered: %s", error)
            return None

    @property
    def _catalogue_path(self) -> Path:
        return self._cache_dir / "catalogue.json"

    def _deliver(self, message: object) -> None:
        try:
            self._on_message(message)
        except Exception:  # noqa: BLE001 - the message loop: one bad handler must not silence the engine
            _log.exception("a message of the engine was not handled: %s", type(message).__name__)

    def _say(self, state: str, sentence: str = "") -> None:
        self._announcer.put(EngineState(state, sentence))

    def _supervise(self) -> None:
        while self._wait_until_wanted():
            try:
                process = EngineProcess(self._cache_dir)
            except OSError as error:
                with self._changed:
                    self._wanted = False
                self._say("stopped", f"The engine could not be started: {error}.")
                continue
            with self._changed:
                self._process = process
                if self._closing:
                    process.kill()
            self._say("starting")
            fault = self._serve(process)
            code = process.reap()
            with self._changed:
                self._mourn(fault, code, process.log)

    def _wait_until_wanted(self) -> bool:
        with self._changed:
            while not self._wanted and not self._closing:
                self._changed.wait()
            return not self._closing

    def _serve(self, process: EngineProcess) -> str:
        """Pass on what the worker says until it is gone; return what is wrong with it, if it said so."""
        try:
            if not process.accept():
                return ""
            hello = process.receive()
            if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
                process.kill()
                with self._changed:
                    self._wanted = False
                return "The engine and the editor are of different versions; install Latent Studio anew."
            with self._changed:
                self._outbox = Outbox(process.send, "engine requests")
                self._outbox.put(SetDevice(self._device))
                for request in self._ledger.waiting():
                    self._outbox.put(request)
            self._announcer.put(hello)
            while True:
                self._take(process.receive())
        except (OSError, EOFError):
            return ""
        except MessageError as error:
            process.kill()
            return f"The engine said something that cannot be read. {error}"

    def _take(self, message: object) -> None:
        with self._changed:
            wanted = self._ledger.heard(message)
            if isinstance(message, RunFinished):
                self._answered(message.run)
        if isinstance(message, Package):
            self._remember(message)
        if wanted:
            self._announcer.put(message)
        if isinstance(message, EngineReady):
            self._say("ready", message.sentence)

    def _remember(self, package: Package) -> None:
        try:
            self._catalogue = self._catalogue.merged(Catalogue.from_json(package.catalogue))
            if package.last:
                data = json.dumps(self._catalogue.to_json()).encode()
                self._catalogue = Catalogue()
                self._cache_dir.mkdir(parents=True, exist_ok=True)
                atomic.write(self._catalogue_path, data)
        except (OSError, ValueError, FileError) as error:
            _log.info("the catalogue is not remembered: %s", error)

    def _cancel(self, run: str) -> None:
        """Watch over a cancellation that nobody may answer. Holds the lock."""
        if self._outbox is None:
            for message in self._ledger.cancel_waiting(run):
                self._announcer.put(message)
        elif self._ledger.is_open(run) and run not in self._timers:
            timer = threading.Timer(STUCK_AFTER_S, self._overdue, (run,))
            timer.daemon = True
            self._timers[run] = timer
            timer.start()

    def _overdue(self, run: str) -> None:
        with self._changed:
            if self._ledger.is_open(run) and not self._closing:
                self._stuck = True
                title = f"The engine has not answered for {STUCK_AFTER_S:.0f} s."
                self._say("stuck", f"{title} Stop it to go on; what is stored stays.")

    def _answered(self, run: str) -> None:
        timer = self._timers.pop(run, None)
        if timer:
            timer.cancel()
        if self._stuck and not self._timers:
            self._stuck = False
            self._say("ready")

    def _mourn(self, fault: str, code: int, log: Path) -> None:
        """Say what the worker's end cost and decide whether to start another. Holds the lock."""
        if self._outbox is not None:
            self._outbox.close(0)
        self._process = self._outbox = None
        self._catalogue = Catalogue()
        for run in tuple(self._timers):
            self._timers.pop(run).cancel()
        self._stuck = False
        if self._closing:
            return
        asked, self._asked_to_stop = self._asked_to_stop, False
        now = time.monotonic()
        if not asked:
            self._deaths = [*(when for when in self._deaths if now - when < DEATHS_WITHIN_S), now]
        self._wanted = self._wanted and len(self._deaths) < MAX_DEATHS
        running = self._ledger.running
        where = f" while running {', '.join(running)}" if running else ""
        title = fault or f"The engine stopped unexpectedly ({describe_exit(code)}){where}."
        if asked:
            title = "The engine was stopped."
        remedy = "It was restarted; run again to go on from the last stored step."
        if not self._wanted:
            remedy = f"It stays down until it is restarted; its log is {log}."
        for message in self._ledger.close_dead(title, remedy, "cancelled" if asked else "failed"):
            self._announcer.put(message)
        self._say("restarting" if self._wanted else "stopped", f"{title} {remedy}")
