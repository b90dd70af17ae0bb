from __future__ import annotations

from studio.events import NodeChanged, NodeFailed, Progress, RunFinished, RunStarted
from studio.worker.ledger import Ledger
from studio.worker.protocol import (
    CacheReply,
    CacheRequest,
    CancelRun,
    FetchPicture,
    Memory,
    PictureReply,
    PlanReply,
    PlanRequest,
    RunRequest,
    SetDevice,
    UpgradeReply,
    UpgradeRequest,
)


def request(run: str, document: str = "d", *, supersedes: bool = False) -> RunRequest:
    return RunRequest(run, {"id": document}, supersedes=supersedes)


def begun(ledger: Ledger, run: str, *nodes: str) -> None:
    ledger.asked(request(run, document=run))
    ledger.heard(RunStarted(run))
    for node in nodes:
        ledger.heard(NodeChanged(run, node, "running"))


def test_what_has_begun_dies_with_the_engine_and_what_has_not_is_sent_again() -> None:
    ledger = Ledger()
    begun(ledger, "running", "a", "b")
    ledger.heard(NodeChanged("running", "a", "ran"))
    ledger.asked(request("waiting"))
    assert ledger.running == ("b",)
    failed, finished = ledger.close_dead("It died.", "Go on.", "failed")
    assert failed == NodeFailed("running", "b", "It died.", "Go on.")
    assert isinstance(finished, RunFinished)
    assert finished.state == "failed"
    assert ledger.waiting() == [request("waiting")]
    assert ledger.running == ()


def test_a_run_between_two_nodes_is_told_as_a_whole() -> None:
    ledger = Ledger()
    begun(ledger, "r")
    assert ledger.close_dead("It died.", "", "failed")[0] == NodeFailed("r", "", "It died.")


def test_a_run_that_was_to_be_cancelled_dies_as_cancelled_even_if_it_had_not_begun() -> None:
    ledger = Ledger()
    begun(ledger, "running", "a")
    ledger.asked(request("waiting"))
    ledger.asked(CancelRun("running"))
    ledger.asked(CancelRun("waiting"))
    ledger.asked(CancelRun("unknown"))
    told = ledger.close_dead("It died.", "", "failed")
    assert [(event.run, event.state) for event in told if isinstance(event, RunFinished)] == [
        ("running", "cancelled"),
        ("waiting", "cancelled"),
    ]
    assert not [event for event in told if isinstance(event, NodeFailed)]


def test_of_a_superseded_run_only_its_end_is_wanted() -> None:
    ledger = Ledger()
    ledger.asked(request("old"))
    ledger.asked(request("other", "another"))
    assert ledger.heard(Progress("old", "a", 1, 2))
    ledger.asked(request("new", supersedes=True))
    assert not ledger.heard(Progress("old", "a", 2, 2))
    assert ledger.heard(Progress("other", "a", 1, 2))
    assert ledger.heard(Progress("new", "a", 1, 2))
    assert ledger.heard(RunFinished("old", "superseded", 1.0))
    assert not ledger.is_open("old")


def test_documents_without_identity_do_not_supersede_each_other() -> None:
    ledger = Ledger()
    ledger.asked(RunRequest("old", {}))
    ledger.asked(RunRequest("new", {}, supersedes=True))
    assert ledger.heard(RunStarted("old"))


def test_nothing_is_heard_of_a_run_after_its_end() -> None:
    ledger = Ledger()
    ledger.asked(request("r"))
    assert ledger.heard(RunFinished("r", "done", 1.0))
    assert not ledger.heard(Progress("r", "a", 1, 2))
    assert ledger.heard(Memory(1, 2))


def test_questions_to_a_dead_engine_are_answered_with_its_end() -> None:
    ledger = Ledger()
    for question in (
        PlanRequest("p", {}),
        FetchPicture("f", "key", "image"),
        UpgradeRequest("u", {"a": {}}),
        CacheRequest("c"),
        PlanRequest("answered", {}),
        SetDevice("cpu"),
    ):
        ledger.asked(question)
    assert ledger.heard(PlanReply("answered", {}))
    assert ledger.close_dead("It died.", "Sorry.", "failed") == [
        PlanReply("p", {}, "It died. Sorry."),
        PictureReply("f", 0, 0, 0, b"", "It died. Sorry."),
        UpgradeReply("u", {}, {"a": "It died. Sorry."}),
    ]
    assert ledger.waiting() == [CacheRequest("c")]
    ledger.heard(CacheReply("c", 0, 0, 0, 0, ""))
    assert ledger.waiting() == []


def test_a_run_that_no_engine_has_is_cancelled_on_the_spot() -> None:
    ledger = Ledger()
    ledger.asked(request("r"))
    assert ledger.cancel_waiting("r") == [RunFinished("r", "cancelled", 0.0)]
    assert ledger.cancel_waiting("r") == []
    assert ledger.waiting() == []
