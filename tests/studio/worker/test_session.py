"""The session as the window meets it, through `InlineEngine`."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.cache.store import Store
from studio.catalogue import Catalogue
from studio.events import NodeChanged, NodeFailed, Progress, Result, RunFinished, RunStarted, Saved
from studio.types import Json
from studio.worker import session as session_module
from studio.worker.compute import Compute
from studio.worker.inline import TOY, InlineEngine
from studio.worker.outbox import Outbox
from studio.worker.protocol import (
    CacheReply,
    CacheRequest,
    CancelRun,
    EngineReady,
    EngineState,
    FetchPicture,
    Memory,
    Package,
    PictureReply,
    PlanReply,
    PlanRequest,
    RunRequest,
    SetDevice,
    UpgradeReply,
    UpgradeRequest,
)
from studio.worker.session import Session
from tests import toys
from tests.toys import Listener, chain

SLOW: dict[str, Json] = chain("constant", "slow", slow_steps=10_000, slow_step_s=0.01)
QUICK: dict[str, Json] = chain("constant", "slow")


@pytest.fixture
def heard() -> Listener:
    return Listener()


@pytest.fixture
def engine(heard: Listener) -> Iterator[InlineEngine]:
    engine = InlineEngine(heard, registry=toys.registry())
    engine.start()
    yield engine
    engine.close()


def finish(heard: Listener, run: str) -> RunFinished:
    return heard.wait_for(RunFinished, run=run)


def test_the_catalogue_comes_before_the_device(engine: InlineEngine, heard: Listener) -> None:
    heard.wait_for(EngineReady)
    kinds = [type(message) for message in heard.messages]
    assert kinds.index(Package) < kinds.index(EngineReady)
    packages = heard.all_of(Package)
    assert [package.last for package in packages] == [False, True]
    assert "toys/slow" in Catalogue.from_json(packages[0].catalogue).specs
    assert engine.remembered_catalogue().specs.keys() == toys.registry().specs.keys()


def test_a_run_tells_its_story_and_ends(engine: InlineEngine, heard: Listener, tmp_path: Path) -> None:
    engine.send(RunRequest("r", chain("constant", "slow", "write"), output_dir=str(tmp_path)))
    finished = finish(heard, "r")
    story = heard.of("r")
    assert type(story[0]) is RunStarted
    assert story[-1] is finished
    assert finished.state == "done"
    assert [item.node for item in story if isinstance(item, NodeChanged) and item.state == "ran"] == [
        "constant",
        "slow",
        "write",
    ]
    saved = heard.wait_for(Saved)
    assert Path(saved.path).parent == tmp_path
    assert Path(saved.path).exists()


def test_runs_wait_for_each_other(engine: InlineEngine, heard: Listener) -> None:
    for name in ("a", "b", "c"):
        engine.send(RunRequest(name, chain("constant", "slow", constant_value=ord(name))))
    finish(heard, "c")
    told = [message.run for message in heard.messages if isinstance(message, RunStarted | RunFinished)]
    assert told == ["a", "a", "b", "b", "c", "c"]


def test_a_newer_run_of_the_document_supersedes_the_older_ones(engine: InlineEngine, heard: Listener) -> None:
    engine.send(RunRequest("running", SLOW))
    heard.wait_for(Progress, run="running")
    engine.send(RunRequest("waiting", SLOW))
    engine.send(RunRequest("other", chain("constant", "slow", document="another")))
    engine.send(RunRequest("newest", QUICK, supersedes=True))
    assert finish(heard, "newest").state == "done"
    assert [finish(heard, run).state for run in ("running", "waiting")] == ["superseded"] * 2
    assert finish(heard, "other").state == "done"
    for run in ("running", "waiting"):
        assert type(heard.of(run)[-1]) is RunFinished
    assert len(heard.of("waiting")) == 1


def test_a_waiting_run_is_cancelled_at_once_and_a_running_one_within_its_step(
    engine: InlineEngine, heard: Listener
) -> None:
    engine.send(RunRequest("running", SLOW))
    heard.wait_for(Progress, run="running")
    engine.send(RunRequest("waiting", SLOW))
    engine.send(CancelRun("waiting"))
    assert finish(heard, "waiting").state == "cancelled"
    engine.send(CancelRun("running"))
    assert finish(heard, "running").state == "cancelled"
    engine.send(CancelRun("never heard of"))
    engine.send(RunRequest("next", QUICK))
    assert finish(heard, "next").state == "done"


def test_a_failing_node_is_named_and_the_engine_lives_on(engine: InlineEngine, heard: Listener) -> None:
    engine.send(RunRequest("r", chain("constant", "refuse", constant_value=7)))
    assert finish(heard, "r").state == "failed"
    failed = heard.wait_for(NodeFailed)
    assert (failed.node, failed.socket) == ("refuse", "number")
    assert failed.title.startswith("7 is not to my taste.")
    engine.send(RunRequest("next", QUICK))
    assert finish(heard, "next").state == "done"


def test_what_is_no_workflow_fails_with_a_sentence(engine: InlineEngine, heard: Listener) -> None:
    engine.send(RunRequest("r", {"format": 99}))
    assert finish(heard, "r").state == "failed"
    assert heard.wait_for(NodeFailed, run="r").node == ""
    engine.send(RunRequest("target", QUICK, targets=("nobody",)))
    assert finish(heard, "target").state == "failed"
    assert "nobody" in heard.wait_for(NodeFailed, run="target").title


@pytest.mark.expects_log("studio.worker.session", "run r broke")
def test_a_fault_of_ours_ends_the_run_and_no_more(
    engine: InlineEngine, heard: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "from_json", lambda _data: 1 / 0)
    engine.send(RunRequest("r", QUICK))
    assert finish(heard, "r").state == "failed"
    assert "ZeroDivisionError" in heard.wait_for(NodeFailed).title
    monkeypatch.undo()
    engine.send(RunRequest("next", QUICK))
    assert finish(heard, "next").state == "done"


@pytest.mark.parametrize("wanted", [True, False])
def test_previews_come_only_where_they_are_wanted(
    engine: InlineEngine, heard: Listener, wanted: bool
) -> None:
    engine.send(RunRequest("r", QUICK, previews=wanted))
    finish(heard, "r")
    pictures = [message.preview for message in heard.all_of(Progress)]
    assert pictures
    assert all((picture is not None) == wanted for picture in pictures)


def test_a_plan_says_what_would_run(engine: InlineEngine, heard: Listener) -> None:
    engine.send(PlanRequest("before", QUICK))
    before = heard.wait_for(PlanReply, id="before")
    engine.send(RunRequest("r", QUICK))
    finish(heard, "r")
    engine.send(PlanRequest("after", QUICK))
    after = heard.wait_for(PlanReply, id="after")
    assert before.plan["nodes"]["constant"]["state"] == "run"
    assert after.plan["nodes"]["slow"]["state"] == "cached"
    engine.send(PlanRequest("bad", QUICK, targets=("nobody",)))
    assert "nobody" in heard.wait_for(PlanReply, id="bad").error


def test_a_picture_is_fetched_by_key(engine: InlineEngine, heard: Listener) -> None:
    engine.send(RunRequest("r", chain("constant", "slow", constant_value=100)))
    finish(heard, "r")
    result = heard.wait_for(Result, node="slow")
    engine.send(FetchPicture("f", result.key, result.output))
    reply = heard.wait_for(PictureReply, id="f")
    assert (reply.width, reply.height, reply.channels, reply.error) == (6, 4, 3, "")
    assert reply.pixels == bytes([100]) * 6 * 4 * 3
    engine.send(FetchPicture("gone", "no such key", "image"))
    assert heard.wait_for(PictureReply, id="gone").error.startswith("This result is no longer stored.")
    engine.send(FetchPicture("beyond", result.key, result.output, 1))
    assert "number 2" in heard.wait_for(PictureReply, id="beyond").error


def test_old_parameters_are_upgraded_or_told_apart(engine: InlineEngine, heard: Listener) -> None:
    nodes: dict[str, dict[str, Json]] = {
        "today": {"type": "toys/constant", "version": 1, "params": {"value": 2}},
        "unknown": {"type": "acme/gone", "version": 1, "params": {}},
        "newer": {"type": "toys/constant", "version": 9, "params": {}},
        "odd": {"type": 7},
    }
    engine.send(UpgradeRequest("u", nodes))
    reply = heard.wait_for(UpgradeReply)
    assert reply.nodes == {"today": nodes["today"]}
    assert reply.errors.keys() == {"unknown", "newer", "odd"}


def test_the_cache_is_measured_and_cleared(engine: InlineEngine, heard: Listener) -> None:
    engine.send(RunRequest("r", QUICK))
    finish(heard, "r")
    engine.send(CacheRequest("full"))
    assert heard.wait_for(CacheReply, id="full").ram_bytes > 0
    engine.send(CacheRequest("empty", clear=True))
    assert heard.wait_for(CacheReply, id="empty").ram_bytes == 0


def test_memory_is_told_while_something_runs(heard: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MEMORY_INTERVAL_S", 0.01)
    engine = InlineEngine(heard, registry=toys.registry())
    engine.start()
    engine.send(RunRequest("r", SLOW))
    heard.wait_for(RunStarted)
    since = len(heard.messages)
    heard.wait_for(Memory, since)
    heard.wait_for(Memory, since + 5)
    engine.close()


def test_stopping_the_engine_ends_the_run_and_keeps_the_store(heard: Listener) -> None:
    store = Store(1 << 20, None)
    engine = InlineEngine(heard, registry=toys.registry(), store=store)
    engine.start()
    engine.send(RunRequest("kept", QUICK))
    finish(heard, "kept")
    engine.send(RunRequest("r", SLOW))
    heard.wait_for(Progress, run="r")
    engine.stop_engine()
    assert finish(heard, "r").state == "cancelled"
    engine.send(RunRequest("again", QUICK))
    finish(heard, "again")
    assert heard.wait_for(RunStarted, run="again").states["slow"] == "cached"
    engine.close()
    assert [state.state for state in heard.all_of(EngineState)] == ["starting", "ready"] * 2


class Loader:
    """A device that can be refused."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, wish: str) -> Compute:
        self.asked.append(wish)
        if wish == "broken":
            raise ImportError("libtorch is missing")
        return TOY


