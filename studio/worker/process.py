"""A worker process, the connection to it, and its log."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Protocol

from studio import paths
from studio.worker.messages import MAX_BYTES, decode, encode

KEY_VARIABLE = "LATENT_STUDIO_AUTHKEY"
Address = str | tuple[str, int]


class Pipe(Protocol):
    """A connection, of whichever class this system has."""

    def send_bytes(self, buf: bytes) -> None:
        """Send one message; blocks while the pipe is full."""
        ...

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Wait for one message; a longer one breaks the connection."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


_LOCAL = "127.0.0.1"
_KEPT_LOGS = 10
_UNIX_PATH_LIMIT = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux


def parse_address(text: str) -> Address:
    """The address that a worker was given as an argument: a path, or ``127.0.0.1:port``."""
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host == _LOCAL and port.isdigit() else text


def connect(address: Address, authkey: bytes) -> Pipe:
    """Connect to the process that listens at `address` and holds the same key.

    Raises:
        OSError: Nobody listens there.
        EOFError: The other end went away meanwhile.
        AuthenticationError: The keys differ.
    """
    return Client(address, authkey=authkey)


class EngineProcess:
    """One life of the worker, from spawn to exit. Used by the client's supervising thread; `kill` by any."""

    def __init__(self, cache_dir: Path) -> None:
        """Listen, and spawn the process.

        Raises:
            OSError: There is no room for a socket or for a process.
        """
        self.log = _new_log()
        self._authkey = secrets.token_bytes(32)
        self._folder = tempfile.TemporaryDirectory(prefix="latent-studio-", ignore_cleanup_errors=True)
        self._listener = self._listen()
        self._connection: Pipe | None = None
        address = self._listener.address
        text = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        environment = {**os.environ, KEY_VARIABLE: self._authkey.hex()}
        # -P: a folder named “studio” where the application happens to be started is not our package.
        command = [sys.executable, "-P", "-m", "studio.worker", text, str(cache_dir)]
        try:
            with self.log.open("wb") as log:
                self._popen = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        except OSError:
            self._listener.close()
            self._folder.cleanup()
            raise
        self._watch = threading.Thread(target=self._wake_accept, name="engine watch", daemon=True)
        self._watch.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    def accept(self) -> bool:
        """Wait for the worker to connect; False if it ended instead."""
        try:
            connection = self._listener.accept()
        except (OSError, EOFError, AuthenticationError):
            return False
        finally:
            self._listener.close()
            self._folder.cleanup()
        if self._popen.poll() is not None:
            connection.close()
            return False
        self._connection = connection
        return True

    def send(self, message: object) -> None:
        """Send one message; blocks while the pipe is full.

        Raises:
            OSError: The worker is gone.
        """
        assert self._connection is not None
        self._connection.send_bytes(encode(message))

    def receive(self) -> object:
        """Wait for one message.

        Raises:
            OSError, EOFError: The worker is gone.
            MessageError: What came is no message.
        """
        assert self._connection is not None
        return decode(self._connection.recv_bytes(MAX_BYTES))

    def kill(self) -> None:
        """End the process at once. Any thread."""
        with contextlib.suppress(OSError):
            self._popen.kill()

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, negative for a signal; None if it still runs after `timeout_s`."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def reap(self) -> int:
        """Kill what is left, close the connection, and return the exit code."""
        # The pipe breaks a moment before a dying process can be waited for; its own signal is the truer one.
        code = self.wait(1.0)
        if code is None:
            self.kill()
            code = self._popen.wait()
        if self._connection is not None:
            self._connection.close()
        self._watch.join()
        return code

    def _listen(self) -> Listener:
        if sys.platform == "win32":
            return Listener(None, "AF_PIPE", authkey=self._authkey)
        path = str(Path(self._folder.name) / "engine")
        if len(os.fsencode(path)) <= _UNIX_PATH_LIMIT:
            return Listener(path, "AF_UNIX", authkey=self._authkey)
        return Listener((_LOCAL, 0), "AF_INET", authkey=self._authkey)

    def _wake_accept(self) -> None:
        """When the process ends before it has connected, connect in its place: `accept` knows no timeout."""
        self._popen.wait()
        if self._connection is None:
            with contextlib.suppress(OSError, EOFError, AuthenticationError):
                connect(self._listener.address, self._authkey).close()


def describe_exit(code: int) -> str:
    """How a process ended, in words for a sentence."""
    if code >= 0:
        return f"exit code {code}"
    words = {
        signal.SIGSEGV: "a crash inside a library",
        signal.SIGABRT: "a crash inside a library",
        getattr(signal, "SIGKILL", None): "killed, perhaps because memory ran out",
    }
    told = words.get(-code)
    return f"signal {-code}, {told}" if told else f"signal {-code}"


def _new_log() -> Path:
    """Name of a log file that no other process writes; only the newest few are kept."""
    folder = paths.data_dir() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    logs = sorted(folder.glob("engine-*.log"), key=lambda path: path.name)
    for old in logs[: -_KEPT_LOGS + 1]:
        with contextlib.suppress(OSError):  # Windows keeps files that a living engine writes
            old.unlink()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return folder / f"engine-{stamp}-{secrets.token_hex(3)}.log"
