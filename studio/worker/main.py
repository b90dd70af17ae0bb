"""The engine process: finds nodes, loads torch, runs graphs, and ends when the pipe to the editor closes."""

from __future__ import annotations

import faulthandler
import importlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studio.cache import codec
from studio.cache.store import Store
from studio.errors import StudioError
from studio.registry import discover
from studio.settings import Settings
from studio.types import Latent
from studio.worker import memory
from studio.worker.compute import Compute
from studio.worker.messages import MAX_BYTES, MessageError, decode, encode
from studio.worker.outbox import Outbox
from studio.worker.outputs import disk_tier
from studio.worker.process import KEY_VARIABLE, Pipe, connect, parse_address
from studio.worker.protocol import PROTOCOL, EngineReady, Hello, Quit
from studio.worker.session import Session

RUN_GRACE_S = 1.0
FLUSH_QUIT_S = 20.0
FLUSH_ORPHAN_S = 2.0
LEAST_RAM_BYTES = 512 << 20
RAM_SHARE = 4
_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Serve the editor that listens at ``argv[0]``, storing outputs under ``argv[1]``, until it goes."""
    faulthandler.enable()
    # The terminal sends Ctrl-C to everyone in it; the editor or the command line says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    address, cache_dir = argv
    pipe = connect(parse_address(address), bytes.fromhex(os.environ.pop(KEY_VARIABLE)))
    outbox = Outbox(lambda message: _send(pipe, message), "replies")
    outbox.put(Hello(PROTOCOL, os.getpid()))
    store = Store(ram_budget_bytes(), disk_tier(Path(cache_dir)))
    session = Session(outbox, store, discover, load)
    threading.excepthook = lambda args: _end_if_broken(session, args)
    asked = _serve(pipe, session)
    # Nothing that a node or a library left running may keep the process: from here on it ends by the clock.
    session.end(RUN_GRACE_S)
    _within(FLUSH_QUIT_S if asked else FLUSH_ORPHAN_S, store.close)
    os._exit(0)


def _end_if_broken(session: Session, args: threading.ExceptHookArgs) -> None:
    """Log what a thread died of; without one of its own the session would wait for ever, so the process ends.

    The editor notices, says so, and starts another.
    """
    error = args.exc_value
    _log.error("thread %s died", args.thread and args.thread.name, exc_info=error)
    if session.owns(args.thread):
        os._exit(1)


def _serve(pipe: Pipe, session: Session) -> bool:
    """Hand requests on until the editor says good-bye (True) or is gone (False)."""
    while True:
        try:
            request = decode(pipe.recv_bytes(MAX_BYTES))
        except (OSError, EOFError):
            return False
        except MessageError as error:
            _log.info("a request was dropped: %s", error)
            continue
        if isinstance(request, Quit):
            return True
        session.handle(request)


def _send(pipe: Pipe, message: object) -> None:
    try:
        data = encode(message)
    except MessageError:
        _log.exception("a %s was not sent", type(message).__name__)
        return
    pipe.send_bytes(data)


def _within(seconds: float, work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)


def ram_budget_bytes() -> int:
    """Memory for outputs: a share of the machine's, since weights need the rest."""
    return max(LEAST_RAM_BYTES, memory.machine_bytes() // RAM_SHARE)


def load(wish: str) -> Compute:
    """Make a weights store on the device wished for, or else on the best there is.

    Torch itself is loaded by `Compute.warm`, or before that by the first node or stored value that needs it.
    """
    from studio.diffusion import device
    from studio.diffusion.weights import WeightsStore

    codec.register_late("tensor", "torch", load_torch)
    sentence = ""
    device_bytes, ram_bytes = weights_budgets(Settings())
    try:
        weights = WeightsStore(wish, budget_bytes=device_bytes, ram_bytes=ram_bytes)
    except StudioError as error:
        weights = WeightsStore(budget_bytes=device_bytes, ram_bytes=ram_bytes)
        sentence = f"{error.title} {weights.place.sentence}"
    place = weights.place

    def used_and_total() -> tuple[int, int]:
        if not place.device.startswith("cuda"):
            return memory.process_bytes(), memory.machine_bytes()
        import torch

        free, total = torch.cuda.mem_get_info(place.device)
        return total - free, total

    def look(latent: Latent, index: int) -> NDArray[np.uint8] | None:
        from studio.diffusion import preview

        for network in weights.held:
            factors = getattr(network, "preview", None)
            if factors is not None and len(factors) == latent.channels + 1:
                seen = preview.picture(latent.samples[index : index + 1], factors)
                return np.frombuffer(seen.rgb, np.uint8).reshape(seen.height, seen.width, 3)
        return None

    ready = EngineReady(place.device, place.dtype, place.name, device.devices(), sentence)
    return Compute(ready, weights.numerics, used_and_total, load_torch, weights, look, load_libraries)


def weights_budgets(settings: Settings) -> tuple[int | None, int | None]:
    """Bytes that a person lets weights take on the device and beside it in RAM; None leaves it to us.

    The settings are called ``device_memory_gb`` and ``weights_ram_gb``; 0 and less stand for None.
    """
    wished = (settings.get(name, 0.0) for name in ("device_memory_gb", "weights_ram_gb"))
    device, ram = (int(size * 2**30) if size > 0 else None for size in wished)
    return device, ram


def load_torch() -> None:
    """Import torch and let the cache store tensors."""
    from studio.diffusion import tensors

    tensors.register()


def load_libraries() -> None:
    """Import the libraries that build networks, which takes longer than the starter's first picture."""
    from studio.diffusion.files.loading import USUAL_LIBRARIES

    for library in USUAL_LIBRARIES:
        importlib.import_module(library)