def test_a_run_does_not_wait_for_what_it_does_not_need(heard: Listener) -> None:
    warm = threading.Event()
    compute = dataclasses.replace(TOY, warm=lambda: warm.wait(60))
    engine = InlineEngine(heard, registry=toys.registry(), compute=compute)
    engine.start()
    engine.send(RunRequest("r", QUICK))
    assert finish(heard, "r").state == "done"
    assert not heard.all_of(EngineReady)
    warm.set()
    heard.wait_for(EngineReady)
    engine.close()


def test_what_is_loaded_ahead_may_fail_without_harm(heard: Listener) -> None:
    tried = threading.Event()

    def broken() -> None:
        tried.set()
        raise ImportError("diffusers is missing")

    engine = InlineEngine(heard, registry=toys.registry(), compute=dataclasses.replace(TOY, foresee=broken))
    engine.start()
    assert tried.wait(10)
    assert heard.wait_for(EngineReady).device == "cpu"
    engine.send(RunRequest("r", QUICK))
    assert finish(heard, "r").state == "done"
    engine.close()


@pytest.mark.expects_log("studio.worker.device", "no device could be made ready")
def test_a_library_that_cannot_be_loaded_is_told(heard: Listener) -> None:
    def broken() -> None:
        raise ImportError("libtorch is missing")

    compute = dataclasses.replace(TOY, warm=broken)
    engine = InlineEngine(heard, registry=toys.registry(), compute=compute)
    engine.start()
    assert "libtorch" in heard.wait_for(EngineReady, device="none").sentence
    engine.send(RunRequest("r", QUICK))
    assert finish(heard, "r").state == "done"
    engine.close()


