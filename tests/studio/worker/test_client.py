"""The worker as a real process: what it says, how it dies, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio import paths
from studio.events import NodeChanged, NodeFailed, Progress, Result, RunFinished, RunStarted, Saved
from studio.files import workflow
from studio.worker import client as client_module
from studio.worker import process as process_module
from studio.worker.client import EngineClient
from studio.worker.process import EngineProcess, describe_exit, parse_address
from studio.worker.protocol import (
    CacheReply,
    CacheRequest,
    CancelRun,
    EngineReady,
    EngineState,
    FetchPicture,
    Hello,
    Memory,
    Package,
    PictureReply,
    PlanReply,
    PlanRequest,
    RunRequest,
    SetDevice,
)
from tests import toys
from tests.toys import Listener, chain, is_alive

GONE_WITHIN_S = 20.0


@pytest.fixture(autouse=True)
def toys_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(toys.FOLDER))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


@pytest.fixture
def heard() -> Listener:
    return Listener()


@pytest.fixture
def engine(heard: Listener) -> Iterator[EngineClient]:
    engine = EngineClient(heard)
    engine.start()
    yield engine
    engine.close()


def finish(heard: Listener, run: str) -> RunFinished:
    return heard.wait_for(RunFinished, run=run)


def vanish(pid: int) -> bool:
    """Wait until a process has gone."""
    until = time.monotonic() + GONE_WITHIN_S
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


def test_a_workflow_runs_and_a_second_process_finds_its_results(heard: Listener, tmp_path: Path) -> None:
    workflow = chain("constant", "slow", "write", slow_steps=10, slow_step_s=0.02)
    request = RunRequest("r", workflow, output_dir=str(tmp_path))
    first = EngineClient(heard)
    assert first.remembered_catalogue() is None
    first.start()
    first.send(request)  # before there is anyone to take it
    assert finish(heard, "r").state == "done"
    kinds = [type(message) for message in heard.messages]
    assert kinds.index(Hello) < kinds.index(Package) < kinds.index(RunStarted)
    assert [package.name for package in heard.all_of(Package)] == ["core", "toys", ""]
    ready = heard.wait_for(EngineReady)
    assert ready.device == "cpu" or ready.device in ready.devices
    assert ready.dtype in ("float32", "float16", "bfloat16")
    assert ready.name
    heard.wait_for(EngineState, state="ready")
    memory = heard.wait_for(Memory)
    assert 0 < memory.used_bytes <= memory.total_bytes
    assert Path(heard.wait_for(Saved).path).read_bytes()
    result = heard.wait_for(Result, node="slow")
    first.send(FetchPicture("f", result.key, result.output, max_px=3))
    assert (reply := heard.wait_for(PictureReply)).pixels == bytes([1]) * reply.width * reply.height * 3
    pid = heard.wait_for(Hello).pid
    first.close()
    assert not is_alive(pid)

    second_heard = Listener()
    second = EngineClient(second_heard)
    remembered = second.remembered_catalogue()
    assert remembered is not None
    assert {"toys/slow", "core/k_sampler"} <= remembered.specs.keys()
    second.start()
    second.send(RunRequest("again", workflow, output_dir=str(tmp_path)))
    finish(second_heard, "again")
    second_heard.wait_for(NodeChanged, node="slow", state="cached")
    second.send(CacheRequest("c"))
    stored = second_heard.wait_for(CacheReply)
    assert stored.disk_entries > 0
    assert Path(stored.path).is_relative_to(paths.cache_dir())
    second.close()


WORDS = {"kill": "signal 9", "crash": "signal 11", "abort": "signal 6"}


@pytest.mark.parametrize("how", WORDS)
def test_a_worker_that_dies_in_a_step_is_told_replaced_and_goes_on_from_the_disk(
    engine: EngineClient, heard: Listener, tmp_path: Path, how: str
) -> None:
    cure = tmp_path / "cure"
    workflow = chain(
        "constant", "slow", "die", slow_steps=10, slow_step_s=0.02, die_how=how, die_unless=str(cure)
    )
    # The dying node takes a number, the slow one gives a picture: they hang side by side.
    graphs: Any = workflow["graphs"]
    graphs[""]["nodes"]["die"]["wires"] = {"number": "constant.int"}
    engine.send(RunRequest("r", workflow, targets=("slow",)))
    finish(heard, "r")
    engine.send(RunRequest("fatal", workflow))
    engine.send(RunRequest("queued", chain("constant", "slow", document="other")))
    failed = heard.wait_for(NodeFailed)
    assert (failed.run, failed.node) == ("fatal", "die")
    assert failed.title.startswith("The engine stopped unexpectedly")
    assert WORDS[how] in failed.title
    assert failed.title.endswith("while running die.")
    assert "run again to go on from the last stored step" in failed.remedy
    assert finish(heard, "fatal").state == "failed"
    heard.wait_for(EngineState, state="restarting")
    assert finish(heard, "queued").state == "done"
    assert len({hello.pid for hello in heard.all_of(Hello)}) == 2
    cure.write_bytes(b"")
    engine.send(RunRequest("again", workflow))
    assert finish(heard, "again").state == "done"
    assert heard.wait_for(RunStarted, run="again").states["slow"] == "cached"
    assert not [event for event in heard.of("again") if isinstance(event, Progress) and event.node == "slow"]


def test_a_sampler_killed_in_a_step_goes_on_from_the_last_step_stored(
    engine: EngineClient, heard: Listener
) -> None:
    template = paths.assets_dir() / "templates" / "text_to_image.json"
    request: Any = workflow.to_json(workflow.load(template).content)
    nodes = request["graphs"][""]["nodes"]
    nodes["k_sampler"]["params"]["steps"] = 8
    nodes["empty_latent"]["params"].update(width=64, height=64)
    engine.send(RunRequest("killed", request, ("k_sampler",)))
    reached = heard.wait(lambda message: isinstance(message, Progress) and message.done >= 3).done
    os.kill(heard.wait_for(Hello).pid, signal.SIGKILL)
    assert heard.wait_for(NodeFailed).node == "k_sampler"
    engine.send(RunRequest("again", request, ("k_sampler",)))
    assert finish(heard, "again").state == "done"
    steps = [event.done for event in heard.of("again") if isinstance(event, Progress)]
    assert steps[-1] == 8
    # The very last steps may not have reached the disk, and the first report is of nothing done yet.
    assert min(step for step in steps if step) >= reached - 2
    assert 1 not in steps


def test_three_deaths_in_a_minute_end_the_restarting_until_it_is_asked_for(
    engine: EngineClient, heard: Listener
) -> None:
    start = 0
    for _ in range(3):
        hello = heard.wait_for(Hello, start)
        start = heard.messages.index(hello) + 1
        os.kill(hello.pid, signal.SIGKILL)
    stopped = heard.wait_for(EngineState, state="stopped")
    assert "stays down until it is restarted" in stopped.sentence
    assert ".log" in stopped.sentence
    assert len(heard.all_of(Hello)) == 3
    engine.send(RunRequest("waiting", chain("constant", "slow")))
    engine.send(RunRequest("given up", chain("constant", "slow")))
    engine.send(CancelRun("given up"))
    assert finish(heard, "given up").state == "cancelled"
    engine.restart()
    assert finish(heard, "waiting").state == "done"


def test_cancelling_acts_within_the_step_and_a_stuck_node_is_ended_by_stopping_the_engine(
    engine: EngineClient, heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "STUCK_AFTER_S", 0.3)
    engine.send(RunRequest("slow", chain("constant", "slow", slow_steps=10_000)))
    heard.wait_for(Progress, run="slow")
    engine.send(CancelRun("slow"))
    assert finish(heard, "slow").state == "cancelled"
    assert not [state for state in heard.all_of(EngineState) if state.state == "stuck"]
    engine.send(RunRequest("stuck", chain("constant", "stuck")))
    engine.send(RunRequest("queued", chain("constant", "slow", document="other")))
    heard.wait_for(Progress, run="stuck")
    engine.send(CancelRun("stuck"))
    heard.wait_for(EngineState, state="stuck")
    engine.send(PlanRequest("later", chain("constant", "slow")))
    engine.restart()
    assert finish(heard, "stuck").state == "cancelled"
    assert finish(heard, "queued").state == "done"
    heard.wait_for(PlanReply, id="later")
    assert not heard.all_of(NodeFailed)
    for _ in range(3):  # what was asked for is no death
        since = len(heard.messages)
        engine.stop_engine()
        heard.wait_for(Hello, since)
    assert not [state for state in heard.all_of(EngineState) if state.state == "stopped"]


def test_closing_ends_a_worker_that_does_not_listen(heard: Listener) -> None:
    before = set(threading.enumerate())
    engine = EngineClient(heard)
    engine.start()
    engine.send(RunRequest("stuck", chain("constant", "stuck")))
    heard.wait_for(Progress)
    pid = heard.wait_for(Hello).pid
    engine.close()
    assert not is_alive(pid)
    assert set(threading.enumerate()) <= before
    engine.close()  # twice is once


def test_closing_while_the_worker_starts_leaves_nothing(heard: Listener) -> None:
    engine = EngineClient(heard)
    engine.start()
    heard.wait_for(EngineState, state="starting")
    assert engine._process is not None
    pid = engine._process.pid
    engine.close()
    assert not is_alive(pid)


def test_an_engine_that_cannot_be_started_is_told(heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EngineClient(heard)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        engine.start()
        assert "could not be started" in heard.wait_for(EngineState, state="stopped").sentence
    engine.restart()
    heard.wait_for(Hello)
    engine.close()


EDITOR = """
import sys, time
from studio.events import Progress
from studio.worker.client import EngineClient
from studio.worker.protocol import Hello, RunRequest
from tests.toys import chain

