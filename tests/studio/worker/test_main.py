from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from studio.settings import Settings
from studio.worker import main, memory
from studio.worker.messages import encode
from studio.worker.protocol import CancelRun, PictureReply, PlanReply, Quit


class Pipe:
    """An editor that says some bytes and is gone."""

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)
        self.sent: list[bytes] = []

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        if not self.said:
            raise EOFError
        return self.said.pop(0)

    def send_bytes(self, buf: bytes) -> None:
        self.sent.append(buf)

    def close(self) -> None:
        pass


class Taker:
    """A session that notes what it is asked."""

    def __init__(self) -> None:
        self.got: list[object] = []

    def handle(self, request: object) -> None:
        self.got.append(request)


def serve(*said: bytes) -> tuple[bool, list[object]]:
    taker = Taker()
    return main._serve(Pipe(*said), cast(Any, taker)), taker.got


def test_a_good_bye_and_a_broken_pipe_are_told_apart() -> None:
    assert serve(encode(CancelRun("r")), encode(Quit()), encode(CancelRun("late"))) == (
        True,
        [CancelRun("r")],
    )
    assert serve(encode(CancelRun("r"))) == (False, [CancelRun("r")])


def test_nonsense_from_the_editor_is_dropped_and_the_rest_is_heard() -> None:
    assert serve(b"\x80\x04junk", b"", encode(CancelRun("r")), encode(Quit())) == (True, [CancelRun("r")])


@pytest.mark.expects_log("studio.worker.main", "a PlanReply was not sent")
def test_what_cannot_be_sent_is_left_out_and_the_pipe_lives() -> None:
    pipe = Pipe()
    main._send(pipe, PlanReply("p", {"x": object()}))  # type: ignore[dict-item]
    main._send(pipe, PictureReply("f", 1, 1, 3, b"abc"))
    assert pipe.sent == [encode(PictureReply("f", 1, 1, 3, b"abc"))]


def test_memory_is_measured_in_bytes() -> None:
    assert 10 << 20 < memory.process_bytes() < memory.machine_bytes()
    assert main.ram_budget_bytes() >= main.LEAST_RAM_BYTES


@pytest.mark.expects_log("studio.worker.main", "thread .* died")
def test_a_session_that_loses_a_thread_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    monkeypatch.setattr(main.os, "_exit", exits.append)
    own, foreign = threading.Thread(name="compute"), threading.Thread(name="a node's own")

    class Owner(Taker):
        def owns(self, thread: threading.Thread | None) -> bool:
            return thread is own

    for thread in (foreign, own):
        args = threading.ExceptHookArgs((ValueError, ValueError("x"), None, thread))
        main._end_if_broken(cast("Any", Owner()), args)
    assert exits == [1]


def test_a_person_may_say_what_weights_take(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    assert main.weights_budgets(settings) == (None, None)
    settings.put("device_memory_gb", 4)
    settings.put("weights_ram_gb", 1.5)
    assert main.weights_budgets(settings) == (4 * 2**30, 3 * 2**29)
    settings.put("device_memory_gb", -1.0)
    assert main.weights_budgets(settings)[0] is None