@pytest.mark.expects_log("studio.worker.device", "no device could be made ready")
def test_a_device_that_cannot_be_made_ready_is_told_and_another_can_be_chosen(heard: Listener) -> None:
    outbox, load = Outbox(heard, "test"), Loader()
    session = Session(outbox, Store(1 << 20, None), lambda _tell: toys.registry(), load)
    session.handle(SetDevice("broken"))
    refused = heard.wait_for(EngineReady)
    assert refused.device == "none"
    assert "libtorch is missing" in refused.sentence
    session.handle(RunRequest("r", QUICK))
    assert finish(heard, "r").state == "failed"
    assert "libtorch" in heard.wait_for(NodeFailed).title
    session.handle(PlanRequest("p", QUICK))
    assert "libtorch" in heard.wait_for(PlanReply).error
    session.handle(SetDevice("cpu"))
    session.handle(SetDevice("cpu"))
    session.handle(RunRequest("next", QUICK))
    assert finish(heard, "next").state == "done"
    assert load.asked == ["broken", "cpu"]
    assert session.end(5)
    outbox.close(5)


def test_what_needs_no_device_is_answered_before_one_is_chosen(heard: Listener) -> None:
    outbox = Outbox(heard, "test")
    session = Session(outbox, Store(1 << 20, None), lambda _tell: toys.registry(), Loader())
    session.handle(PlanRequest("p", QUICK))
    session.handle(UpgradeRequest("u", {}))
    heard.wait_for(UpgradeReply)
    assert not heard.all_of(PlanReply)
    session.handle(SetDevice("cpu"))
    heard.wait_for(PlanReply)
    assert session.end(5)
    outbox.close(5)
