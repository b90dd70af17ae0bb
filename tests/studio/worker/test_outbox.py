from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from studio.events import NodeChanged, Picture, Progress, RunFinished
from studio.worker.outbox import Outbox


class Gate:
    """A receiver that holds its first message until it is let go."""

    def __init__(self) -> None:
        self.got: list[object] = []
        self.holds = threading.Event()
        self.go = threading.Event()

    def __call__(self, message: object) -> None:
        self.got.append(message)
        self.holds.set()
        self.go.wait(10)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go.set()


def progress(done: int, node: str = "a", run: str = "r", preview: Picture | None = None) -> Progress:
    return Progress(run, node, done, 10, preview)


def test_messages_leave_in_order() -> None:
    got: list[object] = []
    outbox = Outbox(got.append, "test")
    for number in range(100):
        outbox.put(number)
    outbox.close(5)
    assert got == list(range(100))


def test_putting_does_not_wait_for_the_receiver(gate: Gate) -> None:
    outbox = Outbox(gate, "test")
    for number in range(1000):
        outbox.put(number)
    assert gate.holds.wait(5)
    assert gate.got == [0]
    gate.go.set()
    outbox.close(5)
    assert len(gate.got) == 1000


def test_only_the_newest_progress_of_a_node_is_sent(gate: Gate) -> None:
    outbox = Outbox(gate, "test")
    outbox.put("first")
    assert gate.holds.wait(5)
    for done in range(10):
        outbox.put(progress(done))
        outbox.put(progress(done, "b"))
    gate.go.set()
    outbox.close(5)
    assert gate.got == ["first", progress(9), progress(9, "b")]


def test_progress_is_flushed_before_a_change_of_state(gate: Gate) -> None:
    outbox = Outbox(gate, "test")
    outbox.put("first")
    assert gate.holds.wait(5)
    change = NodeChanged("r", "a", "ran")
    for done in range(3):
        outbox.put(progress(done))
    outbox.put(change)
    outbox.put(progress(0, "b"))
    outbox.put(RunFinished("r", "done", 1.0))
    gate.go.set()
    outbox.close(5)
    assert gate.got == ["first", progress(2), change, progress(0, "b"), RunFinished("r", "done", 1.0)]


def test_a_picture_outlives_newer_progress_without_one(gate: Gate) -> None:
    outbox = Outbox(gate, "test")
    outbox.put("first")
    assert gate.holds.wait(5)
    picture = Picture(1, 1, b"abc")
    outbox.put(progress(1, preview=picture))
    outbox.put(progress(2))
    gate.go.set()
    outbox.close(5)
    assert gate.got[1:] == [progress(2, preview=picture)]


def test_progress_comes_at_most_twenty_times_a_second_and_the_last_of_it_comes() -> None:
    got: list[object] = []
    last = threading.Event()

    def take(message: object) -> None:
        got.append(message)
        if message == progress(4999):
            last.set()

    outbox = Outbox(take, "test")
    for done in range(5000):
        outbox.put(progress(done))
    assert last.wait(5)
    outbox.close(5)
    assert len(got) < 100  # 5,000 reports in much less than five seconds


def test_dropped_progress_is_never_sent(gate: Gate) -> None:
    outbox = Outbox(gate, "test")
    outbox.put("first")
    assert gate.holds.wait(5)
    outbox.put(progress(1))
    outbox.put(progress(1, run="other"))
    outbox.drop("r")
    gate.go.set()
    outbox.close(5)
    assert gate.got == ["first", progress(1, run="other")]


def test_a_receiver_that_is_gone_ends_the_sending() -> None:
    tried: list[object] = []

    def gone(message: object) -> None:
        tried.append(message)
        raise BrokenPipeError

    outbox = Outbox(gone, "test")
    outbox.put(1)
    outbox.close(5)
    outbox.put(2)
    assert tried == [1]