def hear(message):
    if isinstance(message, (Hello, Progress)):
        print(getattr(message, "pid", "running"), flush=True)

engine = EngineClient(hear)
engine.start()
engine.send(RunRequest("r", chain("constant", sys.argv[1])))
time.sleep(1000)
"""


@pytest.mark.parametrize("node", ["slow", "stuck"])
def test_the_worker_of_an_editor_that_was_killed_ends_itself(node: str) -> None:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", EDITOR, node]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as editor:
        assert editor.stdout is not None
        pid = int(editor.stdout.readline())
        assert editor.stdout.readline() == "running\n"
        assert is_alive(pid)
        editor.kill()
        assert vanish(pid)


def test_an_engine_of_another_version_is_refused(heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PROTOCOL", client_module.PROTOCOL + 1)
    engine = EngineClient(heard)
    engine.start()
    assert "different versions" in heard.wait_for(EngineState, state="stopped").sentence
    engine.close()


def test_a_worker_that_talks_nonsense_is_replaced(heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = EngineProcess.receive
    nonsense = [True]

    def garbled(self: EngineProcess) -> object:
        message = receive(self)
        if isinstance(message, Package) and nonsense:
            nonsense.clear()
            return process_module.decode(b"\x80\x04nonsense")
        return message

    monkeypatch.setattr(EngineProcess, "receive", garbled)
    engine = EngineClient(heard)
    engine.start()
    assert "cannot be read" in heard.wait_for(EngineState, state="restarting").sentence
    heard.wait_for(Package, last=True)
    engine.close()


@pytest.mark.expects_log("studio.worker.client", "a message of the engine was not handled: Hello")
def test_a_handler_that_fails_does_not_silence_the_engine() -> None:
    heard = Listener()

    def hear(message: object) -> None:
        heard(message)
        if isinstance(message, Hello):
            raise RuntimeError("not today")

    engine = EngineClient(hear)
    engine.start()
    heard.wait_for(Package, last=True)
    engine.close()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"specs": [1]}', b"\xff" * 10, b"[" * 100_000])
def test_a_damaged_memory_of_the_catalogue_is_no_catalogue(data: bytes) -> None:
    paths.cache_dir().mkdir(parents=True)
    (paths.cache_dir() / "catalogue.json").write_bytes(data)
    assert EngineClient(lambda _message: None).remembered_catalogue() is None


def test_a_wish_for_a_device_that_is_not_there_is_told(heard: Listener) -> None:
    engine = EngineClient(heard, device="mps" if sys.platform == "linux" else "cuda")
    engine.start()
    ready = heard.wait_for(EngineReady)
    assert "no device" in ready.sentence
    engine.send(SetDevice("cpu"))
    heard.wait(lambda message: isinstance(message, EngineReady) and not message.sentence)
    engine.close()


def test_a_long_temporary_folder_still_gives_an_address(
    tmp_path: Path, heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    engine = EngineClient(heard)
    engine.start()
    heard.wait_for(Package, last=True)
    engine.close()
    assert not list(deep.iterdir())


def test_only_the_newest_logs_are_kept(heard: Listener) -> None:
    folder = paths.data_dir() / "logs"
    folder.mkdir(parents=True)
    for number in range(15):
        (folder / f"engine-20200101-0000{number:02}-abc.log").write_bytes(b"")
    engine = EngineClient(heard)
    engine.start()
    heard.wait_for(Hello)
    engine.close()
    logs = sorted(path.name for path in folder.iterdir())
    assert len(logs) == 10
    assert logs[0] == "engine-20200101-000006-abc.log"


def test_addresses_survive_the_command_line() -> None:
    assert parse_address("127.0.0.1:4711") == ("127.0.0.1", 4711)
    assert parse_address("/tmp/a:1/engine") == "/tmp/a:1/engine"
    assert parse_address(r"\\.\pipe\pyc-1-2") == r"\\.\pipe\pyc-1-2"


def test_an_exit_is_described_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal 9, killed, perhaps because memory ran out"
    assert describe_exit(-15) == "signal 15"
